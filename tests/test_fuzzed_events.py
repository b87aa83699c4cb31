"""Row 1 to 5: whatever a server sends as an event stream, reading it ends soundly."""

from __future__ import annotations

import base64
import random
import struct
import time
import tracemalloc
import zlib

import aiocos
from aiocos.encoding.events import MessageReader, QueryFailure, event_of
from aiocos.encoding.rows import CsvRows, JsonRows, RowReader
from tests.support.event_frames import CONT, END, error, header, message, records, stats
from tests.support.vectors import load

SAMPLES = [
    *(base64.b64decode(item["stream_b64"])[:4000] for item in load("select.json")["vectors"]),
    records(b'a,"b ""c"""\n') + CONT + stats(9, 9, b"Progress") + records(b"x,\n") + END,
    records(b'{"a":[1,"\\n"]}\n') + stats(9, 9) + END,
    CONT + error(b"SlowDown", "出错".encode()),
]
BLOCK = header(b":message-type", b"event") + header(b":event-type", b"Records")
KEYS = {"Records", "Cont", "Progress", "Stats", "End"}
FORMATS = [CsvRows(), CsvRows(quote="'", escape="\\"), JsonRows(), JsonRows(",")]
MAX_S, MAX_BYTES = 1.0, 64 << 20


def mutated(chance):
    """A stream with bytes flipped, cut, doubled or moved; or none at all."""
    stream = bytearray(chance.choice(SAMPLES))
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(stream) + 1)
        end = min(len(stream), start + chance.choice([0, 1, 4, 16, 100]))
        match chance.randrange(7):
            case 0:
                del stream[start:]
            case 1:
                del stream[start:end]
            case 2:
                stream[start:start] = stream[start:end]
            case 3:
                stream[start:end] = chance.randbytes(chance.randint(0, 40))
            case 4:
                stream[start:end] = struct.pack(">I", chance.choice([0, 1, 15, 2**31, 2**32 - 1]))
            case 5 if start < len(stream):
                stream[start] ^= 1 << chance.randrange(8)
            case _:
                stream[start:start] = chance.choice(SAMPLES)[:200]
    return bytes(stream)


def crafted(chance):
    """A stream whose checksums are right, and whose content is not."""
    block, payload = bytearray(BLOCK), bytearray(chance.choice([b"", b"a,b\n", b'{"a":1}\n']))
    for part in (block, payload):
        for _ in range(chance.randint(0, 3)):
            start = chance.randrange(len(part) + 1)
            part[start : start + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    lengths = struct.pack(
        ">II", chance.choice([len(block) + len(payload) + 16, 99, 2**32 - 1]), len(block)
    )
    whole = message(bytes(block), bytes(payload))
    if chance.random() < 0.5:
        whole = lengths + struct.pack(">I", zlib.crc32(lengths)) + whole[12:]
    return whole + chance.choice([b"", CONT, END])


def random_bytes(chance):
    return chance.randbytes(chance.randint(0, 300))


def outcome(stream, chance):
    """What a stream gives: its events and rows, or the error that refuses it."""
    reader = MessageReader()
    rows = RowReader(
        chance.choice([CsvRows(), CsvRows(quote="'", escape="\\"), JsonRows(), JsonRows(",")])
    )
    events = []
    at = 0
    try:
        while at < len(stream):
            size = chance.choice([1, 5, 64, 5000])
            reader.feed(stream[at : at + size])
            at += size
            while (found := reader.take()) is not None:
                event = event_of(found)
                if isinstance(event, QueryFailure):
                    return event
                events.append(event)
                if "Records" in event:
                    rows.feed(event["Records"]["Payload"])
                    while rows.take() is not None:
                        pass
        rows.end()
        while rows.take() is not None:
            pass
    except aiocos.CosClientError as refused:
        return refused
    return events


def run(inputs, seed):
    """Read so many streams, and hold each to its limits."""
    refused = 0
    for number in range(inputs):
        chance = random.Random(f"{seed} {number}")
        stream = chance.choice([mutated, mutated, crafted, random_bytes])(chance)
        begun = time.process_time()
        try:
            found = outcome(stream, chance)
        except Exception as failure:
            failure.add_note(f"input {number}: {stream!r}")
            raise
        assert time.process_time() - begun < MAX_S, stream
        if isinstance(found, aiocos.CosClientError):
            refused += 1
            assert str(found)
        elif isinstance(found, list):
            assert all(len(event) == 1 and event.keys() <= KEYS for event in found)
    return refused


def test_damaged_streams():
    """Of a thousand damaged streams each is refused, or gives events of their form."""
    tracemalloc.start()
    try:
        refused = run(1_000, "sample")
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES
    finally:
        tracemalloc.stop()
    assert 300 < refused < 1_000

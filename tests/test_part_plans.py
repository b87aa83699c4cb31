"""A transfer is cut into the parts that the sync SDK cuts it into, within the limits of COS.

``vectors/plans.json`` has the recorded plans. The parts are compared as arithmetic, and those of
files that a test can afford once more on the wire; ``vectors/differences.toml`` says under
``plan`` where a client with the default settings sends one request instead.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aiocos
from aiocos.transfer.plan import Plan, download_plan, upload_plan
from aiocos.transfer.streaming import growing_size
from tests.conftest import BUCKET
from tests.support.capture import CaptureServer, Reply

MIB = 1 << 20
GIB = 1 << 30
MOST_PARTS = 10_000
MOST_BYTES = MOST_PARTS * 5 * GIB
AFFORDABLE = 25_000_000
VECTORS = Path(__file__).parent / "vectors"
PLANS = {
    f"{vector['operation']}-{vector['size']}-{vector['PartSize']}": vector
    for vector in json.loads((VECTORS / "plans.json").read_text())["vectors"]
}
DEVIATIONS = {
    entry["id"]: entry["requests"]
    for entry in tomllib.loads((VECTORS / "differences.toml").read_text(encoding="utf-8"))["plan"]
}
IN_PARTS = [name for name, vector in PLANS.items() if "sizes_rle" in vector]
MOVED = [
    name
    for name, vector in PLANS.items()
    if vector["operation"] != "copy" and vector["size"] < AFFORDABLE
]
UPLOADED = [name for name in MOVED if PLANS[name]["operation"] == "upload_file"]
COPIED = [
    name
    for name, vector in PLANS.items()
    if vector["operation"] == "copy" and vector.get("parts", 1) < 1000
]


def recorded_sizes(vector: dict[str, Any]) -> list[int]:
    """How many bytes each request of a recorded plan carries."""
    if "plan" in vector:
        return [vector["size"]]
    return [size for size, count in vector["sizes_rle"] for _ in range(count)]


def planned(vector: dict[str, Any]) -> Plan:
    part_size = vector["PartSize"] * MIB
    if vector["operation"] == "download_file":
        return download_plan(vector["size"], part_size, vector["MaxPartCount"])
    return upload_plan(vector["size"], part_size)


@pytest.mark.parametrize("name", IN_PARTS)
def test_parts_are_those_recorded(name: str) -> None:
    """A transfer in parts has the recorded number of parts, each of the recorded size."""
    vector = PLANS[name]
    plan = planned(vector)

    assert [part.size for part in plan] == recorded_sizes(vector)
    assert plan.count == vector["parts"]


# --- on the wire ---------------------------------------------------------------------------


async def moved(name: str, make_client: Any, emulator: Any, tmp_path: Path, **limits: int) -> Any:
    """Carry out the transfer of a vector; how many bytes each request carried, in order."""
    vector = PLANS[name]
    transfers = aiocos.TransferConfig(journal_dir=tmp_path / "journals", **limits)
    client = make_client(transfers=transfers)
    path = tmp_path / "file"
    if vector["operation"] == "upload_file":
        path.touch()
        os.truncate(path, vector["size"])
        await client.upload_file(BUCKET, "a", path, PartSize=vector["PartSize"], MAXThread=1)
        sent = [one for one in emulator.requests if one.operation in ("PutObject", "UploadPart")]
        return [one.bytes_in for one in sent]
    await emulator.put(BUCKET, "a", bytes(vector["size"]))
    await client.download_file(
        BUCKET,
        "a",
        path,
        PartSize=vector["PartSize"],
        MAXThread=1,
        MaxPartCount=vector["MaxPartCount"],
    )
    return [one.bytes_out for one in emulator.requests if one.operation == "GetObject"]


@pytest.mark.parametrize("name", MOVED)
async def test_a_file_moves_in_the_recorded_requests(
    name: str, make_client: Any, emulator: Any, tmp_path: Path
) -> None:
    """A client that is told to part what is larger than PartSize sends the recorded requests."""
    sizes = await moved(name, make_client, emulator, tmp_path, single_mib=0)

    assert sizes == recorded_sizes(PLANS[name])
    is_put = PLANS[name].get("plan") == "put_object"
    assert emulator.count("CreateMultipartUpload") == (0 if is_put or name not in UPLOADED else 1)


@pytest.mark.parametrize("name", MOVED)
async def test_a_file_moves_in_one_request_up_to_20_mib(
    name: str, make_client: Any, emulator: Any, tmp_path: Path
) -> None:
    """By default the recorded requests are sent, but for the plans that differ on purpose."""
    sizes = await moved(name, make_client, emulator, tmp_path)

    assert len(sizes) == DEVIATIONS.get(name, len(recorded_sizes(PLANS[name])))
    assert sum(sizes) == PLANS[name]["size"]


@pytest.mark.parametrize(("size", "parts"), [(20 * MIB, 0), (20 * MIB + 1, 21)])
async def test_20_mib_is_the_last_size_of_one_request(
    make_client: Any, emulator: Any, tmp_path: Path, size: int, parts: int
) -> None:
    """A file of exactly 20 MiB goes in one request, one of a byte more goes in parts."""
    client = make_client(transfers=aiocos.TransferConfig(journal_dir=tmp_path / "journals"))
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", size)

    await client.upload_file(BUCKET, "a", tmp_path / "file")

    assert emulator.count("PutObject") == (0 if parts else 1)
    assert emulator.count("UploadPart") == parts


def test_every_deviation_of_a_plan_is_needed() -> None:
    """A deviation that is none, or is about no recorded plan, is out of date."""
    assert set(DEVIATIONS) <= set(MOVED)
    assert all(len(recorded_sizes(PLANS[name])) != left for name, left in DEVIATIONS.items())


def document(root: str, **fields: str) -> Reply:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    body = f"<{root}>{inner}</{root}>".encode()
    return Reply(200, (("Content-Length", str(len(body))), ("x-cos-request-id", "r")), body)


@pytest.mark.parametrize("name", COPIED)
async def test_an_object_is_copied_in_the_recorded_requests(name: str, tmp_path: Path) -> None:
    """Below 5 GiB a copy is one request, from there on it is the recorded ranges."""
    vector = PLANS[name]
    sizes = recorded_sizes(vector)
    length = ("Content-Length", str(vector["size"]))
    head = Reply(200, (length, ("ETag", '"x"'), ("x-cos-hash-crc64ecma", "1")))
    copied = document("CopyObjectResult", ETag='"x"', CRC64="1")
    script = [head, copied]
    if len(sizes) > 1:
        created = document("InitiateMultipartUploadResult", UploadId="1")
        joined = document("CompleteMultipartUploadResult", ETag='"x-2"')
        proof = (("x-cos-hash-crc64ecma", "1"), *joined.headers)
        script = [head, created, *[document("CopyPartResult", ETag='"x"')] * len(sizes)]
        script.append(Reply(200, proof, joined.body))
    async with CaptureServer(script) as server:
        config = aiocos.CosConfig(
            Scheme="http", IP="127.0.0.1", Port=server.port, Region="ap-guangzhou", Anonymous=True
        )
        transfers = aiocos.TransferConfig(journal_dir=tmp_path)
        async with aiocos.CosS3Client(config, transfers=transfers) as client:
            source = {"Bucket": BUCKET, "Key": "source", "Region": "ap-guangzhou"}
            await client.copy(BUCKET, "a", source, PartSize=vector["PartSize"], MAXThread=1)
    ranges = [one.header("x-cos-copy-source-range") for one in server.requests]
    spans = [tuple(map(int, re.findall(r"\d+", span))) for span in ranges if span]
    assert [last - first + 1 for first, last in spans] == (sizes if len(sizes) > 1 else [])
    assert len(server.requests) == len(script)


# --- the limits of COS, for any size ---------------------------------------------------------

PART_SIZES = st.integers(1, 5 * GIB // MIB).map(lambda mib: mib * MIB)
EDGES = st.builds(
    lambda part, count, off: min(max(part * count + off, 0), MOST_BYTES),
    PART_SIZES,
    st.integers(0, MOST_PARTS + 1),
    st.integers(-MOST_PARTS, MOST_PARTS),
)
SIZES = st.integers(0, MOST_BYTES) | EDGES


def edges_of(plan: Plan) -> list[int]:
    """Number and offset of a few parts: of all of them where they are few."""
    numbers = range(1, plan.count + 1)
    if plan.count > 50:
        numbers = [*numbers[:10], *numbers[plan.count // 2 :][:10], *numbers[-10:]]
    return list(numbers)


def assert_covers_once(plan: Plan, size: int) -> None:
    """Every byte is in one part, in order: checked at the seams."""
    numbers = edges_of(plan)
    assert plan.part(1).offset == 0
    last = plan.part(plan.count)
    assert last.offset + last.size == size
    for one, other in itertools.pairwise(numbers):
        if other == one + 1:
            assert plan.part(one).offset + plan.part(one).size == plan.part(other).offset
    assert all(plan.part(number).number == number for number in numbers)
    assert plan.part_size * (plan.count - 1) + last.size == size


@settings(max_examples=500, derandomize=True, deadline=None)
@given(size=SIZES, part_size=PART_SIZES)
def test_any_upload_keeps_the_limits(size: int, part_size: int) -> None:
    """Whatever the size, parts of an upload or a copy are what COS takes, and cover it once."""
    plan = upload_plan(size, part_size)

    assert_covers_once(plan, size)
    assert 1 <= plan.count <= MOST_PARTS
    assert all(plan.part(number).size >= MIB for number in edges_of(plan)[:-1])
    assert all(plan.part(number).size <= 5 * GIB for number in edges_of(plan))
    assert plan.part_size == part_size or size > part_size * MOST_PARTS
    assert upload_plan(size, plan.part_size) == plan


@settings(max_examples=500, derandomize=True, deadline=None)
@given(size=SIZES, part_size=PART_SIZES, max_parts=st.integers(1, MOST_PARTS))
def test_any_download_keeps_its_count(size: int, part_size: int, max_parts: int) -> None:
    """Whatever the size, ranges of a download cover it once, and are no more than asked for."""
    plan = download_plan(size, part_size, max_parts)

    assert_covers_once(plan, size)
    assert 1 <= plan.count <= max_parts
    doublings = plan.part_size // part_size
    assert plan.part_size % part_size == 0
    assert doublings & (doublings - 1) == 0
    assert doublings == 1 or plan.part_size // 2 * max_parts < size


@settings(max_examples=100, derandomize=True, deadline=None)
@given(size=st.integers(0, 300 * MIB), part_size=st.integers(1, 20).map(lambda mib: mib * MIB))
def test_parts_of_a_small_plan_are_seamless(size: int, part_size: int) -> None:
    """Walking through all parts meets every byte once, in order, and numbers from 1 on."""
    for plan in (upload_plan(size, part_size), download_plan(size, part_size)):
        at = 0
        for number, part in enumerate(plan, start=1):
            assert (part.number, part.offset) == (number, at)
            assert part.size > 0 or size == 0
            at += part.size
        assert at == size


@pytest.mark.parametrize("short_of_it", [0, 1, 9_999, 10_000, 99_980_001])
def test_the_largest_object_can_be_sent(short_of_it: int) -> None:
    """What 10,000 parts of 5 GiB can hold is sent, to the last byte."""
    plan = upload_plan(MOST_BYTES - short_of_it, MIB)

    assert_covers_once(plan, MOST_BYTES - short_of_it)
    assert max(plan.part(1).size, plan.part(plan.count).size) <= 5 * GIB
    assert plan.count <= MOST_PARTS
    assert upload_plan(plan.size, plan.part_size) == plan


def test_what_is_too_large_is_refused() -> None:
    """One byte more than 10,000 parts of 5 GiB is refused before anything is sent."""
    with pytest.raises(aiocos.ParameterError, match=r"10000 parts of 5368709120 bytes"):
        upload_plan(MOST_BYTES + 1, MIB)


@pytest.mark.parametrize("part_size", [MIB, 10 * MIB, 5 * GIB])
def test_parts_of_a_stream_keep_the_limits(part_size: int) -> None:
    """Parts of a stream never shrink, keep within 5 GiB, and 10 MiB of them hold 650 GiB."""
    sizes = [growing_size(part_size, number) for number in range(1, MOST_PARTS + 1)]

    assert sizes[:5000] == [part_size] * 5000
    assert sizes == sorted(sizes)
    assert max(sizes) <= 5 * GIB
    assert sum(sizes) >= min(67_000 * part_size, MOST_BYTES)

"""A thread that moves a body counts what has left, and not what it has read."""

from __future__ import annotations

import os
import socket
import time

import fastcrc
import pytest

from aiocos import TransportError
from aiocos.body import FileSpan
from aiocos.bulk import Line, SourceFailedError, Stop, Terms, pull, push
from aiocos.offload import FileWork, Tempo, Threads
from aiocos.pace import Meter
from tests.support.pumping import driven

PIECE = 256 * 1024
CONTENT = bytes(range(256)) * (PIECE // 256 * 4)
TERMS = Terms(0.3, Meter(None))


@pytest.fixture
def ends():
    """Two ends of a connection that holds little, and never waits."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        yield ours, theirs


@pytest.fixture
def span(tmp_path):
    """A file of four pieces, and how much of it was read."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    threads = Threads()
    file = os.open(path, os.O_RDONLY)
    read = []
    yield FileSpan(file, FileWork(threads), 0, len(CONTENT), read.append, lambda size: None), read
    os.close(file)
    threads.end()


def drained(end):
    received = b""
    try:
        while piece := end.recv(PIECE):
            received += piece
    except BlockingIOError:
        return received
    return received


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_an_answer_while_a_piece_is_on_its_way(ends, span, wanted):
    """A server that answers before it has taken all has not been sent all, to the last piece."""
    ours, theirs = ends
    body, read = span
    received = bytearray()

    def has_answer():
        """The server takes all that comes, but of piece ``wanted``; then it answers."""
        if len(read) < wanted:
            received.extend(drained(theirs))
        return len(read) >= wanted

    sent = driven(push(body, has_answer, TERMS, Line(ours.fileno()), Stop()), ours)
    received.extend(drained(theirs))
    assert sent.size == len(received) < len(CONTENT)
    assert bytes(received) == CONTENT[: len(received)]


def test_a_silent_peer_is_given_up(ends, span):
    """A peer that takes nothing more is not waited for beyond the idle time."""
    ours, _theirs = ends
    body, _ = span
    with pytest.raises(TransportError, match="in time"):
        driven(push(body, lambda: False, TERMS, Line(ours.fileno()), Stop()), ours)


class Trickle(Line):
    """Takes a piece little by little, and tells of it when it has all, as TLS does."""

    def __init__(self):
        self._refusals = 8

    def write(self, piece):
        if self._refusals:
            self._refusals -= 1
            raise BlockingIOError
        return len(piece)


def trickled(span, meter):
    """Send a body; for each bit that leaves, wait twice, less than the line may be idle."""
    steps = push(span[0], lambda: False, Terms(0.1, meter), Trickle(), Stop())
    awaited = next(steps)
    try:
        while True:
            for is_ready in (False, True) if awaited else (True,):
                time.sleep(0.03 if awaited else 0)
                awaited = steps.send(is_ready)
    except StopIteration as end:
        return end.value


def test_a_line_that_moves_is_not_idle(span):
    """Bytes that leave count against idleness at once, though their number is told later."""
    assert trickled(span, Meter(None)) == (len(CONTENT), fastcrc.crc64.xz(CONTENT))


def test_a_line_that_hardly_moves_is_given_up(span):
    """A line that can no longer be as quick as it must ends before it tells of a byte."""
    with pytest.raises(TransportError, match="slower than"):
        trickled(span, Meter((10**7, 0.2)))


def test_a_file_that_fails_is_not_the_connections_fault(ends, span):
    """What reading the file raises comes out as that."""
    ours, _theirs = ends
    body, _ = span
    with pytest.raises(SourceFailedError) as raised:
        driven(
            push(body._replace(file=-1), lambda: False, TERMS, Line(ours.fileno()), Stop()), ours
        )
    assert isinstance(raised.value.error, OSError)


class Taken:
    """Keeps what a pump has received."""

    def __init__(self, taken):
        self._taken = taken
        self.tempo = Tempo()
        self._room = memoryview(bytearray(1000))

    def room(self):
        return self._room

    def take_now(self, piece):
        self._taken.extend(piece)


def test_a_body_that_ends_early_is_no_body(ends):
    """A connection that closes before the body's end raises, and what came was used once."""
    ours, theirs = ends
    theirs.send(CONTENT[:5000])
    theirs.close()
    taken = bytearray()
    with pytest.raises(TransportError, match="before the body's end"):
        driven(pull([], 10_000, Taken(taken), TERMS, Line(ours.fileno()), Stop()), ours)
    assert fastcrc.crc64.xz(bytes(taken)) == fastcrc.crc64.xz(CONTENT[:5000])

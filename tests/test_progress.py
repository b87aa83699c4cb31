"""A progress_callback is told from nothing to the total, holds nothing up, and ends with it."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from aiocos import ParameterError, TransferError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.parts import MIB, content, file_of, small_parts

SOURCE = {"Bucket": BUCKET, "Key": "from", "Region": "ap-guangzhou"}
WAYS = ("upload", "download", "copy", "stream", "unknown stream")


@pytest.fixture
def mover(make_client, tmp_path):
    return make_client(transfers=small_parts(tmp_path))


async def unknown(whole):
    for start in range(0, len(whole), 100_000):
        yield whole[start : start + 100_000]


async def move(client, emulator, folder, way, size, **options):
    """Move so many bytes one way or another."""
    await emulator.put(BUCKET, "from", content(size))
    calls = {
        "upload": lambda: client.upload_file(BUCKET, "k", file_of(folder, size), **options),
        "download": lambda: client.download_file(BUCKET, "from", folder / "back", **options),
        "copy": lambda: client.copy(BUCKET, "k", SOURCE, **options),
        "stream": lambda: client.upload_stream(BUCKET, "k", content(size), **options),
        "unknown stream": lambda: client.upload_stream(
            BUCKET, "k", unknown(content(size)), **options
        ),
    }
    return await calls[way]()


def recorder(kind, told):
    """A callback of some kind that notes what it is told."""

    def plain(consumed, total):
        told.append((consumed, total))

    async def asynchronous(consumed, total):
        await asyncio.sleep(0)
        told.append((consumed, total))

    class Callable:
        async def __call__(self, consumed, total):
            await asynchronous(consumed, total)

    return {
        "plain": plain,
        "async": asynchronous,
        "partial": partial(plain),
        "async partial": partial(asynchronous),
        "object": Callable(),
    }[kind]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1000, MIB, 3 * MIB + 5])
async def test_from_nothing_to_the_total(mover, emulator, tmp_path, way, size):
    """It is told 0 at first and the total at last, and never less than before."""
    told = []

    await move(mover, emulator, tmp_path, way, size, progress_callback=recorder("plain", told))

    assert told[0][0] == 0
    assert told[-1] == (size, size)
    consumed = [state[0] for state in told]
    assert consumed == sorted(consumed)
    assert all(done <= total for done, total in told)
    if way != "unknown stream":
        assert {total for _, total in told} == {size}


@pytest.mark.parametrize("kind", ["plain", "async", "partial", "async partial", "object"])
async def test_callbacks_of_any_kind(mover, emulator, tmp_path, kind):
    """A plain function, a coroutine function and what stands for one are called alike."""
    told = []

    await move(mover, emulator, tmp_path, "upload", 2 * MIB, progress_callback=recorder(kind, told))

    assert (told[0], told[-1]) == ((0, 2 * MIB), (2 * MIB, 2 * MIB))


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_to_move(mover, emulator, tmp_path, way):
    """Of an empty file it is told once: nothing of nothing."""
    told = []

    await move(mover, emulator, tmp_path, way, 0, progress_callback=recorder("plain", told))

    assert told == [(0, 0)]


@pytest.mark.parametrize("way", ["upload", "stream"])
async def test_enable_md5_does_not_count(mover, emulator, tmp_path, way):
    """Reading a part for its MD5 is not progress."""
    told = []
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.06))

    await move(
        mover,
        emulator,
        tmp_path,
        way,
        3 * MIB,
        EnableMD5=True,
        MAXThread=1,
        progress_callback=recorder("async", told),
    )

    consumed = [done for done, _ in told]
    assert consumed == sorted(consumed)


@pytest.mark.parametrize("way", ["upload", "download", "stream"])
async def test_a_repeat_steps_back(mover, emulator, tmp_path, way):
    """What is sent again counts once: never more than the total, and the total in the end."""
    told = []
    for operation in ("UploadPart", "GetObject"):
        emulator.add_fault(FaultRule(operation=operation, nth=2, status=500, delay_s=0.1))

    await move(
        mover,
        emulator,
        tmp_path,
        way,
        3 * MIB,
        MAXThread=1,
        progress_callback=recorder("async", told),
    )

    assert max(told) == told[-1] == (3 * MIB, 3 * MIB)


async def test_a_slow_callback_holds_nothing_up(mover, emulator, tmp_path):
    """A plain callback that has not returned keeps neither the transfer nor the loop waiting."""
    done = threading.Event()
    waited = []

    def slow(consumed, total):
        waited.append(done.wait(20))

    moving = asyncio.create_task(
        move(mover, emulator, tmp_path, "upload", 4 * MIB, progress_callback=slow)
    )
    async with asyncio.timeout(15):
        while emulator.count("CompleteMultipartUpload", 200) < 1:
            await asyncio.sleep(0.01)
    assert waited == []  # it is still in its first call
    done.set()
    await moving

    assert all(waited)


class OwnError(Exception):
    pass


ERRORS = [OwnError("mine"), BrokenPipeError("nobody reads"), KeyError("k")]


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", [0, MIB])
async def test_a_callback_that_raises(mover, emulator, tmp_path, kind, error, when):
    """What it raises comes out as it is; the transfer ends, and the next call goes on."""
    cause = ValueError("why")
    told = []

    def plain(consumed, total):
        told.append(consumed)
        if consumed >= when:
            raise error from cause

    async def asynchronous(consumed, total):
        plain(consumed, total)

    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.15))
    with pytest.raises(type(error)) as caught:
        await move(
            mover,
            emulator,
            tmp_path,
            "upload",
            3 * MIB,
            MAXThread=1,
            progress_callback=plain if kind == "plain" else asynchronous,
        )
    calls = len(told)
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert_nothing_left(mover)

    emulator.heal()
    await mover.upload_file(BUCKET, "k", tmp_path / "source.bin")
    assert await emulator.read(BUCKET, "k") == content(3 * MIB)
    assert emulator.count("CreateMultipartUpload") <= 2 - (when > 0)
    assert len(told) == calls


async def test_a_callback_that_raises_stop_iteration(mover, emulator, tmp_path):
    """A StopIteration, which no coroutine can raise, is an error and not a wait for ever."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(
            move(
                mover,
                emulator,
                tmp_path,
                "upload",
                2 * MIB,
                progress_callback=lambda *_: next(iter(())),
            ),
            10,
        )


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
async def test_not_called_after_the_end(mover, emulator, tmp_path, end):
    """Once the transfer has returned or raised, it is called no more."""
    told = []
    if end == "failed":
        emulator.fail("UploadPart", part=2, status=403, code="AccessDenied")
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.05))
    moving = asyncio.create_task(
        move(
            mover,
            emulator,
            tmp_path,
            "upload",
            3 * MIB,
            MAXThread=1,
            progress_callback=recorder("plain", told),
        )
    )
    if end == "cancelled":
        while emulator.count("UploadPart") < 2:
            await asyncio.sleep(0.005)
        moving.cancel()
    await asyncio.wait({moving})

    calls = len(told)
    await asyncio.sleep(0.2)
    assert len(told) == calls
    if end == "done":
        assert told[-1] == (3 * MIB, 3 * MIB)
    else:
        assert told[-1][0] < 3 * MIB or end == "failed"


async def test_a_failure_keeps_its_cause(mover, emulator, tmp_path):
    """With a callback a failed transfer names its cause as it does without."""
    emulator.fail("UploadPart", status=403, code="AccessDenied")

    with pytest.raises(TransferError) as caught:
        await move(mover, emulator, tmp_path, "upload", 3 * MIB, progress_callback=lambda *_: None)

    assert caught.value.__cause__ is caught.value.failures[0].error


async def test_going_on_begins_where_it_was(mover, emulator, tmp_path):
    """A transfer that goes on is told from 0, and at once of what was done before."""
    emulator.fail("UploadPart", part=3, status=403, code="AccessDenied")
    with pytest.raises(TransferError):
        await move(mover, emulator, tmp_path, "upload", 3 * MIB, MAXThread=1)
    emulator.heal()
    told = []
    source = tmp_path / "source.bin"
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.2))

    await mover.upload_file(BUCKET, "k", source, progress_callback=recorder("async", told))

    assert (told[0], told[-1]) == ((0, 3 * MIB), (3 * MIB, 3 * MIB))
    assert told[1][0] >= 2 * MIB or told[2][0] >= 2 * MIB


async def test_what_cannot_be_called(mover, emulator, tmp_path):
    """A progress_callback that cannot be called is refused before anything is sent."""
    with pytest.raises(ParameterError, match="progress_callback"):
        await mover.upload_file(BUCKET, "k", file_of(tmp_path, 2 * MIB), progress_callback="print")

    assert emulator.requests == []

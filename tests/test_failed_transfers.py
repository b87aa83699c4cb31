"""A transfer that fails raises one error that says everything, and never a group of them."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle

import pytest

import aiocos
from aiocos import RetryPolicy
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import CONTENT, IN_PARTS, KINDS, OLD, PARTS, Moving


@pytest.fixture
def mover(make_client, emulator, tmp_path):
    def make(kind, **options):
        return Moving(kind, make_client(transfers=IN_PARTS), emulator, tmp_path, **options)

    return make


@pytest.mark.parametrize("kind", KINDS)
async def test_every_part_that_failed_is_named(mover, emulator, kind):
    """The error has each part that failed, with the server's own error and its request id."""
    moving = mover(kind, MAXThread=PARTS)
    await moving.prepare()
    await moving.put_old()
    emulator.add_fault(
        FaultRule(operation=moving.part_operation, delay_s=0.1, status=403, message="not you")
    )
    with pytest.raises(aiocos.TransferError) as caught:
        await moving.run()
    error = caught.value
    names = [failure.name for failure in error.failures]
    assert set(names) <= {f"part {number}" for number in range(1, PARTS + 1)}
    assert len(names) == len(set(names)) >= 1
    ids = [failure.error.get_request_id() for failure in error.failures]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(failure.error, aiocos.AccessDeniedError) for failure in error.failures)
    assert (error.get_error_code(), error.get_status_code()) == ("AccessDenied", 403)
    assert error.get_request_id() == ids[0] != aiocos.errors.UNKNOWN
    for text in (names[0], "AccessDenied", "not you", ids[0], "'target'" if kind != "download"
                 else "'source'"):  # fmt: skip
        assert text in str(error)
    assert error.__cause__ is error.failures[0].error
    assert error.journal == moving.journal
    assert await moving.arrived() == OLD
    assert_nothing_left(moving.client)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_error_survives_a_pickle(mover, kind, workers):
    """The error can be sent to another process, with all that it knows."""
    moving = mover(kind, MAXThread=workers)
    await moving.prepare()
    moving.break_part(2)
    with pytest.raises(aiocos.TransferError) as caught:
        await moving.run()
    for again in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert type(again) is aiocos.TransferError
        assert str(again) == str(caught.value)
        assert again.journal == caught.value.journal
        assert [each.name for each in again.failures] == ["part 2"]
        assert again.get_digest_msg() == caught.value.get_digest_msg()
        assert again.failures[0].error.get_request_id() != aiocos.errors.UNKNOWN


TROUBLES = {
    "refused": ({"status": 403}, aiocos.TransferError),
    "server error": ({"status": 500}, aiocos.TransferError),
    "reset": ({"reset_request": 0}, aiocos.TransferError),
    "garbage": ({"raw": "not HTTP at all\r\n\r\n"}, aiocos.TransferError),
    "redirect": ({"location": "http://127.0.0.1:1/", "status": 307}, aiocos.TransferError),
    "token": ({"expired_token": True}, aiocos.ExpiredTokenError),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("kind", KINDS)
async def test_no_group_of_errors_escapes(mover, emulator, kind, trouble):
    """Whatever goes wrong, and in how many parts at once, one typed error is raised."""
    moving = mover(kind, MAXThread=PARTS)
    await moving.prepare()
    rule, expected = TROUBLES[trouble]
    emulator.add_fault(FaultRule(operation=moving.part_operation, **rule))
    async with asyncio.timeout(30):
        with pytest.raises(expected) as caught:
            await moving.run()
    seen, links = caught.value, 0
    while seen is not None:
        assert not isinstance(seen, BaseExceptionGroup)
        seen, links = seen.__cause__ or seen.__context__, links + 1
        assert links < 20
    assert_nothing_left(moving.client)
    emulator.heal()
    await moving.run()
    assert await moving.arrived() == CONTENT


async def test_a_broken_callback_is_the_callers_own(mover, emulator):
    """An error in the caller's progress callback does not harm the file."""
    moving = mover("upload")
    await moving.prepare()

    def callback(consumed, total):
        raise ZeroDivisionError("the caller's")

    try:
        await moving.run(progress_callback=callback)
    except ZeroDivisionError:
        assert_nothing_left(moving.client)
    else:
        assert await emulator.read(BUCKET, "target") == CONTENT


async def test_a_broken_stream_is_the_callers_own(mover, emulator):
    """An error in the stream that is uploaded is raised as it is, and nothing is left."""
    moving = mover("upload")

    async def stream():
        yield CONTENT
        raise ZeroDivisionError("the caller's")

    with pytest.raises(ZeroDivisionError):
        await moving.client.upload_stream(BUCKET, "target", stream(), PartSize=1)
    assert await emulator.uploads(BUCKET) == []
    assert not await moving.client.object_exists(BUCKET, "target")
    assert_nothing_left(moving.client)


@pytest.mark.parametrize("length", [len(CONTENT) - 1, len(CONTENT) + 1])
async def test_a_stream_that_breaks_its_promise(mover, emulator, length):
    """A stream of another length than ContentLength raises, and nothing is completed."""
    moving = mover("upload")

    async def stream():
        yield CONTENT

    with pytest.raises(aiocos.IntegrityError):
        await moving.client.upload_stream(
            BUCKET, "target", stream(), PartSize=1, ContentLength=length
        )
    assert await emulator.uploads(BUCKET) == []
    assert not await moving.client.object_exists(BUCKET, "target")


# -- uploads that may have been begun


@pytest.mark.parametrize("form", ["upload", "copy", "stream"])
async def test_a_lost_create_is_told(mover, emulator, form):
    """Where the answer to the first request was lost, the result says what may be left."""
    moving = mover("upload" if form == "stream" else form)
    await moving.prepare()
    emulator.add_fault(FaultRule(operation="CreateMultipartUpload", times=2, lose_response=True))
    if form == "stream":
        body = io.BytesIO(CONTENT)
        result = await moving.client.upload_stream(BUCKET, "target", body, PartSize=1)
    else:
        result = await moving.run()
    assert await moving.arrived() == CONTENT
    assert result["possible_orphans"] == 2
    assert len(await emulator.uploads(BUCKET)) == 2


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_no_orphans_are_told_where_there_are_none(mover, emulator, kind):
    """A request that was refused began nothing: nothing is told."""
    moving = mover(kind)
    await moving.prepare()
    emulator.add_fault(FaultRule(operation="CreateMultipartUpload", times=2, status=503))
    result = await moving.run()
    assert "possible_orphans" not in result
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_orphans_are_told_after_a_resumption(mover, emulator, kind):
    """What may be left of the first attempt is told by the one that succeeds."""
    moving = mover(kind)
    await moving.prepare()
    emulator.add_fault(FaultRule(operation="CreateMultipartUpload", times=1, lose_response=True))
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    result = await moving.run()
    assert result["possible_orphans"] == 1
    assert len(await emulator.uploads(BUCKET)) == 1


# -- storms


@pytest.mark.parametrize("kind", KINDS)
async def test_a_passing_storm_costs_nothing_but_time(mover, emulator, kind):
    """Parts that fail now and then are moved again, each for itself."""
    moving = mover(kind, MAXThread=3)
    await moving.prepare()
    storm = emulator.add_fault(
        FaultRule(operation=moving.part_operation, every=2, times=4, status=503)
    )
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert (moving.parts_moved, storm.fired) == (PARTS, 4)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lasting_storm_ends_in_an_error(make_client, emulator, tmp_path, kind):
    """Row 20: a server that refuses everything is asked a bounded number of times."""
    client = make_client(
        retry=RetryPolicy(base=0.001, throttle_base=0.001, budget=50), transfers=IN_PARTS
    )
    moving = Moving(kind, client, emulator, tmp_path, MAXThread=PARTS)
    await moving.prepare()
    storm = emulator.add_fault(FaultRule(operation=moving.part_operation, status=503))
    with pytest.raises(aiocos.TransferError) as caught:
        await moving.run()
    assert isinstance(caught.value.failures[0].error, aiocos.ThrottledError)
    assert storm.fired <= PARTS + 50 // 5

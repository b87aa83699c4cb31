"""When an answer is lost it is found out what was done, and nothing is done twice."""

from __future__ import annotations

import pytest

import aiocos
from aiocos import RetryPolicy, Timeouts
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left

PIECES = [bytes(range(256)) * 4096, b"the end"]
WHOLE = b"".join(PIECES)

# The operation took place, and its answer did not arrive.
LOST = {
    "hung up": {"lose_response": True},
    "500 instead": {"applied": True, "status": 500},
    "502 page instead": {"applied": True, "status": 502, "body": "<html>"},
    "garbage instead": {"applied": True, "raw": "\x16\x03\x01"},
    "504 instead": {"applied": True, "status": 504, "body": ""},
}
# It did not take place, and nothing says so.
NOT_DONE = {
    "reset": {"reset_request": 0},
    "500": {"status": 500},
    "silence": {"blackhole": True},
}


@pytest.fixture
def client(make_client):
    return make_client(Timeouts=Timeouts(response_header=0.5, complete=0.5))


@pytest.fixture
def one_attempt(make_client):
    return make_client(retry=RetryPolicy(max_attempts=1))


def strike(emulator, operation, times=1, **rule):
    return emulator.add_fault(FaultRule(operation=operation, times=times, **rule))


def asked(emulator):
    return [record.operation for record in emulator.requests]


# -- completing an upload


@pytest.fixture
async def upload(client, emulator):
    identity = (await client.create_multipart_upload(BUCKET, "k"))["UploadId"]
    parts = []
    for number, piece in enumerate(PIECES, 1):
        part = await client.upload_part(BUCKET, "k", piece, number, identity)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    emulator.forget_requests()
    return identity, {"Part": parts}


@pytest.mark.parametrize("how", LOST)
async def test_a_completion_that_was_done(one_attempt, client, emulator, upload, how):
    """A completed upload whose answer was lost is found to be complete, and not repeated."""
    for attempt in (client, one_attempt):
        if attempt is one_attempt:
            identity = (await client.create_multipart_upload(BUCKET, "k"))["UploadId"]
            part = await client.upload_part(BUCKET, "k", b"x", 1, identity)
            upload = identity, {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            emulator.forget_requests()
        lost = strike(emulator, "CompleteMultipartUpload", **LOST[how])
        result = await attempt.complete_multipart_upload(BUCKET, "k", *upload)
        head = await attempt.head_object(BUCKET, "k")
        assert result["ETag"] == head["ETag"]
        assert (result["Bucket"], result["Key"]) == (BUCKET, "k")
        assert lost.fired == emulator.count("CompleteMultipartUpload") == 1
    assert await emulator.uploads(BUCKET) == []
    assert_nothing_left(client)


@pytest.mark.parametrize("how", NOT_DONE)
async def test_a_completion_that_was_not_done(client, emulator, upload, how):
    """A completion that did not take place is looked into and made again."""
    fault = strike(emulator, "CompleteMultipartUpload", **NOT_DONE[how])
    await client.complete_multipart_upload(BUCKET, "k", *upload)
    assert await emulator.read(BUCKET, "k") == WHOLE
    assert asked(emulator) == [
        "CompleteMultipartUpload",
        "HeadObject",
        "ListParts",
        "CompleteMultipartUpload",
    ]
    assert fault.fired == 1


async def test_a_completion_over_an_older_object(client, emulator, upload):
    """An older object under the same key is not taken for the completed one."""
    await emulator.put(BUCKET, "k", b"old")
    strike(emulator, "CompleteMultipartUpload", reset_request=0)
    await client.complete_multipart_upload(BUCKET, "k", *upload)
    assert await emulator.read(BUCKET, "k") == WHOLE
    assert emulator.count("CompleteMultipartUpload") == 2


async def test_a_completion_over_the_same_content(client, emulator, upload):
    """An older object of the very same parts is not taken for the completed one either."""
    await client.complete_multipart_upload(BUCKET, "k", *upload)
    again = await client.create_multipart_upload(BUCKET, "k", Metadata={"x-cos-meta-n": "2"})
    for number, piece in enumerate(PIECES, 1):
        await client.upload_part(BUCKET, "k", piece, number, again["UploadId"])
    strike(emulator, "CompleteMultipartUpload", reset_request=0)
    await client.complete_multipart_upload(BUCKET, "k", again["UploadId"], upload[1])
    assert (await client.head_object(BUCKET, "k"))["x-cos-meta-n"] == "2"
    assert await emulator.uploads(BUCKET) == []


async def test_a_completion_by_who_may_not_list_parts(client, emulator, upload):
    """Where parts may not be listed, the object is proof enough."""
    lost = strike(emulator, "CompleteMultipartUpload", lose_response=True)
    strike(emulator, "ListParts", times=None, status=403)
    await client.complete_multipart_upload(BUCKET, "k", *upload)
    assert lost.fired == emulator.count("CompleteMultipartUpload") == 1


async def test_a_completion_that_cannot_be_told(client, emulator, upload):
    """If the upload is gone and another object is there, the error says that it is open."""
    strike(emulator, "CompleteMultipartUpload", lose_response=True)
    strike(emulator, "HeadObject", replace_object="someone else's")
    with pytest.raises(aiocos.AmbiguousResultError, match="upload is gone"):
        await client.complete_multipart_upload(BUCKET, "k", *upload)
    assert emulator.count("CompleteMultipartUpload") == 1


async def test_a_completion_that_cannot_be_looked_into(client, emulator, upload):
    """If looking is not allowed, the error says that the result is open, not that it failed."""
    strike(emulator, "CompleteMultipartUpload", lose_response=True)
    strike(emulator, "HeadObject", times=None, status=403)
    with pytest.raises(aiocos.AmbiguousResultError) as caught:
        await client.complete_multipart_upload(BUCKET, "k", *upload)
    assert isinstance(caught.value.__cause__, aiocos.TransportError)
    assert emulator.count("CompleteMultipartUpload") == 1


async def test_completing_what_is_not_there(client, emulator, upload):
    """An upload that never was is a plain refusal: nothing was lost, nothing is looked into."""
    with pytest.raises(aiocos.NotFoundError) as caught:
        await client.complete_multipart_upload(BUCKET, "k", "no-such-upload", upload[1])
    assert caught.value.code == "NoSuchUpload"
    assert asked(emulator) == ["CompleteMultipartUpload"]


async def test_completing_after_a_busy_answer(client, emulator, upload):
    """After a 503, which says not done, a missing upload is a true refusal."""
    strike(emulator, "CompleteMultipartUpload", status=503)
    strike(emulator, "CompleteMultipartUpload", times=None, status=404, code="NoSuchUpload")
    with pytest.raises(aiocos.NotFoundError):
        await client.complete_multipart_upload(BUCKET, "k", *upload)
    assert asked(emulator) == ["CompleteMultipartUpload"] * 2


# -- appending


@pytest.mark.parametrize("position", [0, 5])
@pytest.mark.parametrize("how", LOST)
async def test_an_append_that_was_done(client, one_attempt, emulator, how, position):
    """An append whose answer was lost is found at the end of the object, and not repeated."""
    for attempt, key in ((client, "a"), (one_attempt, "b")):
        if position:
            await client.append_object(BUCKET, key, 0, b"first")
        emulator.forget_requests()
        lost = strike(emulator, "AppendObject", **LOST[how])
        result = await attempt.append_object(BUCKET, key, position, b"second")
        assert result["x-cos-next-append-position"] == str(position + 6)
        assert await emulator.read(BUCKET, key) == b"first"[:position] + b"second"
        assert lost.fired == emulator.count("AppendObject") == 1


@pytest.mark.parametrize("position", [0, 5])
@pytest.mark.parametrize("how", NOT_DONE)
async def test_an_append_that_was_not_done(client, emulator, how, position):
    """An append that did not take place is looked into and made again."""
    if position:
        await client.append_object(BUCKET, "a", 0, b"first")
    emulator.forget_requests()
    strike(emulator, "AppendObject", **NOT_DONE[how])
    await client.append_object(BUCKET, "a", position, b"second")
    assert await emulator.read(BUCKET, "a") == b"first"[:position] + b"second"
    assert asked(emulator) == ["AppendObject", "HeadObject", "AppendObject"]


@pytest.mark.parametrize("other", ["firstsecand", "first and much more", "fi"])
async def test_an_append_beside_another_writers(client, emulator, other):
    """If someone else wrote meanwhile, the error tells the length that the object has."""
    await client.append_object(BUCKET, "a", 0, b"first")
    strike(emulator, "AppendObject", reset_request=0)
    strike(emulator, "HeadObject", replace_object=other)
    with pytest.raises(aiocos.AmbiguousResultError) as caught:
        await client.append_object(BUCKET, "a", 5, b"second")
    assert caught.value.next_position == len(other)
    assert await emulator.read(BUCKET, "a") == other.encode()
    assert emulator.count("AppendObject") == 2


async def test_an_append_of_a_stream_that_was_lost(client, emulator):
    """A stream whose append was lost cannot be compared: the error says that it is open."""

    async def once():
        yield b"second"

    await client.append_object(BUCKET, "a", 0, b"first")
    strike(emulator, "AppendObject", lose_response=True)
    with pytest.raises(aiocos.AmbiguousResultError) as caught:
        await client.append_object(BUCKET, "a", 5, once(), ContentLength=6)
    assert caught.value.next_position == 11
    assert await emulator.read(BUCKET, "a") == b"firstsecond"


async def test_a_wrong_position_is_a_plain_refusal(client, emulator):
    """A position that is wrong from the start raises at once, also after a busy answer."""
    await client.append_object(BUCKET, "a", 0, b"first")
    emulator.forget_requests()
    strike(emulator, "AppendObject", status=503)
    with pytest.raises(aiocos.PreconditionError):
        await client.append_object(BUCKET, "a", 3, b"second")
    assert asked(emulator) == ["AppendObject"] * 2
    assert await emulator.read(BUCKET, "a") == b"first"


# -- beginning an upload


@pytest.mark.parametrize(("how", "orphans"), [(LOST["hung up"], 1), (NOT_DONE["reset"], 0)])
async def test_a_beginning_that_was_lost(client, emulator, how, orphans):
    """An upload begun twice is told as one that may be left over, and none is aborted."""
    strike(emulator, "CreateMultipartUpload", **how)
    result = await client.create_multipart_upload(BUCKET, "k")
    assert result["possible_orphans"] == 1
    there = [identity for _, identity in await emulator.uploads(BUCKET)]
    assert result["UploadId"] in there
    assert len(there) == 1 + orphans
    assert emulator.count("CreateMultipartUpload") == 2


async def test_a_beginning_that_was_refused_leaves_nothing(client, emulator):
    """A 503 says that no upload was begun: nothing may be left over."""
    strike(emulator, "CreateMultipartUpload", status=503)
    assert "possible_orphans" not in await client.create_multipart_upload(BUCKET, "k")


# -- what can be done only once


async def begin(client, emulator):
    return (await client.create_multipart_upload(BUCKET, "k"))["UploadId"]


async def archive(client, emulator):
    await client.put_object(BUCKET, b"x", "k", StorageClass="ARCHIVE")


async def make_bucket(client, emulator):
    await client.create_bucket(OTHER)


async def nothing(client, emulator):
    return None


OTHER = "other-1250000000"
ONCE = {
    "AbortMultipartUpload": (
        begin,
        lambda client, made: client.abort_multipart_upload(BUCKET, "k", made),
        aiocos.NotFoundError,
    ),
    "RestoreObject": (
        archive,
        lambda client, made: client.restore_object(BUCKET, "k", {"Days": 1}),
        aiocos.PreconditionError,
    ),
    "CreateBucket": (
        nothing,
        lambda client, made: client.create_bucket(OTHER),
        aiocos.PreconditionError,
    ),
    "DeleteBucket": (
        make_bucket,
        lambda client, made: client.delete_bucket(OTHER),
        aiocos.NotFoundError,
    ),
}


@pytest.mark.parametrize("is_connection_new", [True, False])
@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("operation", ONCE)
async def test_what_was_done_is_not_refused(
    client, make_client, emulator, operation, how, is_connection_new
):
    """A repeat that is refused because the first one had succeeded counts as a success."""
    prepare, act, _ = ONCE[operation]
    made = await prepare(client, emulator)
    if is_connection_new:
        client = make_client()
    else:
        await client.head_bucket(BUCKET)
    lost = strike(emulator, operation, **LOST[how])
    emulator.forget_requests()
    await act(client, made)
    assert lost.fired == 1
    assert asked(emulator) == [operation] * 2
    assert_nothing_left(client)


@pytest.mark.parametrize("first", [None, {"status": 503}, {"status": 429}], ids=str)
@pytest.mark.parametrize("operation", ONCE)
async def test_a_true_refusal_stays_one(client, emulator, operation, first):
    """The same refusal raises where no earlier attempt can have caused it."""
    prepare, act, refusal = ONCE[operation]
    made = await prepare(client, emulator)
    await act(client, made)
    emulator.forget_requests()
    if first is not None:
        strike(emulator, operation, **first)
    with pytest.raises(refusal):
        await act(client, made)
    assert asked(emulator) == [operation] * (1 if first is None else 2)


@pytest.mark.parametrize("how", LOST)
async def test_a_deletion_may_be_repeated(client, emulator, how):
    """A deletion whose answer was lost is made again, and succeeds."""
    await emulator.put(BUCKET, "k", b"x")
    lost = strike(emulator, "DeleteObject", **LOST[how])
    await client.delete_object(BUCKET, "k")
    assert lost.fired == 1
    assert emulator.count("DeleteObject") == 2
    assert not await client.object_exists(BUCKET, "k")


# -- answers that cannot be read


@pytest.mark.parametrize("readable", [0, 1])
async def test_a_completion_whose_answers_cannot_be_read(client, emulator, upload, readable):
    """A completion that was done is found also where no answer of it could be read."""
    if not readable:
        strike(emulator, "CompleteMultipartUpload", body="<CompleteMultipart")
    strike(emulator, "CompleteMultipartUpload", body="<CompleteMultipart", applied=True)
    result = await client.complete_multipart_upload(BUCKET, "k", *upload)
    assert result["ETag"]
    assert await emulator.read(BUCKET, "k") == WHOLE
    assert emulator.count("CompleteMultipartUpload") == 2 - readable

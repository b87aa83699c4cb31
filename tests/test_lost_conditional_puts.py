"""A conditional put whose answer is lost is known again, and another's is never taken for it."""

from __future__ import annotations

import time

import pytest

import aiocos
from tests.conftest import BUCKET
from tests.test_lost_answers import LOST, NOT_DONE, WHOLE, asked, client, one_attempt, strike

__all__ = ["client", "one_attempt"]


@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("given", [{"IfNoneMatch": "*"}, {"ForbidOverwrite": "true"}], ids=str)
async def test_a_conditional_put_that_was_done(client, one_attempt, emulator, given, how):
    """An object stored under a condition whose answer was lost is recognised as ours."""
    for attempt, key in ((client, "a"), (one_attempt, "b")):
        emulator.forget_requests()
        lost = strike(emulator, "PutObject", **LOST[how])
        result = await attempt.put_object(BUCKET, WHOLE, key, **given)
        assert result["ETag"]
        assert await emulator.read(BUCKET, key) == WHOLE
        assert lost.fired == emulator.count("PutObject") == 1


async def test_a_conditional_put_that_was_replaced(client, emulator):
    """One whose answer was lost, and which another object has replaced, is not called refused."""
    lost = strike(emulator, "PutObject", lose_response=True)
    strike(emulator, "HeadObject", replace_object="someone else's")
    with pytest.raises(aiocos.AmbiguousResultError, match="cannot be told") as caught:
        await client.put_object(BUCKET, WHOLE, "a", IfNoneMatch="*")
    assert isinstance(caught.value.__cause__, aiocos.PreconditionError)
    assert lost.fired == 1
    assert emulator.count("PutObject") == 2


@pytest.mark.parametrize("how", NOT_DONE)
async def test_a_conditional_put_that_was_not_done(client, emulator, how):
    """One that did not take place is made again."""
    strike(emulator, "PutObject", **NOT_DONE[how])
    await client.put_object(BUCKET, WHOLE, "a", IfNoneMatch="*")
    assert asked(emulator) == ["PutObject", "HeadObject", "PutObject"]


@pytest.mark.parametrize("first", [{"status": 503}, {"reset_request": 0}, {"lose_response": True}])
async def test_a_condition_that_was_not_met(client, emulator, first):
    """Another's object is never taken for ours, whatever happened to the first answer."""
    emulator.clock.set(time.time() - 3600)
    await emulator.put(BUCKET, "a", b"another's")
    emulator.clock.reset()
    strike(emulator, "PutObject", **first)
    with pytest.raises(aiocos.PreconditionError):
        await client.put_object(BUCKET, WHOLE, "a", IfNoneMatch="*")
    assert await emulator.read(BUCKET, "a") == b"another's"
    assert emulator.count("PutObject") == 2


async def test_a_conditional_put_of_the_same_content(client, emulator):
    """What was there before, and has the same bytes, is not taken for what was to replace it."""
    first = await client.put_object(BUCKET, WHOLE, "a", Metadata={"x-cos-meta-n": "1"})
    strike(emulator, "PutObject", reset_request=0)
    given = {"IfMatch": first["ETag"], "Metadata": {"x-cos-meta-n": "2"}}
    await client.put_object(BUCKET, WHOLE, "a", **given)
    assert (await client.head_object(BUCKET, "a"))["x-cos-meta-n"] == "2"


async def test_a_lock_that_another_has_held_for_long(client, emulator):
    """Who finds his own words in a lock that is older than his attempt has not taken it."""
    emulator.clock.set(time.time() - 3600)
    await emulator.put(BUCKET, "lock", b"locked")
    emulator.clock.reset()
    strike(emulator, "PutObject", reset_request=0)
    with pytest.raises(aiocos.PreconditionError):
        await client.put_object(BUCKET, b"locked", "lock", IfNoneMatch="*")

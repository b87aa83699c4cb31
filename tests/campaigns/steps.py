"""What a user does with whole objects, each step in the bucket and in its model.

In: a world, what to do, and a number that says what goes wrong meanwhile. Out: AssertionError
where the two part.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import aiocos
from tests.campaigns.model import Change, Entry, etag_of, forget
from tests.campaigns.world import NOTE, Ended, World

_EXISTS: Final = frozenset({"FileAlreadyExists", "PreconditionFailed"})
_NO_KEY: Final = frozenset({"NoSuchKey"})
_UNTOLD: Final = frozenset({"NoSuchResource"})
"""An answer to HEAD has no code, so the client gives it one."""


def flipped(content: bytes) -> bytes:
    """Content of which the first byte was damaged on its way."""
    return bytes([content[0] ^ 0xFF]) + content[1:]


async def put(world: World, key: str, size: int, condition: str, strike: int) -> None:
    """Store an object, with or without a condition on what is there."""
    model, content, note = world.model, world.content(size), world.note()
    options, refusal = _condition(world, key, condition)
    armed = world.armed("PutObject", strike)
    ended = await world.call(
        f"put {key!r} {condition}",
        armed,
        world.client.put_object(world.bucket, content, key, Metadata={NOTE: note}, **options),
    )
    change = model.put(Entry(content, etag_of(content), note))
    if refusal and armed.applied and ended.error is None:
        raise AssertionError("a condition that did not hold was taken for met")
    await world.judge(
        ended,
        armed,
        {key: change},
        refusal=refusal,
        once=bool(options),
        removed={key: taken_away(world)},
    )


def taken_away(world: World) -> Change:
    """What becomes of damaged content: it is deleted, and what it had replaced is gone."""
    model = world.model
    return (lambda old: old) if model.versioning == "Enabled" else model.delete()


def _condition(world: World, key: str, name: str) -> tuple[dict[str, Any], frozenset[str]]:
    """The keyword of a condition, and the codes by which it must be refused."""
    live, none = world.model.live(key), frozenset[str]()
    if name == "if absent":
        return {"IfNoneMatch": "*"}, _EXISTS if live else none
    if name == "forbid overwrite" and not world.model.versioning:
        return {"ForbidOverwrite": "true"}, _EXISTS if live else none
    if name == "if match" and live and live.etag:
        return {"IfMatch": live.etag}, none
    if name == "if other":
        return {"IfMatch": etag_of(b"another")}, _EXISTS
    return {}, none


async def append(world: World, key: str, size: int, is_right: bool, strike: int) -> None:
    """Add to an object's end, or to where its end is not."""
    model, data, note = world.model, world.content(size), world.note()
    live = model.live(key)
    length = len(live.content or b"") if live else 0
    position = length if is_right else length + 3
    refusal: frozenset[str] = frozenset()
    if live and not live.is_appendable:
        refusal = frozenset({"ObjectNotAppendable"})
    elif not is_right:
        refusal = frozenset({"AppendPositionErr", "PositionNotEqualToLength"})
    armed = world.armed("AppendObject", strike)
    call = world.client.append_object(world.bucket, key, position, data, Metadata={NOTE: note})
    ended = await world.call(f"append {key!r} at {position}", armed, call)
    change = model.append(data, note)
    damaged = model.append(flipped(data), note)
    if not ended.error and not refusal:
        told = ended.result["x-cos-next-append-position"]
        world.require(told == str(position + len(data)), f"next position {told}")
    if not ended.error and ended.result["verified"] == "size" and armed.applied:
        # After an answer that was lost the client does not know what the object was: it says so.
        before = model.entries(key)
        await world.learn(key, {1: change(before), 2: damaged(before)})
        return
    await world.judge(
        ended, armed, {key: change}, refusal=refusal, once=True, removed={key: damaged}
    )


async def copy(world: World, source: str, key: str, how: str, strike: int) -> None:
    """Copy or move an object; a move that fails may have come half way."""
    if source == key:
        return
    model, entry = world.model, world.model.live(source)
    origin = {"Bucket": world.bucket, "Key": source, "Region": world.emulator.region}
    armed = world.armed("CopyObject" if strike % 5 else "HeadObject", strike)
    client, note = world.client, world.note()
    if how == "copy_object":
        armed = world.armed("CopyObject", strike)
        call: Any = client.copy_object(
            world.bucket, key, origin, CopyStatus="Replaced", Metadata={NOTE: note}
        )
    else:
        call = getattr(client, how)(world.bucket, key, origin)
    ended = await world.call(f"{how} {source!r} to {key!r}", armed, call)
    if entry is None:
        refusal = _NO_KEY | _UNTOLD
        await world.judge(ended, armed, {key: lambda old: old}, refusal=refusal)
        return
    new = replace(entry, version=None, is_appendable=False)
    if how == "copy_object":
        new = replace(new, note=note)
    changes = {key: model.put(new)}
    if how != "move":
        await world.judge(ended, armed, changes)
        return
    await world.judge(ended if ended.error is None else _opened(ended), armed, changes)
    gone = {source: model.delete()}
    await world.judge(ended if ended.error is None else _opened(ended), armed, gone)


def _opened(ended: Ended) -> Ended:
    """The error of one half says nothing of the other."""
    return Ended(error=aiocos.AmbiguousResultError(str(ended.error)))


async def delete(world: World, key: str, which: int, strike: int) -> None:
    """Delete an object, or one of its versions."""
    model, entries = world.model, world.model.entries(key)
    change, options = model.delete(), {}
    if model.versioning and entries and which:
        version = entries[which % len(entries)].version
        change, options = forget(version), {"VersionId": version}
    armed = world.armed("DeleteObject", strike)
    call: Any = world.client.delete_object(world.bucket, key, **options)  # type: ignore[arg-type]
    ended = await world.call(f"delete {key!r} {options or ''}", armed, call)
    await world.judge(ended, armed, {key: change})


async def delete_many(world: World, keys: list[str], strike: int) -> None:
    """Delete a few keys by one request."""
    armed = world.armed("DeleteObjects", strike)
    wanted: Any = {"Object": [{"Key": key} for key in keys]}
    call = world.client.delete_objects(world.bucket, wanted)
    ended = await world.call(f"delete_objects {keys}", armed, call)
    if ended.error is None:
        told = [one["Key"] for one in ended.result["Deleted"]]
        world.require(told == keys and not ended.result["Error"], f"deleted {told}")
    await world.judge(ended, armed, dict.fromkeys(keys, world.model.delete()))

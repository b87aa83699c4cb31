"""The steps a user takes, each in the bucket and in its model.

In: a world, what to do, and a number that says what goes wrong meanwhile. Out: AssertionError
where the two part.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiocos
from tests.campaigns.model import Change, Entry, Upload, etag_of, forget, grouped
from tests.campaigns.world import NOTE, Ended, World

MIB: Final = 1 << 20
_EXISTS: Final = frozenset({"FileAlreadyExists", "PreconditionFailed"})
_NO_KEY: Final = frozenset({"NoSuchKey"})
_NO_UPLOAD: Final = frozenset({"NoSuchUpload"})
_UNTOLD: Final = frozenset({"NoSuchResource"})
"""An answer to HEAD has no code, so the client gives it one."""


def flipped(content: bytes) -> bytes:
    """Content of which the first byte was damaged on its way."""
    return bytes([content[0] ^ 0xFF]) + content[1:]


# -- objects


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
        removed={key: _taken_away(world)},
    )


def _taken_away(world: World) -> Change:
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
    # Further on COS tells a checksum of more than was sent.
    armed = world.armed("AppendObject", strike, is_checked=position == 0)
    call = world.client.append_object(world.bucket, key, position, data, Metadata={NOTE: note})
    ended = await world.call(f"append {key!r} at {position}", armed, call)
    change = model.append(data, note)
    damaged = model.append(flipped(data), note)
    if not ended.error and not refusal:
        told = ended.result["x-cos-next-append-position"]
        world.require(told == str(position + len(data)), f"next position {told}")
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


# -- uploads in parts


async def create(world: World, key: str, strike: int) -> None:
    """Begin an upload; one whose id was lost is counted."""
    note = world.note()
    armed = world.armed("CreateMultipartUpload", strike)
    call = world.client.create_multipart_upload(world.bucket, key, Metadata={NOTE: note})
    ended = await world.call(f"create {key!r}", armed, call)
    named = armed.applied
    if ended.error is None:
        identity = ended.result["UploadId"]
        world.model.uploads[identity] = Upload(key, note)
        named = ended.result.get("possible_orphans", 0)
    else:
        world.require(armed.count, f"refused without a cause: {ended.error!r}")
    if armed.count:
        await world.learn_uploads(named, note)


async def chosen(world: World, which: int, *, has_parts: bool = False) -> tuple[str, Upload]:
    """One of the uploads under way; where there is none, it is begun."""
    uploads = world.model.uploads
    if not uploads:
        await create(world, "a/b", 0)
    identity, upload = list(uploads.items())[which % len(uploads)]
    if has_parts and not upload.parts:
        await part(world, which, 2, 1, 0)
    return identity, upload


async def part(world: World, which: int, number: int, size: int, strike: int) -> None:
    """Upload a part; the same number again takes its place."""
    identity, upload = await chosen(world, which)
    data = world.content(size)
    armed = world.armed("UploadPart", strike)
    call = world.client.upload_part(world.bucket, upload.key, data, number, identity)
    ended = await world.call(f"part {number} of {upload.key!r}", armed, call)
    await _judge_part(world, ended, armed, identity, number, data)


async def _judge_part(
    world: World, ended: Ended, armed: Any, identity: str, number: int, data: bytes
) -> None:
    upload = world.model.uploads[identity]
    before = upload.parts.get(number)
    if ended.error is None:
        upload.parts[number] = data
        return
    world.require(armed.count, f"refused without a cause: {ended.error!r}")
    may_be = ended.is_open and armed.applied
    after: list[bytes | None] = [data, flipped(data)] if may_be else []
    await world.learn_part(identity, number, [before, *after])


async def part_copy(world: World, which: int, number: int, source: str, strike: int) -> None:
    """Make a part of another object, or of its first bytes."""
    entry = world.model.live(source)
    if entry is None or not entry.content:
        return
    identity, upload = await chosen(world, which)
    last = len(entry.content) - 1 if which % 2 else 0
    origin = {"Bucket": world.bucket, "Key": source, "Region": world.emulator.region}
    armed = world.armed("UploadPartCopy", strike)
    call: Any = world.client.upload_part_copy(
        world.bucket, upload.key, number, identity, origin, CopySourceRange=f"bytes=0-{last}"
    )
    ended = await world.call(f"part_copy {number} of {upload.key!r}", armed, call)
    await _judge_part(world, ended, armed, identity, number, entry.content[: last + 1])


async def parts(world: World, which: int, page: int, strike: int) -> None:
    """List the parts of an upload, page by page."""
    identity, upload = await chosen(world, which)
    armed = world.armed("ListParts", strike)
    call = _all_parts(world, upload.key, identity, page)
    ended = await world.call(f"list_parts of {upload.key!r}", armed, call)
    if ended.error is None:
        expected = [(number, etag_of(data)) for number, data in sorted(upload.parts.items())]
        world.require(ended.result == expected, f"parts {ended.result}, not {expected}")


async def _all_parts(world: World, key: str, identity: str, page: int) -> list[tuple[int, str]]:
    listed = world.client.iter_parts(world.bucket, key, identity, MaxParts=page)
    return [(int(one["PartNumber"]), one["ETag"]) async for one in listed]


async def complete(world: World, which: int, is_wrong: bool, strike: int) -> None:
    """Join the parts; what is joined is an object, and its upload is gone."""
    identity, upload = await chosen(world, which, has_parts=True)
    numbers = sorted(upload.parts)
    pieces = [upload.parts[number] for number in numbers]
    etags = [etag_of(b"wrong") if is_wrong else etag_of(piece) for piece in pieces]
    listed: Any = {
        "Part": [{"PartNumber": n, "ETag": e} for n, e in zip(numbers, etags, strict=True)]
    }
    armed = world.armed("CompleteMultipartUpload", strike)
    call = world.client.complete_multipart_upload(world.bucket, upload.key, identity, listed)
    ended = await world.call(f"complete {upload.key!r}", armed, call)
    new = Entry(b"".join(pieces), etag_of(*pieces, joined=True), upload.note)
    refusal = frozenset({"InvalidPart"}) if is_wrong else frozenset[str]()
    changes = {upload.key: world.model.put(new)}
    if await world.judge(ended, armed, changes, refusal=refusal, once=True):
        del world.model.uploads[identity]


async def abort(world: World, which: int, strike: int) -> None:
    """Give an upload up."""
    identity, upload = await chosen(world, which)
    armed = world.armed("AbortMultipartUpload", strike)
    call = world.client.abort_multipart_upload(world.bucket, upload.key, identity)
    ended = await world.call(f"abort {upload.key!r}", armed, call)
    del world.model.uploads[identity]
    if ended.error is not None:
        world.require(armed.count, f"refused without a cause: {ended.error!r}")
        kept = await world.learn_uploads(1)
        world.require(kept or armed.applied, "an upload went without a request for it")
        if identity in world.model.uploads:
            world.model.uploads[identity] = upload


# -- files


async def upload_file(world: World, key: str, is_large: bool, kept: bool, strike: int) -> None:
    """Upload a file; where that fails, the same call again finishes it, or nothing is left."""
    content = world.content(MIB + 7 if is_large else 9)
    source, note = Path(world.folder, "source"), world.note()
    source.write_bytes(content)
    main = ("UploadPart", "CompleteMultipartUpload", "CreateMultipartUpload")[strike // 2 % 3]
    options: Any = {"JournalDir": str(world.folder)} if kept else {"Resume": False}

    def send() -> Any:
        return world.client.upload_file(
            world.bucket, key, source, PartSize=1, Metadata={NOTE: note}, **options
        )

    armed = world.armed(main if is_large else "PutObject", strike)
    ended = await world.call(f"upload_file {key!r}", armed, send())
    pieces = [content[:MIB], content[MIB:]] if is_large else [content]
    new = Entry(content, etag_of(*pieces, joined=is_large), note)
    change = {key: world.model.put(new)}
    removed = {key: _taken_away(world)}
    await world.judge(ended, armed, change, once=is_large, removed=removed)
    if ended.error is not None and kept:
        healed = world.armed("", 0)
        again = await world.call(f"upload_file {key!r} again", healed, send())
        world.require(again.error is None, f"the next call fails: {again.error!r}")
        # The first call may have finished all but the answer of it.
        await world.settle({key: [change]}, range(2))
        live = world.model.live(key)
        world.require(live and live.content == content, "I1: success, and other bytes")
    lost = armed.count if ended.error else ended.result.get("possible_orphans", 0)
    await world.learn_uploads(lost, note)
    source.unlink()


async def download_file(world: World, key: str, strike: int) -> None:
    """Download into a file that has an older content until it has all of the new one."""
    entry, target = world.model.live(key), Path(world.folder, "target")
    target.write_bytes(b"older")
    armed = world.armed("GetObject", strike)
    call = world.client.download_file(
        world.bucket, key, target, PartSize=1, JournalDir=str(world.folder)
    )
    ended = await world.call(f"download_file {key!r}", armed, call)
    content = target.read_bytes()
    target.unlink()
    if ended.error is None:
        world.require(entry and content == entry.content, f"I1: {key!r}: other bytes")
        return
    world.require(content == b"older", "I4: a download that failed changed the file")
    is_missing = isinstance(ended.error, aiocos.NotFoundError)
    world.require(armed.count or (is_missing and not entry), f"refused: {ended.error!r}")
    for path in world.folder.iterdir():  # what the next call would have gone on from
        path.unlink()


# -- reading


async def read(world: World, key: str, first: int, which: int, strike: int) -> None:
    """Read an object, a range of it, or an older version."""
    model, entries, options = world.model, world.model.entries(key), {}
    entry = model.live(key)
    if model.versioning and entries and which:
        entry = entries[which % len(entries)]
        options["VersionId"] = entry.version
    content = entry.content if entry else None
    if first and content and first < len(content):
        options["Range"] = f"bytes={first}-"
        content = content[first:]
    armed = world.armed("GetObject", strike, is_checked="Range" not in options)
    ended = await world.call(f"get {key!r} {options}", armed, _content(world, key, options))
    if ended.error is None:
        world.require(content == ended.result, f"I1: {key!r}: other bytes than the model has")
    elif not armed.count:
        world.require(content is None, f"{key!r} is there: {ended.error!r}")


async def _content(world: World, key: str, options: Any) -> bytes:
    response = await world.client.get_object(world.bucket, key, **options)
    async with response["Body"] as body:
        return await body.read()


async def head(world: World, key: str, strike: int) -> None:
    """Look at an object: size, ETag, metadata."""
    entry = world.model.live(key)
    armed = world.armed("HeadObject", strike)
    ended = await world.call(f"head {key!r}", armed, world.client.head_object(world.bucket, key))
    if ended.error is not None:
        world.require(armed.count or entry is None, f"{key!r} is there: {ended.error!r}")
        return
    world.require(entry is not None, f"{key!r} is not there")
    assert entry is not None
    told = ended.result
    world.require(told["Content-Length"] == str(len(entry.content or b"")), "another length")
    world.require(entry.etag in {None, told["ETag"]}, "another ETag")
    world.require(told.get(NOTE, "") == entry.note, "other metadata")


async def listing(world: World, prefix: str, delimiter: str, page: int, strike: int) -> None:
    """List objects and common prefixes, page by page: nothing twice, nothing left out."""
    armed = world.armed("ListObjects", strike)
    ended = await world.call(
        f"list {prefix!r} {delimiter!r} by {page}", armed, _pages(world, prefix, delimiter, page)
    )
    if ended.error is None:
        expected = grouped(world.model.keys(), prefix, delimiter)
        world.require(ended.result == expected, f"listed {ended.result}, not {expected}")


async def _pages(
    world: World, prefix: str, delimiter: str, size: int
) -> tuple[list[str], list[str]]:
    keys: list[str] = []
    prefixes: list[str] = []
    marker = ""
    while True:
        page: Any = await world.client.list_objects(
            world.bucket, Prefix=prefix, Delimiter=delimiter, Marker=marker, MaxKeys=size
        )
        count = len(page["Contents"]) + len(page["CommonPrefixes"])
        world.require(count <= size, f"a page of {count}, not {size}")
        keys += [one["Key"] for one in page["Contents"]]
        prefixes += [one["Prefix"] for one in page["CommonPrefixes"]]
        if page["IsTruncated"] != "true":
            return keys, prefixes
        marker = page["NextMarker"]


async def versioning(world: World, status: str) -> None:
    """Keep versions from now on, or no longer."""
    await world.client.put_bucket_versioning(world.bucket, status)  # type: ignore[arg-type]
    world.model.versioning = status

"""What a user does with files and parts, each step in the bucket and in its model.

In: a world, what to do, and a number that says what goes wrong meanwhile. Out: AssertionError
where the two part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import aiocos
from tests.campaigns.model import Entry, Upload, etag_of
from tests.campaigns.steps import flipped, taken_away
from tests.campaigns.world import NOTE, Ended, World

MIB: Final = 1 << 20


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
    removed = {key: taken_away(world)}
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

"""Every way in which content is read, and what each gave out before it failed.

In: a client and a key. Out: the bytes that a caller saw, from which place in the content on,
and the error. What is written to files counts when it is there at the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiocos
from aiocos import CosEncryptionClient, CosException
from aiocos.encoding.headers import user_metadata
from tests.conftest import BUCKET


class Released(NamedTuple):
    """What a caller got."""

    content: bytes
    offset: int
    error: CosException | None


Way = Callable[[CosEncryptionClient, str], Awaitable[Released]]


async def _body(client: CosEncryptionClient, key: str, **options: Any) -> Any:
    return (await client.get_object(BUCKET, key, **options))["Body"]


async def _collected(client: CosEncryptionClient, key: str, size: int | None) -> Released:
    """Iterate, in pieces as they come or of a size; then see that nothing follows an error."""
    seen = bytearray()
    try:
        body = await _body(client, key)
    except CosException as error:
        return Released(b"", 0, error)
    try:
        async for piece in body if size is None else body.get_stream(size):
            seen += piece
    except CosException as error:
        for _ in range(2):
            try:
                more = await body.read(10)
            except CosException:
                continue
            raise AssertionError(f"{len(more)} bytes were given out behind an error") from error
        return Released(bytes(seen), 0, error)
    assert body.verified == "aead"
    return Released(bytes(seen), 0, None)


async def iterated(client: CosEncryptionClient, key: str) -> Released:
    return await _collected(client, key, None)


async def in_small_pieces(client: CosEncryptionClient, key: str) -> Released:
    return await _collected(client, key, 1000)


async def in_large_pieces(client: CosEncryptionClient, key: str) -> Released:
    return await _collected(client, key, 70_000)


async def at_once(client: CosEncryptionClient, key: str) -> Released:
    try:
        return Released(await (await _body(client, key)).read(), 0, None)
    except CosException as error:
        return Released(b"", 0, error)


async def _into_file(write: Callable[[Path], Awaitable[object]]) -> Released:
    """What is at the destination, and nothing beside it."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "target"
        error = None
        try:
            await write(target)
        except CosException as caught:
            error = caught
        content = target.read_bytes() if target.exists() else b""
        left = [path.name for path in Path(folder).iterdir() if path.name != "target"]
        assert left == [], left
    return Released(content, 0, error)


async def to_file(client: CosEncryptionClient, key: str) -> Released:
    async def write(target: Path) -> None:
        await (await _body(client, key)).get_stream_to_file(target)

    return await _into_file(write)


async def downloaded(client: CosEncryptionClient, key: str) -> Released:
    async def write(target: Path) -> None:
        await client.download_file(BUCKET, key, target, Resume=False)

    return await _into_file(write)


async def downloaded_dir(client: CosEncryptionClient, key: str) -> Released:
    """The directory that the object is alone in; a failure is that of the one object."""
    with tempfile.TemporaryDirectory() as folder:
        error: CosException | None = None
        try:
            prefix = key.rpartition("/")[0]
            await client.download_dir(BUCKET, prefix, folder, Resume=False)
        except aiocos.TransferError as caught:
            (failure,) = caught.failures
            assert isinstance(failure.error, CosException)
            error = failure.error
        found = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert [path.name for path in found] in ([], [key.rpartition("/")[2]])
        return Released(b"".join(path.read_bytes() for path in found), 0, error)


def ranged(first: int, last: int | None) -> Way:
    """Read a range; without ``last``, to the end."""

    async def read(client: CosEncryptionClient, key: str) -> Released:
        wanted = f"bytes={first}-{'' if last is None else last}"
        try:
            return Released(await (await _body(client, key, Range=wanted)).read(), first, None)
        except CosException as error:
            return Released(b"", first, error)

    return read


WHOLE: dict[str, Way] = {
    "read": at_once,
    "iteration": iterated,
    "get_stream of 1,000": in_small_pieces,
    "get_stream of 70,000": in_large_pieces,
    "get_stream_to_file": to_file,
    "download_file": downloaded,
    "download_dir": downloaded_dir,
}
FILES = ("get_stream_to_file", "download_file", "download_dir")


class Stored(NamedTuple):
    """An object as COS has it."""

    content: bytes
    metadata: dict[str, str]


async def stored(plain: aiocos.CosS3Client, key: str) -> Stored:
    """Look at an object without a key."""
    answer = await plain.get_object(BUCKET, key)
    return Stored(await answer["Body"].read(), user_metadata(answer))


async def store(plain: aiocos.CosS3Client, key: str, what: Stored) -> None:
    """Put an object there as whoever may write to the bucket can."""
    await plain.put_object(BUCKET, what.content, key, Metadata=what.metadata)

"""Directories for tests: planted, and read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from aiocos import CosS3Client, TransferError
from tests.conftest import BUCKET


def plant(directory: Path, contents: Mapping[str, bytes] | Iterable[str]) -> Path:
    """Make files; those that are only named hold their name."""
    if not isinstance(contents, Mapping):
        contents = {name: name.encode() for name in contents}
    for name, content in contents.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def tree(directory: Path) -> dict[str, bytes]:
    """Contents of all files below, by name; temporary ones would show too."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


async def stored(client: CosS3Client, prefix: str = "") -> list[str]:
    """All keys of the bucket."""
    return [item["Key"] async for item in client.iter_objects(BUCKET, Prefix=prefix)]


async def put_all(
    client: CosS3Client, contents: Mapping[str, bytes] | Iterable[str]
) -> dict[str, bytes]:
    """Store objects; those that are only named hold their name."""
    if not isinstance(contents, Mapping):
        contents = {key: key.encode() for key in contents}
    for key, content in contents.items():
        await client.put_object(BUCKET, content, key)
    return dict(contents)


def causes(failed: TransferError) -> dict[str, type[Exception]]:
    """What kind of error each thing failed with."""
    return {failure.name: type(failure.error) for failure in failed.failures}

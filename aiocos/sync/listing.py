"""The objects below a prefix, proven to be a listing before anybody acts on it.

In: a CosFolder. Out: objects in the order of their keys' bytes, a page at a time. A listing that
goes backwards, tells of other keys than were asked for, or is empty where the bucket cannot be
seen is an error: a deletion must never rest on it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from aiocos.encoding.headers import number
from aiocos.encoding.urls import Target
from aiocos.errors import ResponseParseError
from aiocos.operations.buckets import HEAD_BUCKET
from aiocos.operations.listing import LIST_OBJECTS, MAX_KEYS
from aiocos.operations.objects import HEAD_OBJECT
from aiocos.session import Session
from aiocos.sync.actions import RemoteState
from aiocos.sync.places import CosFolder, addressed
from aiocos.transfer.batch import closing
from aiocos.transfer.job import Operator

_FIELDS = {"": ("Prefix", "Marker", "NextMarker"), "Contents": ("Key",)}


class RemoteObject(NamedTuple):
    """An object; ``path`` is its key below the prefix."""

    path: str
    state: RemoteState


def target_of(session: Session, folder: CosFolder) -> Target:
    """Return where a folder is asked for."""
    if not folder.is_elsewhere:
        return session.endpoints.bucket(folder.Bucket)
    return session.endpoints.source(folder.source("x"))


async def remote_objects(
    client: Operator, folder: CosFolder, *, proves_empty: bool
) -> AsyncIterator[list[RemoteObject]]:
    """List everything below a folder; ``proves_empty`` looks at the bucket if that is nothing.

    Raises:
        ResponseParseError: the answer is no listing of it.
        CosServiceError: COS refused.
    """
    session = await client._ready()
    target = target_of(session, folder)
    query = {"prefix": folder.Prefix, "delimiter": "", "max-keys": str(MAX_KEYS)}

    async def page(Marker: str) -> Any:
        asked = {**query, "marker": Marker}
        return await client._page(
            LIST_OBJECTS, asked, _FIELDS, "", {}, Bucket=folder.Bucket, target=target
        )

    last, is_empty = b"", True
    pages = client._pages(partial(page), {"Marker": ""}, {"Marker": "NextMarker"}, "Contents")
    async with closing(pages) as listing:
        async for found in listing:
            objects, last = _checked(found["Contents"], folder.Prefix, last)
            if objects:
                is_empty = False
                yield objects
            elif found["IsTruncated"] == "true":
                raise ResponseParseError("a page of the listing is empty, and is not the last")
    if is_empty and proves_empty:
        await client._invoke(HEAD_BUCKET, {}, Bucket=folder.Bucket, target=target)


def _checked(
    contents: list[Mapping[str, Any]], prefix: str, last: bytes
) -> tuple[list[RemoteObject], bytes]:
    """Return the objects of a page that comes behind the key ``last``."""
    objects = []
    start = len(prefix)
    for item in contents:
        key = item["Key"]
        if not key.startswith(prefix):
            raise ResponseParseError(f"asked for keys that begin with {prefix!r}, got {key!r}")
        this = key.encode("utf-8", "surrogatepass")
        if this <= last:
            raise ResponseParseError(f"the listing goes backwards at {key!r}")
        size = number(item.get("Size") or "")
        if size is None or not item.get("ETag"):
            raise ResponseParseError(f"the listing tells no size or ETag of {key!r}")
        state = RemoteState(size, item["ETag"], item.get("LastModified") or "")
        objects.append(RemoteObject(key[start:], state))
        last = this
    return objects, last


async def head_of(client: Operator, folder: CosFolder, path: str) -> Mapping[str, Any]:
    """Return the headers of an object below a folder.

    Raises:
        NotFoundError: there is none.
    """
    session = await client._ready()
    head: Any = await client._invoke(
        HEAD_OBJECT,
        {},
        Bucket=folder.Bucket,
        Key=addressed(folder.key(path)),
        target=target_of(session, folder),
    )
    return head  # type: ignore[no-any-return]

"""Journals of files that have arrived: an earlier sync was killed before it removed them.

In: the two sides of a plan, once it was carried out. Out: of each journal of a transfer
between them nobody will go on with, because the file and the object are the same by now, the
upload is aborted and the journal gone. All others stay.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Final

from aiocos.encoding.urls import key_path
from aiocos.errors import CosException, NotFoundError
from aiocos.offload import in_thread
from aiocos.sync.actions import LocalState
from aiocos.sync.comparing import hashed
from aiocos.sync.listing import head_of
from aiocos.sync.pinned import present_state
from aiocos.sync.places import CosFolder, LocalFolder, addressed
from aiocos.sync.planfile import PlanHeader
from aiocos.transfer import remnants
from aiocos.transfer.journal import place_of
from aiocos.transfer.remnants import Remnant
from aiocos.transfer.trees import Work

_log: Final = logging.getLogger("aiocos")


async def remove_spent(work: Work, header: PlanHeader) -> None:
    """Remove the journals between two sides that are of no more use."""
    source, destination = header.source, header.destination
    sides = (destination, source) if isinstance(source, LocalFolder) else (source, destination)
    there, here = sides
    if not isinstance(here, LocalFolder) or not isinstance(there, CosFolder):
        return  # only of local files a sync keeps journals of its own accord
    operation = "upload" if here is source else "download"
    executor = (await work.client._ready()).executor
    given = work.terms.JournalDir or work.client.transfers.config.journal_dir
    directory = None if given is None else Path(given)
    for remnant in await in_thread(executor, remnants.find, directory):
        if remnant.in_use or remnant.problem or remnant.operation != operation:
            continue
        path = _path_below(here, remnant)
        if path is None or not await _is_between(work, there, path, remnant):
            continue
        try:
            await _remove(work, there, here, path, remnant)
        except (CosException, OSError) as error:
            _log.warning("the journal %s stays: %s", remnant.path, error)


def _path_below(here: LocalFolder, remnant: Remnant) -> str | None:
    path = os.path.relpath(remnant.local, here.path) if os.path.isabs(remnant.local) else ""
    is_below = path and here.file(path) == remnant.local
    return path if is_below else None


async def _is_between(work: Work, there: CosFolder, path: str, remnant: Remnant) -> bool:
    """Whether it is the journal of this very file and object, on this server."""
    session = await work.client._ready()
    identity = {
        "operation": remnant.operation,
        "endpoint": session.endpoints.bucket(work.bucket).host,
        "bucket": there.Bucket,
        "key": key_path(addressed(there.key(path))),
        "path": remnant.local,
    }
    return place_of(remnant.path.parent, identity) == remnant.path


async def _remove(
    work: Work, there: CosFolder, here: LocalFolder, path: str, remnant: Remnant
) -> None:
    executor = (await work.client._ready()).executor
    with remnants.held(remnant) as is_free:
        if not is_free or not await _is_same(work, there, here, path):
            return
        if remnant.upload_id:
            key = addressed(there.key(path))
            with contextlib.suppress(NotFoundError):
                await work.client.abort_multipart_upload(there.Bucket, key, remnant.upload_id)
        await in_thread(executor, remnants.remove_held, remnant)


async def _is_same(work: Work, there: CosFolder, here: LocalFolder, path: str) -> bool:
    """Whether the object has the content of the file."""
    executor = (await work.client._ready()).executor
    present = await in_thread(executor, present_state, Path(here.file(path)))
    try:
        head = await head_of(work.client, there, path)
    except NotFoundError:
        return False
    if not isinstance(present, LocalState) or head.get("Content-Length") != str(present.size):
        return False
    known = await in_thread(executor, hashed, here.file(path), present)
    return head.get("x-cos-hash-crc64ecma") == known.crc64

"""AppendObject.

In: a ``Call``. Out: a ``Reply``, or a refusal.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from . import access, attributes, crc64, versions
from .blobs import Blob
from .database import Job
from .errors import CosError
from .objects import written
from .records import Attributes, Version
from .wire import Call, Reply, natural


async def append_object(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    position = natural(call.params.get("position", ""))
    if position is None:
        raise CosError("InvalidArgument", "position must be a number, 0 or more.")
    call.body.require_length(or_chunked=False)
    described = replace(attributes.from_headers(call), kind="appendable")
    blob = await call.receive()
    try:
        saved = await call.run(_append, call, described, position, blob)
    except CosError:
        call.discard(blob)
        raise
    headers = {
        "ETag": f'"{saved.etag}"',
        "x-cos-next-append-position": str(saved.size),
        "x-cos-hash-crc64ecma": str(saved.crc),
        **written(call, saved),
    }
    return Reply(200, headers)


def _append(job: Job, call: Call, described: Attributes, position: int, blob: Blob) -> Version:
    bucket, key = call.target.bucket, call.key
    old = versions.present(job, bucket, key)
    if old is not None and old.attributes.kind != "appendable":
        raise CosError("ObjectNotAppendable")
    length = old.size if old is not None else 0
    if position != length:
        raise CosError("AppendPositionErr", headers={"x-cos-next-append-position": str(length)})
    if length + blob.size > call.services.limits.max_object_size:
        raise CosError("EntityTooLarge")
    if old is None:
        first = Version(
            bucket=bucket,
            key=key,
            modified=call.now,
            size=blob.size,
            etag=blob.md5,
            crc=blob.crc,
            attributes=described,
            layout=blob.layout,
        )
        return versions.save(job, first)
    # Versioning does not make a new version of each append: the newest one grows.
    grown = replace(
        old,
        modified=call.now,
        size=length + blob.size,
        etag=_chained(old.etag, blob.md5),
        crc=crc64.join(old.crc, blob.crc, blob.size),
        layout=old.layout + blob.layout,
    )
    job.use(blob.layout)
    versions.update(job, grown)
    return grown


def _chained(etag: str, md5: str) -> str:
    """The ETag of an appended object changes with each append; it is no MD5 of the whole."""
    return hashlib.md5(bytes.fromhex(etag + md5), usedforsecurity=False).hexdigest()

"""Symlinks: objects that are read as another object of their bucket.

In: a ``Call``. Out: a ``Reply``, or a refusal. A symlink has an ACL, metadata, tags and
versions of its own; its content, by size and ETag, is the key of its target. Source: COS
documentation, "Symlink overview".
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from urllib.parse import quote

from . import access, attributes, crc64, versions
from .errors import CosError
from .objects import guard, locate, written
from .records import Version
from .routing import decode
from .wire import Call, Reply

TARGET = "x-cos-symlink-target"


async def put_symlink(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    # Some clients encode the key, some do not.
    target = decode(call.headers.get(TARGET, ""))
    if not target or target == call.key:
        raise CosError("InvalidArgument", f"{TARGET} must name another object.")
    if len(target.encode()) > call.services.limits.max_key_size:
        raise CosError("KeyTooLong")
    content = target.encode()
    described = replace(attributes.from_headers(call), kind="symlink", target=target)
    new = Version(
        bucket=bucket.name,
        key=call.key,
        modified=call.now,
        size=len(content),
        etag=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        crc=crc64.extend(0, content),
        attributes=replace(described, storage_class="STANDARD"),
    )
    saved = await call.run(versions.save, new, guard(call.headers))
    return Reply(200, {"ETag": f'"{saved.etag}"', **written(call, saved)})


async def get_symlink(call: Call) -> Reply:
    bucket, version = call.bucket(), await call.run(locate, call)
    access.read(call.caller, bucket, version)
    if not version.attributes.target:
        raise CosError("InvalidRequest", "The object is not a symlink.")
    told = attributes.describe(version, call.now, versioned=bool(bucket.versioning))
    return Reply(200, {**told, TARGET: quote(version.attributes.target, safe="/-_.~")})

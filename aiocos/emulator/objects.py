"""PutObject, GetObject, HeadObject, DeleteObject and DeleteObjects.

In: a ``Call``. Out: a ``Reply``, or a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from . import access, attributes, referers, versions
from .blobs import Blob, cut
from .conditions import Verdict, judge, span
from .database import Job
from .errors import CosError
from .records import NULL, Attributes, Bucket, Version
from .versions import Guard, Removal
from .wire import Call, Reply, xml_reply
from .xml import Element, Node

MAX_DELETED = 1000
_OVERRIDES = {f"response-{name}": header for name, header in attributes.STORED_HEADERS.items()}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


# -- writing


async def put_object(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    call.body.require_length(or_chunked=True)
    described = attributes.from_headers(call)
    blob = await call.receive()
    saved = await save(call, blob, described)
    headers = {
        "ETag": f'"{saved.etag}"',
        "x-cos-hash-crc64ecma": str(saved.crc),
        **written(call, saved),
    }
    return Reply(200, headers)


async def save(call: Call, blob: Blob, described: Attributes) -> Version:
    """Make a stored body the object; it is removed again if that is refused."""
    new = Version(
        bucket=call.target.bucket,
        key=call.key,
        modified=call.now,
        size=blob.size,
        etag=blob.md5,
        crc=blob.crc,
        attributes=described,
        layout=blob.layout,
    )
    try:
        saved = await call.run(versions.save, new, guard(call.headers))
    except CosError:
        call.discard(blob)
        raise
    return saved


def guard(headers: Mapping[str, str]) -> Guard:
    """The conditions of a write."""
    return Guard(
        forbid_overwrite=headers.get("x-cos-forbid-overwrite", "").lower() == "true",
        if_match=headers.get("if-match", ""),
        if_none_match=headers.get("if-none-match", ""),
    )


def written(call: Call, saved: Version) -> dict[str, str]:
    """What every answer to a write tells of the object."""
    told = dict(saved.attributes.encryption)
    told |= attributes.customer_headers(attributes.customer_key(call.headers))
    if saved.version != NULL:
        told["x-cos-version-id"] = saved.version
    return told


# -- reading


async def get_object(call: Call) -> Reply:
    version, headers = await _look(call)
    if headers is None:
        return Reply(304, {"ETag": f'"{version.etag}"'})
    if not attributes.is_readable(version, call.now):
        raise CosError("InvalidObjectState")
    headers |= _overrides(call)
    wanted = span(call.headers.get("range", ""), version.size)
    if wanted is None:
        return Reply(200, headers, version.layout)
    headers["Content-Range"] = wanted.content_range(version.size)
    return Reply(206, headers, cut(version.layout, wanted.start, wanted.length))


async def head_object(call: Call) -> Reply:
    version, headers = await _look(call)
    if headers is None:
        return Reply(304, {"ETag": f'"{version.etag}"'})
    return Reply(200, headers, version.layout)


async def _look(call: Call) -> tuple[Version, dict[str, str] | None]:
    """The object and its headers; none if the caller's copy is good still."""
    bucket = call.bucket()
    _check_referer(call, bucket)
    version = await find(call, bucket, call.key, call.params.get("versionId", ""))
    told = attributes.check_customer_key(version.attributes, call.headers)
    verdict = judge(call.headers, version)
    if verdict is Verdict.FAILED:
        raise CosError("PreconditionFailed")
    if verdict is Verdict.NOT_MODIFIED:
        return version, None
    headers = attributes.describe(version, call.now, versioned=bool(bucket.versioning))
    return version, headers | told


async def find(call: Call, bucket: Bucket, key: str, version_id: str) -> Version:
    """The version asked for, if the caller may read it; kept until the answer is sent.

    For a symlink it is what the link stands for.
    """
    try:
        version = call.hold(await call.run(versions.find, bucket.name, key, version_id))
    except CosError:
        access.list_objects(call.caller, bucket)
        raise
    access.read(call.caller, bucket, version)
    target = version.attributes.target
    if not target:
        return version
    linked = call.hold(await call.run(versions.find, bucket.name, target))
    access.read(call.caller, bucket, linked)
    if linked.attributes.target:
        raise CosError("InvalidArgument", "The target of a symlink is a symlink.")
    return linked


def locate(job: Job, call: Call) -> Version:
    """The version a request names, itself, without its content; strangers learn of none."""
    version_id = call.params.get("versionId", "")
    try:
        return versions.find(job, call.target.bucket, call.key, version_id, pin=False)
    except CosError:
        access.list_objects(call.caller, call.bucket())
        raise


def _check_referer(call: Call, bucket: Bucket) -> None:
    stored = call.services.configurations.get(bucket.name, "BucketReferer")
    if stored is not None:
        is_signed = bool(call.caller.owner)
        referers.check(stored, call.headers.get("referer", ""), is_signed=is_signed)


def _overrides(call: Call) -> dict[str, str]:
    """Response headers the caller asks for in the query."""
    chosen = {
        header: call.params[name] for name, header in _OVERRIDES.items() if call.params.get(name)
    }
    if chosen and not call.caller.owner:
        raise CosError("InvalidRequest", "Response headers cannot be chosen anonymously.")
    if any(_CONTROL.search(value) for value in chosen.values()):
        raise CosError("InvalidArgument", "A response header cannot hold control characters.")
    return chosen


# -- deleting


async def delete_object(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    version_id = call.params.get("versionId", "")
    removal = await call.run(_remove, bucket.name, call.key, version_id, call.now)
    headers: dict[str, str] = {}
    if removal.version is not None:
        headers["x-cos-version-id"] = removal.version
    if removal.marker:
        headers["x-cos-delete-marker"] = "true"
    return Reply(204, headers)


def _remove(job: Job, bucket: str, key: str, version_id: str, now: int) -> Removal:
    return versions.remove(job, versions.bucket_named(job, bucket), key, version_id, now)


async def delete_objects(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    if "content-md5" not in call.headers:
        raise CosError("InvalidRequest", "Missing required header for this request: Content-MD5")
    quiet, wanted = await call.body.xml("Delete", _deletions)
    limit = call.services.limits.max_key_size
    good = [pair for pair in wanted if 0 < len(pair[0].encode()) <= limit]
    removals = await call.run(_remove_all, bucket.name, good, call.now)
    done = [] if quiet else [_deleted(*found) for found in zip(good, removals, strict=True)]
    refused = [_refused(*pair) for pair in wanted if pair not in good]
    return xml_reply("DeleteResult", done + refused)


def _deletions(body: Element) -> tuple[bool, list[tuple[str, str]]]:
    """Whether to be quiet, and the keys and versions to delete."""
    wanted = [
        (entry.text("Key") or "", entry.text("VersionId") or "")
        for entry in body.children("Object")
    ]
    if not 1 <= len(wanted) <= MAX_DELETED:
        raise CosError("MalformedXML", f"Delete must name 1 to {MAX_DELETED} objects.")
    return (body.text("Quiet") or "").lower() == "true", wanted


def _remove_all(job: Job, bucket: str, wanted: list[tuple[str, str]], now: int) -> list[Removal]:
    return [_remove(job, bucket, key, version_id, now) for key, version_id in wanted]


def _deleted(wanted: tuple[str, str], removal: Removal) -> Node:
    key, version_id = wanted
    nodes: list[Node] = [("Key", key)]
    if version_id:
        nodes.append(("VersionId", version_id))
    if removal.marker:
        nodes += [("DeleteMarker", True), ("DeleteMarkerVersionId", removal.version)]
    return ("Deleted", nodes)


def _refused(key: str, version_id: str) -> Node:
    error = CosError("KeyTooLong" if key else "InvalidArgument")
    nodes: list[Node] = [("Key", key), ("Code", error.code), ("Message", error.message)]
    if version_id:
        nodes.insert(1, ("VersionId", version_id))
    return ("Error", nodes)

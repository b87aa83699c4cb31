"""CopyObject, and the source of every copy.

In: a ``Call`` whose x-cos-copy-source names an object. Out: a ``Reply``, or a refusal. The
copy shares the blobs of its source: no content moves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from . import access, attributes, versions
from .clock import short_date
from .conditions import Verdict, judge
from .errors import CosError
from .objects import find, guard, written
from .records import Attributes, Bucket, Version
from .routing import Hosts, decode
from .wire import Call, Reply, xml_reply
from .xml import Node

_SOURCE = "x-cos-copy-source"


class Source(NamedTuple):
    """What is copied; its content is kept until the answer is sent."""

    bucket: Bucket
    version: Version

    def headers(self) -> dict[str, str]:
        if not self.bucket.versioning:
            return {}
        return {"x-cos-copy-source-version-id": self.version.version}


async def copy_object(call: Call) -> Reply:
    bucket = call.bucket()
    access.write(call.caller, bucket)
    source = await open_source(call)
    if source.version.size > call.services.limits.max_object_size:
        raise CosError("InvalidRequest", "The copy source is larger than one copy may move.")
    described = _described(call, source)
    new = replace(
        source.version,
        bucket=bucket.name,
        key=call.key,
        modified=call.now,
        attributes=described,
    )
    saved = await call.run(versions.save, new, guard(call.headers))
    nodes: list[Node] = [
        ("ETag", f'"{saved.etag}"'),
        ("CRC64", str(saved.crc)),
        ("LastModified", short_date(saved.modified)),
    ]
    return xml_reply("CopyObjectResult", nodes, written(call, saved) | source.headers())


async def open_source(call: Call) -> Source:
    """The source, if the caller may read it and it is as its conditions want it."""
    name, key, version_id = _parse(call.headers[_SOURCE], call.services.hosts)
    bucket = call.services.buckets.get(name)
    if bucket is None:
        raise CosError("NoSuchBucket", "The bucket of the copy source does not exist.")
    await call.services.sweeper.settle(name)
    version = await find(call, bucket, key, version_id)
    attributes.check_customer_key(version.attributes, call.headers, "x-cos-copy-source-")
    if judge(call.headers, version, "x-cos-copy-source-") is not Verdict.GO:
        raise CosError("PreconditionFailed")
    if not attributes.is_readable(version, call.now):
        raise CosError("InvalidObjectState")
    return Source(bucket, version)


def _parse(text: str, hosts: Hosts) -> tuple[str, str, str]:
    """Bucket, key and version of ``host/key[?versionId=id]`` or ``/bucket/key``."""
    path, _, query = text.partition("?")
    scheme, mark, rest = path.partition("://")
    path = rest if mark and scheme in ("http", "https") else path.lstrip("/")
    first, _, raw_key = path.partition("/")
    bucket, key = decode(first), decode(raw_key)
    if "." in bucket:
        place = hosts.place(bucket)
        bucket = place.bucket if place is not None else ""
    name, _, version_id = query.partition("=")
    if not bucket or not key or (query and name.lower() != "versionid"):
        raise CosError("InvalidCopySource")
    return bucket, key, decode(version_id)


def _tagging(call: Call, given: Attributes, old: Attributes) -> str:
    """The tags of the copy: like metadata, copied unless it is said otherwise."""
    directive = call.headers.get("x-cos-tagging-directive") or "Copy"
    if directive not in ("Copy", "Replaced"):
        raise CosError("InvalidArgument", "x-cos-tagging-directive must be Copy or Replaced.")
    return old.tagging if directive == "Copy" else given.tagging


def _described(call: Call, source: Source) -> Attributes:
    """The attributes of the copy: the source's, or those that came with the request."""
    directive = call.headers.get("x-cos-metadata-directive") or "Copy"
    if directive not in ("Copy", "Replaced"):
        raise CosError("InvalidArgument", "x-cos-metadata-directive must be Copy or Replaced.")
    old, given = source.version.attributes, attributes.from_headers(call)
    given = replace(given, tagging=_tagging(call, given, old))
    if directive == "Replaced":
        return given
    if (
        (source.bucket.name, source.version.key) == (call.target.bucket, call.key)
        and source.version.latest
        and given.storage_class == old.storage_class
        and not call.headers.get("x-cos-server-side-encryption")
        and not given.customer_key
    ):
        raise CosError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes.",
        )
    return replace(given, headers=old.headers)

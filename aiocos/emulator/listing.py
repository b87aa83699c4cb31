"""ListObjects, ListObjectVersions, ListMultipartUploads and ListParts.

In: a ``Call``. Out: a page. Keys come in the order of their UTF-8 bytes; entries and
common prefixes together fill a page, and a prefix is passed over in one step however many
keys it stands for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import quote

from . import access, uploads
from .clock import listing_date
from .database import Job
from .errors import CosError
from .records import Attributes, Part
from .wire import Call, Reply, xml_reply
from .xml import Node

PAGE = 1000

Row: TypeAlias = tuple[Any, ...]
"""A database row whose first two columns are its key and its number."""
Fetch: TypeAlias = Callable[[bytes, int | None], Iterator[Row]]
"""Rows from a key on, or, with a number, those of that key past it and all further keys."""


@dataclass(slots=True)
class Page:
    """Rows and common prefixes, in the order in which they were met."""

    rows: list[Row] = field(default_factory=list)
    prefixes: list[bytes] = field(default_factory=list)
    is_truncated: bool = False
    last: bytes = b""
    last_row: Row | None = None

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.prefixes)

    def add(self, key: bytes, row: Row | None) -> None:
        self.last, self.last_row = key, row
        if row is None:
            self.prefixes.append(key)
        else:
            self.rows.append(row)


@dataclass(frozen=True, slots=True)
class Scan:
    """What a page is about."""

    prefix: bytes
    delimiter: bytes
    limit: int

    def page(self, fetch: Fetch, start: bytes, past: int | None = None) -> Page:
        """Fill a page, beginning at the key ``start``, and there past a row if one is given."""
        page = Page()
        position: tuple[bytes, int | None] | None = (start, past)
        if start < self.prefix:
            position = (self.prefix, None)
        while position is not None and self.limit:
            position = self._fill(page, fetch(*position))
        return page

    def _fill(self, page: Page, rows: Iterator[Row]) -> tuple[bytes, int | None] | None:
        """Take rows until the page is full; the key to go on from, if one is to be jumped to."""
        for row in rows:
            key = row[0]
            if not key.startswith(self.prefix):
                return None
            if page.size == self.limit:
                page.is_truncated = True
                return None
            end = self._end(key)
            if end < 0:
                page.add(key, row)
                continue
            page.add(key[:end], None)
            return _after(key[:end]), None
        return None

    def start(self, marker: bytes) -> bytes:
        """The first key after the marker, or after all that a common prefix stands for."""
        if marker.startswith(self.prefix) and self._end(marker) == len(marker):
            return _after(marker)
        return marker + b"\0" if marker else b""

    def _end(self, key: bytes) -> int:
        """Where the common prefix of this key ends, -1 without one."""
        found = key.find(self.delimiter, len(self.prefix)) if self.delimiter else -1
        return -1 if found < 0 else found + len(self.delimiter)


def _after(prefix: bytes) -> bytes:
    """The first key that does not begin with this prefix; UTF-8 has no byte 0xFF."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


class _Query:
    """The parameters all listings have in common."""

    def __init__(self, call: Call, limit_name: str) -> None:
        self.prefix = call.params.get("prefix", "")
        self.delimiter = call.params.get("delimiter", "")
        self.limit = call.number(limit_name, PAGE, 0, PAGE)
        self.scan = Scan(self.prefix.encode(), self.delimiter.encode(), self.limit)
        self._encodes = encodes(call)

    def text(self, text: str | bytes) -> str:
        """A key or a piece of one, encoded if so asked."""
        plain = text.decode() if isinstance(text, bytes) else text
        return quote(plain, safe="-_.~") if self._encodes else plain

    def encoding(self) -> list[Node]:
        return [("EncodingType", "url")] if self._encodes else []

    def common_prefixes(self, page: Page) -> list[Node]:
        return [("CommonPrefixes", [("Prefix", self.text(name))]) for name in page.prefixes]


def encodes(call: Call) -> bool:
    kind = call.params.get("encoding-type", "")
    if kind not in ("", "url"):
        raise CosError("InvalidArgument", "encoding-type must be url.")
    return kind == "url"


def _person(name: str, owner: str) -> Node:
    return (name, [("ID", owner), ("DisplayName", owner)])


async def list_objects(call: Call) -> Reply:
    bucket = call.bucket()
    access.list_objects(call.caller, bucket)
    query, marker = _Query(call, "max-keys"), call.params.get("marker", "")
    page = await call.run(_objects, bucket.name, query, marker)
    nodes: list[Node] = [
        ("Name", bucket.name),
        *query.encoding(),
        ("Prefix", query.text(query.prefix)),
        ("Marker", query.text(marker)),
        ("MaxKeys", query.limit),
    ]
    if query.delimiter:
        nodes.append(("Delimiter", query.text(query.delimiter)))
    nodes.append(("IsTruncated", page.is_truncated))
    if page.is_truncated:
        nodes.append(("NextMarker", query.text(page.last)))
    owner = _person("Owner", bucket.owner)
    nodes += [_contents(query, row, owner) for row in page.rows]
    nodes += query.common_prefixes(page)
    return xml_reply("ListBucketResult", nodes, {"x-cos-bucket-region": bucket.region})


def _objects(job: Job, bucket: str, query: _Query, marker: str) -> Page:
    def fetch(start: bytes, _: int | None) -> Iterator[Row]:
        return job.rows(
            "SELECT key, row, modified, etag, size, attributes FROM versions"
            " WHERE bucket = ? AND key >= ? AND latest = 1 AND marker = 0 ORDER BY key",
            bucket,
            start,
        )

    return query.scan.page(fetch, query.scan.start(marker.encode()))


def _contents(query: _Query, row: Row, owner: Node) -> Node:
    key, _, modified, etag, size, more = row
    nodes: list[Node] = [
        ("Key", query.text(key)),
        ("LastModified", listing_date(modified)),
        ("ETag", f'"{etag}"'),
        ("Size", size),
        owner,
        ("StorageClass", Attributes.from_json(more).storage_class),
    ]
    return ("Contents", nodes)


async def list_object_versions(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    query = _Query(call, "max-keys")
    key_marker = call.params.get("key-marker", "")
    version_marker = call.params.get("version-id-marker", "")
    page = await call.run(_versions, bucket.name, query, key_marker, version_marker)
    nodes: list[Node] = [
        ("Name", bucket.name),
        *query.encoding(),
        ("Prefix", query.text(query.prefix)),
        ("KeyMarker", query.text(key_marker)),
        ("VersionIdMarker", query.text(version_marker)),
        ("MaxKeys", query.limit),
    ]
    if query.delimiter:
        nodes.append(("Delimiter", query.text(query.delimiter)))
    nodes.append(("IsTruncated", page.is_truncated))
    if page.is_truncated:
        last = page.last_row
        nodes.append(("NextKeyMarker", query.text(page.last)))
        nodes.append(("NextVersionIdMarker", query.text(last[2]) if last is not None else ""))
    owner = _person("Owner", bucket.owner)
    nodes += [_version(query, row, owner) for row in page.rows]
    nodes += query.common_prefixes(page)
    return xml_reply("ListVersionsResult", nodes)


def _versions(job: Job, bucket: str, query: _Query, key_marker: str, version: str) -> Page:
    def fetch(start: bytes, past: int | None) -> Iterator[Row]:
        return job.rows(
            "SELECT key, row, version, latest, marker, modified, etag, size, attributes"
            " FROM versions WHERE bucket = ?1 AND key >= ?2"
            " AND (?3 IS NULL OR key > ?2 OR row < ?3) ORDER BY key, row DESC",
            bucket,
            start,
            past,
        )

    if not version:
        return query.scan.page(fetch, query.scan.start(key_marker.encode()))
    key = key_marker.encode()
    row = job.one(
        "SELECT row FROM versions WHERE bucket = ? AND key = ? AND version = ?",
        bucket,
        key,
        version,
    )
    if row is None:
        raise CosError("InvalidArgument", "version-id-marker is not a version of key-marker.")
    return query.scan.page(fetch, key, row[0])


def _version(query: _Query, row: Row, owner: Node) -> Node:
    key, _, version, latest, marker, modified, etag, size, more = row
    nodes: list[Node] = [
        ("Key", query.text(key)),
        ("VersionId", version),
        ("IsLatest", bool(latest)),
        ("LastModified", listing_date(modified)),
    ]
    if marker:
        return ("DeleteMarker", [*nodes, owner])
    nodes += [
        ("ETag", f'"{etag}"'),
        ("Size", size),
        ("StorageClass", Attributes.from_json(more).storage_class),
        owner,
    ]
    return ("Version", nodes)


async def list_multipart_uploads(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    query = _Query(call, "max-uploads")
    key_marker = call.params.get("key-marker", "")
    # Without a key marker the upload marker means nothing.
    upload_marker = call.params.get("upload-id-marker", "") if key_marker else ""
    page = await call.run(_uploads, bucket.name, query, key_marker, upload_marker)
    nodes: list[Node] = [
        ("Bucket", bucket.name),
        *query.encoding(),
        ("KeyMarker", query.text(key_marker)),
        ("UploadIdMarker", query.text(upload_marker)),
        ("MaxUploads", query.limit),
        ("Prefix", query.text(query.prefix)),
        ("Delimiter", query.text(query.delimiter)),
        ("IsTruncated", page.is_truncated),
    ]
    if page.is_truncated:
        last = page.last_row
        nodes.append(("NextKeyMarker", query.text(page.last)))
        nodes.append(("NextUploadIdMarker", last[2] if last is not None else ""))
    nodes += [_upload(query, row, bucket.owner) for row in page.rows]
    nodes += query.common_prefixes(page)
    return xml_reply("ListMultipartUploadsResult", nodes)


def _uploads(job: Job, bucket: str, query: _Query, key_marker: str, upload: str) -> Page:
    """Uploads of one key come oldest first: clients take the last one for the newest."""

    def fetch(start: bytes, past: int | None) -> Iterator[Row]:
        return job.rows(
            "SELECT key, row, id, created, attributes FROM uploads WHERE bucket = ?1"
            " AND key >= ?2 AND (?3 IS NULL OR key > ?2 OR row > ?3) ORDER BY key, row",
            bucket,
            start,
            past,
        )

    if not upload:
        return query.scan.page(fetch, query.scan.start(key_marker.encode()))
    # The upload that the marker names may have ended: the last one before it stands in.
    past = job.one(
        "SELECT max(row) FROM uploads WHERE bucket = ? AND key = ? AND id <= ?",
        bucket,
        key_marker.encode(),
        upload,
    )
    return query.scan.page(fetch, key_marker.encode(), (past[0] if past else None) or 0)


def _upload(query: _Query, row: Row, owner: str) -> Node:
    key, _, identity, created, more = row
    nodes: list[Node] = [
        ("Key", query.text(key)),
        ("UploadId", identity),
        _person("Initiator", owner),
        _person("Owner", owner),
        ("StorageClass", Attributes.from_json(more).storage_class),
        ("Initiated", time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(created))),
    ]
    return ("Upload", nodes)


async def list_parts(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    limit = call.number("max-parts", PAGE, 0, PAGE)
    marker = call.number("part-number-marker", 0, 0, 1 << 31)
    is_encoded = encodes(call)
    upload = await call.run(uploads.find, bucket.name, call.key, call.params["uploadId"])
    found = await call.run(uploads.parts_after, upload, marker, limit + 1)
    page, is_truncated = found[:limit], len(found) > limit > 0
    nodes: list[Node] = [
        ("Bucket", bucket.name),
        *([("EncodingType", "url")] if is_encoded else []),
        ("Key", quote(upload.key, safe="-_.~") if is_encoded else upload.key),
        ("UploadId", upload.id),
        _person("Owner", bucket.owner),
        ("PartNumberMarker", marker),
        _person("Initiator", bucket.owner),
        ("StorageClass", upload.attributes.storage_class),
    ]
    if is_truncated:
        nodes.append(("NextPartNumberMarker", page[-1].number))
    nodes += [("MaxParts", limit), ("IsTruncated", is_truncated), *_part_nodes(page)]
    return xml_reply("ListPartsResult", nodes)


def _part_nodes(page: Iterable[Part]) -> Iterable[Node]:
    for part in page:
        nodes: list[Node] = [
            ("PartNumber", part.number),
            ("LastModified", listing_date(part.modified)),
            ("ETag", f'"{part.etag}"'),
            ("Size", part.size),
        ]
        yield ("Part", nodes)

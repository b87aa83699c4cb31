"""What is in COS, as records.

In: a client and a place. Out: a record for each bucket, object or common prefix, and for the
facts of one. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiocos.cli.failing import CommandError
from aiocos.cli.places import CosPlace
from aiocos.cli.texts import amount, iso, shown
from aiocos.encoding.headers import number
from aiocos.errors import ResponseParseError
from aiocos.transfer.batch import closing

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.operations.results import ListedObject, ListObjectsResult

Record = dict[str, Any]
_UNINTERESTING: Final = frozenset(
    {"Accept-Ranges", "Connection", "Date", "Server", "x-cos-request-id", "x-cos-trace-id"}
)


async def bucket_records(client: CosS3Client) -> AsyncIterator[Record]:
    """Give the buckets of the account."""
    async with closing(client.iter_buckets()) as buckets:
        async for item in buckets:
            yield {
                "type": "bucket",
                "bucket": item["Name"],
                "region": item["Location"],
                "created": iso(item["CreationDate"]),
            }


def bucket_row(record: Record) -> tuple[str, str, str]:
    """Return what people see of a bucket."""
    return record["created"] or "-", record["region"], record["bucket"]


async def entries(
    client: CosS3Client, place: CosPlace, *, recursive: bool
) -> AsyncIterator[Record]:
    """List what begins with the key: all of it, or one level."""
    if recursive:
        async with closing(client.iter_objects(place.bucket, Prefix=place.key)) as listing:
            async for item in listing:
                yield _object(place.bucket, item)
        return
    marker: str | None = ""
    while marker is not None:
        page = await client.list_objects(
            place.bucket, Prefix=place.key, Delimiter="/", Marker=marker
        )
        level = [_prefix(place.bucket, item["Prefix"]) for item in page["CommonPrefixes"]]
        level += [_object(place.bucket, item) for item in page["Contents"]]
        level.sort(key=lambda entry: entry["key"].encode())
        for entry in level:
            yield entry
        marker = _next_marker(page, level, marker)


def _object(bucket: str, item: ListedObject) -> Record:
    return {
        "type": "object",
        "bucket": bucket,
        "key": item["Key"],
        "size": size_of(item["Size"]),
        "modified": iso(item["LastModified"]),
        "etag": item["ETag"].strip('"'),
        "storage_class": item.get("StorageClass"),
    }


def _prefix(bucket: str, prefix: str) -> Record:
    return {"type": "prefix", "bucket": bucket, "key": prefix}


async def versions(
    client: CosS3Client, place: CosPlace, *, recursive: bool
) -> AsyncIterator[Record]:
    """List every version of what begins with the key; ``recursive`` or not, all of them."""
    async with closing(client.iter_object_versions(place.bucket, Prefix=place.key)) as listing:
        async for item in listing:
            size = item.get("Size")
            record: Record = {
                "type": "delete_marker" if size is None else "version",
                "bucket": place.bucket,
                "key": item["Key"],
                "version_id": item["VersionId"],
                "is_latest": item["IsLatest"] == "true",
                "modified": iso(item["LastModified"]),
            }
            if size is not None:
                record["size"] = size_of(str(size))
                record["etag"] = str(item.get("ETag", "")).strip('"')
                record["storage_class"] = item.get("StorageClass")
            yield record


@dataclass(slots=True)
class Tally:
    """How much a listing had."""

    objects: int = 0
    prefixes: int = 0
    bytes: int = 0

    async def counted(self, records: AsyncIterator[Record]) -> AsyncIterator[Record]:
        """Give the records on, and count them."""
        async with closing(records) as source:
            async for record in source:
                self.prefixes += record["type"] == "prefix"
                self.objects += record["type"] != "prefix"
                self.bytes += record.get("size", 0)
                yield record

    @property
    def record(self) -> Record:
        """The sum, as the last record."""
        return {
            "summary": {"objects": self.objects, "prefixes": self.prefixes, "bytes": self.bytes}
        }


def size_of(text: str) -> int:
    """Return a size as an answer has it.

    Raises:
        ResponseParseError: it is no number.
    """
    size = number(text)
    if size is None:
        raise ResponseParseError(f"the listing has an object of {text!r} bytes")
    return size


def entry_line(record: Record, *, is_human: bool = False) -> str:
    """Return time, size and name, in columns."""
    size = amount(record["size"], is_human=is_human) if "size" in record else "-"
    line = f"{record.get('modified') or '':20} {size:>14}  {shown(record['key'])}"
    if "version_id" not in record:
        return line
    mark = " deleted" if record["type"] == "delete_marker" else ""
    latest = " latest" if record["is_latest"] else ""
    return f"{line}  {shown(record['version_id'])}{mark}{latest}"


def _next_marker(page: ListObjectsResult, level: list[Record], marker: str) -> str | None:
    """Return what the next page begins behind, None behind the last one."""
    if page["IsTruncated"] != "true":
        return None
    following: str = page.get("NextMarker") or (level[-1]["key"] if level else marker)
    if following == marker:
        raise CommandError(f"the listing stops behind {marker!r}, though there is more")
    return following


def object_facts(place: CosPlace, headers: Mapping[str, Any]) -> Record:
    """Return what a HEAD says of an object."""
    crc = headers.get("x-cos-hash-crc64ecma")
    return {
        "type": "object",
        "bucket": place.bucket,
        "key": place.key,
        "version_id": headers.get("x-cos-version-id"),
        "size": size_of(str(headers.get("Content-Length", ""))),
        "modified": iso(headers.get("Last-Modified")),
        "etag": str(headers.get("ETag", "")).strip('"'),
        "crc64": None if crc is None else str(crc),
        "content_type": headers.get("Content-Type"),
        "storage_class": headers.get("x-cos-storage-class") or "STANDARD",
        "metadata": {
            name.removeprefix("x-cos-meta-"): str(value)
            for name, value in headers.items()
            if name.lower().startswith("x-cos-meta-")
        },
    }


def bucket_facts(place: CosPlace, headers: Mapping[str, Any]) -> Record:
    """Return what a HEAD says of a bucket."""
    return {
        "type": "bucket",
        "bucket": place.bucket,
        "region": headers.get("x-cos-bucket-region"),
    }


def header_rows(place: CosPlace, headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what people see of an object or a bucket: the headers of the answer."""
    known = sorted((name, str(value)) for name, value in headers.items())
    told = [(name, value) for name, value in known if name not in _UNINTERESTING]
    return [("Name", str(place)), *told]


async def content(client: CosS3Client, place: CosPlace, **options: Any) -> AsyncIterator[bytes]:
    """Give an object's bytes as they come."""
    response = await client.get_object(place.bucket, place.key, **options)
    async with response["Body"] as body:
        async for piece in body:
            yield piece

"""Lists: objects, versions, uploads, parts, buckets, by page and one by one.

A page is asked for with encoding-type=url, so that a key may hold any character, and is
decoded again unless the caller asked for the encoded form. Iterators hold two pages at the
most: they ask for the next one before they decode this one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeVar, Unpack, cast

from aiocos.errors import ParameterError, ResponseParseError
from aiocos.operations.base import Operations, peek_at_reply
from aiocos.operations.checks import text, upload_id, whole_number
from aiocos.operations.decode import read_names, tree_of
from aiocos.operations.options import RequestHeaders
from aiocos.operations.pages import Pages, Peek
from aiocos.operations.results import (
    DeleteMarker,
    ListBucketsResult,
    ListedBucket,
    ListedObject,
    ListedPart,
    ListedUpload,
    ListedVersion,
    ListObjectsResult,
    ListPartsResult,
    ListUploadsResult,
    ListVersionsResult,
)
from aiocos.operations.spec import Operation
from aiocos.request import Reply
from aiocos.units import MIB

R = TypeVar("R")

PAGE_LIMIT: Final = 16 * MIB
MAX_KEYS: Final = 1000
MAX_BUCKETS: Final = 2000
_NEEDS: Final = ("IsTruncated",)

LIST_OBJECTS: Final[Operation[ListObjectsResult]] = Operation(
    name="ListObjects",
    named=("Prefix", "Delimiter", "Marker", "MaxKeys", "EncodingType"),
    method="GET",
    scope="bucket",
    options=RequestHeaders,
    decode=tree_of("ListBucketResult", needs=_NEEDS, lists=("Contents", "CommonPrefixes")),
    body_limit=PAGE_LIMIT,
)
LIST_OBJECTS_VERSIONS: Final[Operation[ListVersionsResult]] = Operation(
    name="ListObjectVersions",
    named=("Prefix", "Delimiter", "KeyMarker", "VersionIdMarker", "MaxKeys", "EncodingType"),
    method="GET",
    scope="bucket",
    query={"versions": ""},
    options=RequestHeaders,
    decode=tree_of(
        "ListVersionsResult", needs=_NEEDS, lists=("Version", "DeleteMarker", "CommonPrefixes")
    ),
    body_limit=PAGE_LIMIT,
)
LIST_MULTIPART_UPLOADS: Final[Operation[ListUploadsResult]] = Operation(
    name="ListMultipartUploads",
    named=("Prefix", "Delimiter", "KeyMarker", "UploadIdMarker", "MaxUploads", "EncodingType"),
    method="GET",
    scope="bucket",
    query={"uploads": ""},
    options=RequestHeaders,
    decode=tree_of("ListMultipartUploadsResult", needs=_NEEDS, lists=("Upload", "CommonPrefixes")),
    body_limit=PAGE_LIMIT,
)
LIST_PARTS: Final[Operation[ListPartsResult]] = Operation(
    name="ListParts",
    named=("MaxParts", "PartNumberMarker", "EncodingType"),
    method="GET",
    scope="object",
    options=RequestHeaders,
    decode=tree_of("ListPartsResult", needs=_NEEDS, lists=("Part",)),
    body_limit=PAGE_LIMIT,
)


def _buckets(reply: Reply) -> Any:
    tree = tree_of("ListAllMyBucketsResult")(reply)
    inner = tree.get("Buckets") or {}
    listed = inner.get("Bucket", []) if isinstance(inner, dict) else None
    buckets = listed if isinstance(listed, list) else [listed]
    if any(not isinstance(bucket, dict) for bucket in buckets):
        raise ResponseParseError("the list of buckets holds something else than buckets")
    tree["Buckets"] = {"Bucket": buckets}
    return tree


LIST_BUCKETS: Final[Operation[ListBucketsResult]] = Operation(
    name="ListBuckets",
    named=("TagKey", "TagValue", "Region", "CreateTime", "Range", "Marker", "MaxKeys"),
    method="GET",
    scope="service",
    options=RequestHeaders,
    decode=_buckets,
    # COS's own client leaves the parameters of this one request out of the signature.
    signs_query=False,
    body_limit=PAGE_LIMIT,
)

_OBJECT_FIELDS: Final = {
    "": ("Prefix", "Marker", "NextMarker"),
    "Contents": ("Key",),
    "CommonPrefixes": ("Prefix",),
}
_VERSION_FIELDS: Final = {
    "": ("Prefix", "KeyMarker", "NextKeyMarker", "VersionIdMarker", "NextVersionIdMarker"),
    "Version": ("Key",),
    "DeleteMarker": ("Key",),
    "CommonPrefixes": ("Prefix",),
}
_UPLOAD_FIELDS: Final = {
    "": ("Prefix", "KeyMarker", "NextKeyMarker", "UploadIdMarker", "NextUploadIdMarker"),
    "Upload": ("Key",),
    "CommonPrefixes": ("Prefix",),
}
_PART_FIELDS: Final[Mapping[str, Collection[str]]] = {"": ("Key",)}


class ListOperations(Operations):
    """Lists by page (``list_*``) and one by one (``iter_*``)."""

    async def list_objects(
        self,
        Bucket: str,
        *,
        Prefix: str = "",
        Delimiter: str = "",
        Marker: str = "",
        MaxKeys: int = MAX_KEYS,
        EncodingType: str = "",
        **options: Unpack[RequestHeaders],
    ) -> ListObjectsResult:
        """Return one page of objects, in UTF-8 binary order, from behind ``Marker``.

        ``MaxKeys``, 0 to 1000, bounds objects and common prefixes together. Keys come
        decoded, unless ``EncodingType='url'`` asks for them percent-encoded. While
        ``IsTruncated`` is ``'true'``, ``NextMarker`` is the next call's ``Marker``;
        ``iter_objects`` does that.

        Raises:
            NotFoundError: there is no such bucket.
            ResponseParseError: the answer is not a listing, such as a portal's page.

        Source: COS SDK document, "Querying objects".
        """
        query = {
            "prefix": text(Prefix, "Prefix"),
            "delimiter": text(Delimiter, "Delimiter"),
            "marker": text(Marker, "Marker"),
            "max-keys": str(whole_number(MaxKeys, "MaxKeys", 0, MAX_KEYS)),
        }
        return await self._page(
            LIST_OBJECTS, query, _OBJECT_FIELDS, EncodingType, options, Bucket=Bucket
        )

    async def list_objects_versions(
        self,
        Bucket: str,
        *,
        Prefix: str = "",
        Delimiter: str = "",
        KeyMarker: str = "",
        VersionIdMarker: str = "",
        MaxKeys: int = MAX_KEYS,
        EncodingType: str = "",
        **options: Unpack[RequestHeaders],
    ) -> ListVersionsResult:
        """Return one page of versions and delete markers, from behind the markers.

        Otherwise like ``list_objects``; the next markers are ``NextKeyMarker`` and
        ``NextVersionIdMarker``.

        Source: COS SDK document, "Querying objects and their version history".
        """
        query = {
            "prefix": text(Prefix, "Prefix"),
            "delimiter": text(Delimiter, "Delimiter"),
            "key-marker": text(KeyMarker, "KeyMarker"),
            "version-id-marker": text(VersionIdMarker, "VersionIdMarker"),
            "max-keys": str(whole_number(MaxKeys, "MaxKeys", 0, MAX_KEYS)),
        }
        return await self._page(
            LIST_OBJECTS_VERSIONS, query, _VERSION_FIELDS, EncodingType, options, Bucket=Bucket
        )

    async def list_multipart_uploads(
        self,
        Bucket: str,
        *,
        Prefix: str = "",
        Delimiter: str = "",
        KeyMarker: str = "",
        UploadIdMarker: str = "",
        MaxUploads: int = MAX_KEYS,
        EncodingType: str = "",
        **options: Unpack[RequestHeaders],
    ) -> ListUploadsResult:
        """Return one page of uploads that were begun and are not complete.

        Otherwise like ``list_objects``; the next markers are ``NextKeyMarker`` and
        ``NextUploadIdMarker``.

        Source: COS SDK document, "Querying multipart uploads".
        """
        query = {
            "prefix": text(Prefix, "Prefix"),
            "delimiter": text(Delimiter, "Delimiter"),
            "key-marker": text(KeyMarker, "KeyMarker"),
            "upload-id-marker": text(UploadIdMarker, "UploadIdMarker"),
            "max-uploads": str(whole_number(MaxUploads, "MaxUploads", 1, MAX_KEYS)),
        }
        return await self._page(
            LIST_MULTIPART_UPLOADS, query, _UPLOAD_FIELDS, EncodingType, options, Bucket=Bucket
        )

    async def list_parts(
        self,
        Bucket: str,
        Key: str,
        UploadId: str,
        *,
        MaxParts: int = MAX_KEYS,
        PartNumberMarker: int = 0,
        EncodingType: str = "",
        **options: Unpack[RequestHeaders],
    ) -> ListPartsResult:
        """Return one page of the parts that COS has of an upload, by number.

        Raises:
            NotFoundError: there is no such upload.

        Source: COS SDK document, "Querying uploaded parts".
        """
        query = {
            "uploadId": upload_id(UploadId),
            "part-number-marker": str(whole_number(PartNumberMarker, "PartNumberMarker", 0)),
            "max-parts": str(whole_number(MaxParts, "MaxParts", 1, MAX_KEYS)),
        }
        return await self._page(
            LIST_PARTS, query, _PART_FIELDS, EncodingType, options, Bucket=Bucket, Key=Key
        )

    async def list_buckets(
        self,
        *,
        TagKey: str | None = None,
        TagValue: str | None = None,
        Region: str | None = None,
        CreateTime: int | str | None = None,
        Range: str | None = None,
        Marker: str = "",
        MaxKeys: int = MAX_BUCKETS,
        **options: Unpack[RequestHeaders],
    ) -> ListBucketsResult:
        """Return one page of the account's buckets.

        ``TagKey`` and ``TagValue``, and ``CreateTime`` (Unix seconds) and ``Range`` (``lt``,
        ``gt``, ``lte``, ``gte``), filter in pairs.

        Source: COS SDK for Python, ``list_buckets``.
        """
        query = {
            "marker": text(Marker, "Marker"),
            "max-keys": str(whole_number(MaxKeys, "MaxKeys", 0, MAX_BUCKETS)),
        }
        if TagKey is not None and TagValue is not None:
            query |= {"tagkey": text(TagKey, "TagKey"), "tagvalue": text(TagValue, "TagValue")}
        if Region is not None:
            query["region"] = text(Region, "Region")
        if CreateTime is not None and Range is not None:
            query["create-time"] = str(whole_number(CreateTime, "CreateTime", 0))
            query["range"] = text(Range, "Range")
        return await self._invoke(LIST_BUCKETS, options, query=query)

    def iter_objects(
        self, Bucket: str, *, Prefix: str = "", Marker: str = "", **options: Unpack[RequestHeaders]
    ) -> AsyncGenerator[ListedObject, None]:
        """Iterate over all objects, page by page behind the scenes.

        A failure ends the iteration with its error: the listing is never cut short in
        silence.
        """
        fetch = partial(self.list_objects, Bucket, Prefix=Prefix, **options)
        return self._each(fetch, {"Marker": Marker}, {"Marker": "NextMarker"}, "Contents")

    def iter_object_versions(
        self, Bucket: str, *, Prefix: str = "", **options: Unpack[RequestHeaders]
    ) -> AsyncGenerator[ListedVersion | DeleteMarker, None]:
        """Iterate over all versions and delete markers; of a page, the versions first."""
        tags = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
        fetch = partial(self.list_objects_versions, Bucket, Prefix=Prefix, **options)
        return self._each(fetch, dict.fromkeys(tags, ""), tags, "Version", "DeleteMarker")

    def iter_multipart_uploads(
        self, Bucket: str, *, Prefix: str = "", **options: Unpack[RequestHeaders]
    ) -> AsyncGenerator[ListedUpload, None]:
        """Iterate over all uploads that were begun and are not complete."""
        tags = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
        fetch = partial(self.list_multipart_uploads, Bucket, Prefix=Prefix, **options)
        return self._each(fetch, dict.fromkeys(tags, ""), tags, "Upload")

    def iter_parts(
        self, Bucket: str, Key: str, UploadId: str, **options: Unpack[RequestHeaders]
    ) -> AsyncGenerator[ListedPart, None]:
        """Iterate over all parts that COS has of an upload, by number."""
        tags = {"PartNumberMarker": "NextPartNumberMarker"}
        fetch = partial(self.list_parts, Bucket, Key, UploadId, **options)
        return self._each(fetch, {"PartNumberMarker": "0"}, tags, "Part")

    def iter_buckets(self, **options: Unpack[RequestHeaders]) -> AsyncGenerator[ListedBucket, None]:
        """Iterate over all of the account's buckets."""
        fetch = partial(self.list_buckets, **options)
        return self._each(fetch, {"Marker": ""}, {"Marker": "NextMarker"}, "Bucket")

    async def _page(
        self,
        operation: Operation[R],
        query: Mapping[str, str],
        fields: Mapping[str, Collection[str]],
        encoding_type: str,
        options: Mapping[str, object],
        **place: Any,
    ) -> R:
        """Fetch one page and decode its names, unless the caller wants them encoded."""
        if encoding_type not in {"", "url"}:
            raise ParameterError(f"EncodingType is {encoding_type!r}, and must be url")
        page = await self._invoke(
            operation, options, query={**query, "encoding-type": "url"}, **place
        )
        names = cast(dict[str, Any], page)
        read_names(names, fields, is_encoded=not encoding_type and _is_encoded(names))
        return page

    async def _each(
        self,
        fetch: partial[Any],
        start: Mapping[str, str],
        tags: Mapping[str, str],
        *lists: str,
    ) -> AsyncGenerator[Any, None]:
        """Hand out the items of every page, one list of it after the other."""
        fallback_list = "Contents" if "Contents" in lists else ""
        async with aclosing(self._pages(fetch, start, tags, fallback_list)) as pages:
            async for page in pages:
                for name in lists:
                    for item in page.get("Buckets", page)[name]:
                        yield item

    def _pages(
        self,
        fetch: partial[Any],
        start: Mapping[str, str],
        tags: Mapping[str, str],
        fallback_list: str = "",
    ) -> Pages[Any]:
        """Return an iterator over pages, which whoever stops early closes.

        ``tags`` names the element that each next marker is in.
        """
        for keyword in fetch.keywords.keys() & {"Delimiter", "EncodingType", *start}:
            raise ParameterError(f"{keyword} has no meaning where all keys are gone through")

        async def get(markers: Mapping[str, str], peek: Peek) -> Any:
            with peek_at_reply(peek):
                return await fetch(**markers)

        def following(page: Any) -> Mapping[str, str] | None:
            if page.get("IsTruncated") != "true":
                return None
            listed = page.get(fallback_list)
            if listed and not page.get("NextMarker"):
                return {"Marker": listed[-1]["Key"]}
            return {marker: page.get(tag) or "" for marker, tag in tags.items()}

        return Pages(get, following, tags, start)


def _is_encoded(page: Mapping[str, Any]) -> bool:
    """Whether the server did encode; the element's name differs between listings."""
    names = ("EncodingType", "Encoding-Type", "Encoding-type")
    return any(page.get(name) == "url" for name in names)

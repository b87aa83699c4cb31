"""Tags of buckets and objects."""

from collections.abc import Mapping
from functools import partial
from typing import Final, NotRequired, TypedDict, Unpack

from aiocos.errors import ParameterError
from aiocos.operations.options import RequestHeaders, VersionOption
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Many


class Tag(TypedDict):
    """A name and its value; either may be any text."""

    Key: str
    Value: str | None


class TagSet(TypedDict, total=False):
    """Tags to put."""

    Tag: Many[Tag]


class Tagging(TypedDict):
    """Tags to put; they take the place of those there are."""

    TagSet: TagSet


class TagSetResult(TypedDict):
    """Tags that are there."""

    Tag: list[Tag]


class GetTaggingResult(TypedDict):
    """Of ``get_bucket_tagging`` and ``get_object_tagging``."""

    TagSet: TagSetResult
    Owner: NotRequired[str | None]


MAX_OF_OBJECT: Final = 10
MAX_OF_BUCKET: Final = 50


def _refuse_more(most: int, tagging: Tagging) -> None:
    tags = tagging["TagSet"].get("Tag", [])
    if not isinstance(tags, Mapping) and len(tags) > most:
        raise ParameterError(f"Tagging has {len(tags)} tags, and COS keeps at most {most}")


class ObjectTaggingOptions(RequestHeaders, VersionOption, total=False):
    """Optional keywords of the calls about an object's tags."""


BUCKET_TAGGING: Final[Setting[GetTaggingResult]] = Setting(
    name="BucketTagging",
    subresource="tagging",
    root="Tagging",
    content=Tagging,
    result=GetTaggingResult,
    absent="NoSuchTagSet",
    refuse=partial(_refuse_more, MAX_OF_BUCKET),
)
OBJECT_TAGGING: Final[Setting[GetTaggingResult]] = Setting(
    name="ObjectTagging",
    subresource="tagging",
    root="Tagging",
    content=Tagging,
    result=GetTaggingResult,
    scope="object",
    options=ObjectTaggingOptions,
    sends=(),
    absent="NoSuchTagSet",
    refuse=partial(_refuse_more, MAX_OF_OBJECT),
)


class TaggingOperations(SettingOperations):
    """Names and values that are kept with a bucket or an object."""

    async def put_bucket_tagging(
        self, Bucket: str, Tagging: Tagging | GetTaggingResult, **options: Unpack[RequestHeaders]
    ) -> None:
        """Replace a bucket's tags.

        Raises:
            ParameterError: the tags cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_tagging``.
        """
        await self._put_setting(BUCKET_TAGGING, options, Bucket, Tagging=Tagging)

    async def get_bucket_tagging(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetTaggingResult:
        """Return a bucket's tags.

        Raises:
            NotFoundError: it has none (``NoSuchTagSet``), or there is no such bucket.

        Source: COS SDK for Python, ``get_bucket_tagging``.
        """
        return await self._get_setting(BUCKET_TAGGING, options, Bucket)

    async def delete_bucket_tagging(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Remove all tags of a bucket.

        Source: COS SDK for Python, ``delete_bucket_tagging``.
        """
        await self._delete_setting(BUCKET_TAGGING, options, Bucket)

    async def put_object_tagging(
        self,
        Bucket: str,
        Key: str,
        Tagging: Tagging | GetTaggingResult,
        **options: Unpack[ObjectTaggingOptions],
    ) -> None:
        """Replace an object's tags.

        Raises:
            NotFoundError: there is no such object or version.
            ParameterError: the tags cannot be right; nothing was sent.

        Options: ``aiocos.types.ObjectTaggingOptions``.

        Source: COS SDK for Python, ``put_object_tagging``.
        """
        await self._put_setting(OBJECT_TAGGING, options, Bucket, Key, Tagging=Tagging)

    async def get_object_tagging(
        self, Bucket: str, Key: str, **options: Unpack[ObjectTaggingOptions]
    ) -> GetTaggingResult:
        """Return an object's tags, an empty list where it has none.

        Raises:
            NotFoundError: there is no such object or version.

        Options: ``aiocos.types.ObjectTaggingOptions``.

        Source: COS SDK for Python, ``get_object_tagging``.
        """
        return await self._get_setting(OBJECT_TAGGING, options, Bucket, Key)

    async def delete_object_tagging(
        self, Bucket: str, Key: str, **options: Unpack[ObjectTaggingOptions]
    ) -> None:
        """Remove all tags of an object.

        Raises:
            NotFoundError: there is no such object or version.

        Options: ``aiocos.types.ObjectTaggingOptions``.

        Source: COS SDK for Python, ``delete_object_tagging``.
        """
        await self._delete_setting(OBJECT_TAGGING, options, Bucket, Key)

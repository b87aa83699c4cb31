"""Whether a bucket keeps versions, and where it is."""

from typing import Any, Final, Literal, NotRequired, TypedDict, Unpack

from aiocos.errors import ParameterError, ResponseParseError
from aiocos.operations.decode import parse
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.spec import Operation
from aiocos.request import Reply


class VersioningConfiguration(TypedDict):
    """Whether versions are kept."""

    Status: Literal["Enabled", "Suspended"]


class GetBucketVersioningResult(TypedDict):
    """Of ``get_bucket_versioning``; empty where versions were never kept."""

    Status: NotRequired[str]


class GetBucketLocationResult(TypedDict):
    """Of ``get_bucket_location``."""

    LocationConstraint: str
    """The region, as ``Region`` of a configuration takes it."""


def _location(reply: Reply) -> Any:
    region = (parse(reply, "LocationConstraint").text or "").strip()
    if not region:
        raise ResponseParseError("the LocationConstraint document names no region")
    return {"LocationConstraint": region}


BUCKET_VERSIONING: Final[Setting[GetBucketVersioningResult]] = Setting(
    name="BucketVersioning",
    subresource="versioning",
    root="VersioningConfiguration",
    content=VersioningConfiguration,
    result=GetBucketVersioningResult,
    sends=(),
)
GET_BUCKET_LOCATION: Final[Operation[GetBucketLocationResult]] = Operation(
    name="GetBucketLocation",
    method="GET",
    scope="bucket",
    query={"location": ""},
    options=RequestHeaders,
    decode=_location,
)


class VersioningOperations(SettingOperations):
    """Versions of objects, and the region of a bucket."""

    async def put_bucket_versioning(
        self,
        Bucket: str,
        Status: Literal["Enabled", "Suspended"],
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Keep versions of the bucket's objects, or no further ones.

        Source: COS SDK for Python, ``put_bucket_versioning``.
        """
        if Status not in {"Enabled", "Suspended"}:
            raise ParameterError(f"Status is {Status!r}, and must be Enabled or Suspended")
        await self._put_setting(
            BUCKET_VERSIONING, options, Bucket, VersioningConfiguration={"Status": Status}
        )

    async def get_bucket_versioning(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketVersioningResult:
        """Return whether versions are kept: no ``Status`` where they never were.

        Source: COS SDK for Python, ``get_bucket_versioning``.
        """
        return await self._get_setting(BUCKET_VERSIONING, options, Bucket)

    async def get_bucket_location(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketLocationResult:
        """Return the region of a bucket.

        Source: COS SDK for Python, ``get_bucket_location``.
        """
        return await self._invoke(GET_BUCKET_LOCATION, options, Bucket=Bucket)

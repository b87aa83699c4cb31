"""Which web pages of other sites may use a bucket."""

from typing import Final, Literal, NotRequired, TypedDict, Unpack

from aiocos.encoding.headers import header_value
from aiocos.errors import ParameterError
from aiocos.operations.checks import text
from aiocos.operations.decode import headers_only
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Flag, Many, Number
from aiocos.operations.spec import Operation


class _RequiredOfCORSRule(TypedDict):
    AllowedOrigin: Many[str]
    AllowedMethod: Many[Literal["GET", "HEAD", "PUT", "POST", "DELETE"]]


class CORSRule(_RequiredOfCORSRule, total=False):
    """What pages from ``AllowedOrigin`` may do; ``MaxAgeSeconds`` is for how long they know."""

    ID: str | None
    AllowedHeader: Many[str]
    ExposeHeader: Many[str]
    MaxAgeSeconds: Number


class _RequiredOfCORSConfiguration(TypedDict):
    CORSRule: Many[CORSRule]


class CORSConfiguration(_RequiredOfCORSConfiguration, total=False):
    """Rules to put; they take the place of those there are."""

    ResponseVary: Flag


class CORSRuleResult(TypedDict):
    """One rule that is there."""

    ID: NotRequired[str | None]
    AllowedOrigin: list[str]
    AllowedMethod: list[str]
    AllowedHeader: NotRequired[list[str]]
    ExposeHeader: NotRequired[list[str]]
    MaxAgeSeconds: NotRequired[str]


class GetBucketCORSResult(TypedDict):
    """Of ``get_bucket_cors``."""

    CORSRule: list[CORSRuleResult]
    ResponseVary: NotRequired[str]


OptionsObjectResult = TypedDict(
    "OptionsObjectResult",
    {
        "Access-Control-Allow-Headers": NotRequired[str],
        "Access-Control-Allow-Methods": NotRequired[str],
        "Access-Control-Allow-Origin": NotRequired[str],
        "Access-Control-Expose-Headers": NotRequired[str],
        "Access-Control-Max-Age": NotRequired[str],
        "Date": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
    },
)
"""Of ``options_object``: what a page of that origin may do."""

BUCKET_CORS: Final[Setting[GetBucketCORSResult]] = Setting(
    name="BucketCORS",
    subresource="cors",
    root="CORSConfiguration",
    content=CORSConfiguration,
    result=GetBucketCORSResult,
    absent="NoSuchCORSConfiguration",
)
OPTIONS_OBJECT: Final[Operation[OptionsObjectResult]] = Operation(
    name="OptionsObject",
    method="OPTIONS",
    scope="object",
    options=RequestHeaders,
    decode=headers_only,
)


class CORSOperations(SettingOperations):
    """Cross-origin resource sharing."""

    async def put_bucket_cors(
        self,
        Bucket: str,
        CORSConfiguration: CORSConfiguration | GetBucketCORSResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Replace the rules for pages of other sites.

        Raises:
            ParameterError: the rules cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_cors``.
        """
        await self._put_setting(BUCKET_CORS, options, Bucket, CORSConfiguration=CORSConfiguration)

    async def get_bucket_cors(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketCORSResult:
        """Return the rules for pages of other sites.

        Raises:
            NotFoundError: there are none (``NoSuchCORSConfiguration``), or no such bucket.

        Source: COS SDK for Python, ``get_bucket_cors``.
        """
        return await self._get_setting(BUCKET_CORS, options, Bucket)

    async def delete_bucket_cors(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Remove the rules for pages of other sites: they may do nothing.

        Source: COS SDK for Python, ``delete_bucket_cors``.
        """
        await self._delete_setting(BUCKET_CORS, options, Bucket)

    async def options_object(
        self,
        Bucket: str,
        Key: str,
        Origin: str,
        AccessControlRequestMethod: Literal["GET", "HEAD", "PUT", "POST", "DELETE"],
        AccessControlRequestHeaders: str | None = None,
        **options: Unpack[RequestHeaders],
    ) -> OptionsObjectResult:
        """Ask what a page of ``Origin`` may do with an object, as a browser asks first.

        ``AccessControlRequestHeaders`` are names, parted by commas.

        Raises:
            AccessDeniedError: no rule permits it.

        Source: COS API reference, "OPTIONS Object".
        """
        asked = {
            "Origin": Origin,
            "Access-Control-Request-Method": AccessControlRequestMethod,
            "Access-Control-Request-Headers": AccessControlRequestHeaders,
        }
        headers = {
            name: header_value(text(value, name), name)
            for name, value in asked.items()
            if value is not None
        }
        if AccessControlRequestMethod not in {"GET", "HEAD", "PUT", "POST", "DELETE"}:
            raise ParameterError(
                f"AccessControlRequestMethod is {AccessControlRequestMethod!r}, and must be one "
                "of: GET, HEAD, PUT, POST, DELETE"
            )
        return await self._invoke(OPTIONS_OBJECT, options, Bucket=Bucket, Key=Key, headers=headers)

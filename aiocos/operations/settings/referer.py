"""From which pages a bucket may be linked to."""

from typing import Final, Literal, NotRequired, TypedDict, Unpack

from aiocos.body import as_body
from aiocos.operations import decode
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Many
from aiocos.operations.spec import Operation


class RefererDomains(TypedDict, total=False):
    """Domains, addresses or patterns such as ``*.example.com``."""

    Domain: Many[str]


class _RequiredOfRefererConfiguration(TypedDict):
    Status: Literal["Enabled", "Disabled"]


class RefererConfiguration(_RequiredOfRefererConfiguration, total=False):
    """Which pages may link; it takes the place of what is there."""

    RefererType: Literal["White-List", "Black-List"]
    DomainList: RefererDomains
    EmptyReferConfiguration: Literal["Allow", "Deny"]
    VerifySignatureURL: str


class RefererDomainsResult(TypedDict):
    """The domains of the list that is there."""

    Domain: list[str]


class GetBucketRefererResult(TypedDict):
    """Of ``get_bucket_referer``; empty where it was never set."""

    Status: NotRequired[str]
    RefererType: NotRequired[str]
    DomainList: NotRequired[RefererDomainsResult]
    EmptyReferConfiguration: NotRequired[str]
    VerifySignatureURL: NotRequired[str]


BUCKET_REFERER: Final[Setting[GetBucketRefererResult]] = Setting(
    name="BucketReferer",
    subresource="referer",
    root="RefererConfiguration",
    content=RefererConfiguration,
    result=GetBucketRefererResult,
)
DELETE_BUCKET_REFERER: Final[Operation[None]] = BUCKET_REFERER.operation(
    "Delete", "PUT", decode.nothing
)
"""COS has no DELETE here: a document without a byte takes the list away."""


class RefererOperations(SettingOperations):
    """Protection against links from other sites."""

    async def put_bucket_referer(
        self,
        Bucket: str,
        RefererConfiguration: RefererConfiguration | GetBucketRefererResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Say from which pages the bucket may be linked to.

        Raises:
            ParameterError: the configuration cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_referer``.
        """
        await self._put_setting(
            BUCKET_REFERER, options, Bucket, RefererConfiguration=RefererConfiguration
        )

    async def get_bucket_referer(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketRefererResult:
        """Return from which pages the bucket may be linked to.

        Source: COS SDK for Python, ``get_bucket_referer``.
        """
        return await self._get_setting(BUCKET_REFERER, options, Bucket)

    async def delete_bucket_referer(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Permit links from every page again.

        Source: COS SDK for Python, ``delete_bucket_referer``.
        """
        await self._invoke(
            DELETE_BUCKET_REFERER,
            options,
            Bucket=Bucket,
            headers=BUCKET_REFERER.headers(b""),
            body=as_body(b""),
        )

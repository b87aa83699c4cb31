"""A bucket as a website."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NotRequired, TypedDict, Unpack

from aiocos.errors import ParameterError
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Many
from aiocos.request import Reply


class IndexDocument(TypedDict):
    """What is shown for a directory, such as ``index.html``."""

    Suffix: str


class ErrorDocument(TypedDict, total=False):
    """What is shown for an error; ``OriginalHttpStatus`` is ``Enabled`` or ``Disabled``."""

    Key: str
    OriginalHttpStatus: str
    Charity404: str


class AutoAddressing(TypedDict, total=False):
    """Whether ``.html`` may be left out: ``Enabled`` or ``Disabled``."""

    Status: str


class RedirectAllRequests(TypedDict, total=False):
    """Where every request is sent instead."""

    HostName: str
    Protocol: str


class RoutingCondition(TypedDict, total=False):
    """When a request is redirected."""

    HttpErrorCodeReturnedEquals: str
    KeyPrefixEquals: str


class RoutingRedirect(TypedDict, total=False):
    """Where to."""

    HostName: str
    HttpRedirectCode: str
    Protocol: str
    ReplaceKeyPrefixWith: str | None
    ReplaceKeyWith: str | None
    URLRedirect: str


class RoutingRule(TypedDict, total=False):
    """Which requests are redirected, and where to."""

    Condition: RoutingCondition
    Redirect: RoutingRedirect


class WebsiteConfiguration(TypedDict, total=False):
    """The website to put; it takes the place of the one there is."""

    IndexDocument: IndexDocument
    ErrorDocument: ErrorDocument
    RedirectAllRequestsTo: RedirectAllRequests
    AutoAddressing: AutoAddressing
    RoutingRules: Sequence[RoutingRule]


class GetBucketWebsiteResult(TypedDict):
    """Of ``get_bucket_website``; ``RoutingRules`` is a list where there are any."""

    IndexDocument: NotRequired[IndexDocument]
    ErrorDocument: NotRequired[ErrorDocument]
    RedirectAllRequestsTo: NotRequired[RedirectAllRequests]
    AutoAddressing: NotRequired[AutoAddressing]
    RoutingRules: NotRequired[list[RoutingRule]]


class _RuleList(TypedDict):
    RoutingRule: list[RoutingRule]


class _WrittenRuleList(TypedDict):
    RoutingRule: Many[RoutingRule]


class _Written(WebsiteConfiguration, total=False):
    """As it stands in XML, where the list has an element of its own."""

    RoutingRules: _WrittenRuleList  # type: ignore[misc] # replaces the caller's plain list


class _Read(GetBucketWebsiteResult):
    RoutingRules: NotRequired[_RuleList]  # type: ignore[misc] # replaces the caller's plain list


class _Website(Setting[GetBucketWebsiteResult]):
    def write(self, content: object, keyword: str) -> bytes:
        """Return the document, its rules put into an element of their own."""
        if isinstance(content, Mapping) and "RoutingRules" in content:
            rules = content["RoutingRules"]
            if isinstance(rules, str) or not isinstance(rules, Sequence):
                raise ParameterError(f"{keyword}['RoutingRules'] must be a list of rules")
            content = {**content, "RoutingRules": {"RoutingRule": rules}}
        return super().write(content, keyword)

    def read(self, reply: Reply) -> Any:
        """Return the document, its rules as a plain list."""
        website = super().read(reply)
        if "RoutingRules" in website:
            website["RoutingRules"] = website["RoutingRules"]["RoutingRule"]
        return website


BUCKET_WEBSITE: Final[Setting[GetBucketWebsiteResult]] = _Website(
    name="BucketWebsite",
    subresource="website",
    root="WebsiteConfiguration",
    content=_Written,
    result=_Read,
    absent="NoSuchWebsiteConfiguration",
)


class WebsiteOperations(SettingOperations):
    """Buckets as websites."""

    async def put_bucket_website(
        self,
        Bucket: str,
        WebsiteConfiguration: WebsiteConfiguration | GetBucketWebsiteResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Make a bucket a website, or change how it is one.

        Raises:
            ParameterError: the configuration cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_website``.
        """
        await self._put_setting(
            BUCKET_WEBSITE, options, Bucket, WebsiteConfiguration=WebsiteConfiguration
        )

    async def get_bucket_website(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketWebsiteResult:
        """Return how a bucket is a website.

        Raises:
            NotFoundError: it is none (``NoSuchWebsiteConfiguration``), or no such bucket.

        Source: COS SDK for Python, ``get_bucket_website``.
        """
        return await self._get_setting(BUCKET_WEBSITE, options, Bucket)

    async def delete_bucket_website(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Make a bucket a website no longer.

        Source: COS SDK for Python, ``delete_bucket_website``.
        """
        await self._delete_setting(BUCKET_WEBSITE, options, Bucket)

"""Where COS fetches objects that a bucket does not have."""

from typing import Final, NotRequired, TypedDict, Unpack

from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Flag, Many, Number


class OriginCondition(TypedDict, total=False):
    """When: the status that the bucket would answer with, and how the key begins and ends."""

    HTTPStatusCode: Number
    Prefix: str | None
    Suffix: str | None


class OriginHeader(TypedDict, total=False):
    """A header of the request to the origin."""

    Key: str
    Value: str | None


class OriginHeaders(TypedDict, total=False):
    """Several of them."""

    Header: Many[OriginHeader]


class OriginHttpHeader(TypedDict, total=False):
    """Which headers of the request reach the origin, and which are added."""

    FollowAllHeaders: Flag
    NewHttpHeaders: OriginHeaders | None
    FollowHttpHeaders: OriginHeaders | None
    ForbidFollowHttpHeaders: OriginHeaders | None


class OriginRedirection(TypedDict, total=False):
    """What is taken along when the origin sends elsewhere."""

    FollowOriginHeaders: Flag
    FollowUrlAutoDecode: Flag


class OriginParameter(TypedDict, total=False):
    """How the origin is asked."""

    Protocol: str
    TransparentErrorCode: Flag
    FollowQueryString: Flag
    HttpHeader: OriginHttpHeader
    FollowRedirection: Flag
    FollowRedirectionConfiguration: OriginRedirection
    HttpRedirectCode: Number
    CopyOriginData: Flag


class OriginCredentials(TypedDict, total=False):
    """How requests to a private origin are signed. Shown in no error and no log."""

    AuthorizationAlgorithm: str
    Region: str
    SecretId: str
    SecretKey: str
    EncryptedSecretKey: str
    Role: str


class PrivateOrigin(TypedDict, total=False):
    """An origin that wants requests signed."""

    Host: str
    CredentialProvider: OriginCredentials


class OriginHost(TypedDict, total=False):
    """An origin, and those that stand in for it."""

    HostName: str
    Weight: Number
    StandbyHostName_1: str
    StandbyHostName_2: str
    StandbyHostName_3: str
    StandbyHostName_4: str
    StandbyHostName_5: str
    PrivateHost: PrivateOrigin
    PrivateStandbyHost_1: PrivateOrigin
    PrivateStandbyHost_2: PrivateOrigin
    PrivateStandbyHost_3: PrivateOrigin
    PrivateStandbyHost_4: PrivateOrigin
    PrivateStandbyHost_5: PrivateOrigin


class OriginPrefix(TypedDict, total=False):
    """What is put before the key."""

    Prefix: str | None
    ReplacedWithPrefix: str | None


class OriginSuffix(TypedDict, total=False):
    """What is put behind the key."""

    Suffix: str | None
    ReplacedWithSuffix: str | None


class OriginFixedFile(TypedDict, total=False):
    """The one file that is always asked for."""

    FixedFilePath: str


class OriginFile(TypedDict, total=False):
    """Under which name the origin has an object."""

    PrefixDirective: Flag
    Prefix: str | None
    Suffix: str | None
    PrefixConfiguration: OriginPrefix
    SuffixConfiguration: OriginSuffix
    FixedFileConfiguration: OriginFixedFile


class OriginInfo(TypedDict, total=False):
    """Where the origin is."""

    HostInfo: Many[OriginHost]
    FileInfo: OriginFile | None


class OriginStandbyCodes(TypedDict, total=False):
    """Statuses with which an origin has failed, and another one is asked."""

    StatusCode: Many[Number]


class OriginRule(TypedDict, total=False):
    """When an object is fetched, and from where; ``OriginType`` is ``Mirror`` or ``Proxy``."""

    RulePriority: Number
    OriginType: str
    OriginCondition: OriginCondition
    OriginParameter: OriginParameter
    OriginInfo: OriginInfo
    HTTPStandbyCode: OriginStandbyCodes


class OriginConfiguration(TypedDict):
    """Rules to put; they take the place of those there are."""

    OriginRule: Many[OriginRule]


class OriginConditionResult(TypedDict):
    """When."""

    HTTPStatusCode: NotRequired[str]
    Prefix: NotRequired[str | None]
    Suffix: NotRequired[str | None]


class OriginHeadersResult(TypedDict):
    """Headers of the request to the origin."""

    Header: list[OriginHeader]


class OriginHttpHeaderResult(TypedDict):
    """Which headers of the request reach the origin, and which are added."""

    FollowAllHeaders: NotRequired[str]
    NewHttpHeaders: NotRequired[OriginHeadersResult]
    FollowHttpHeaders: NotRequired[OriginHeadersResult]
    ForbidFollowHttpHeaders: NotRequired[OriginHeadersResult]


class OriginRedirectionResult(TypedDict):
    """What is taken along when the origin sends elsewhere."""

    FollowOriginHeaders: NotRequired[str]
    FollowUrlAutoDecode: NotRequired[str]


class OriginParameterResult(TypedDict):
    """How the origin is asked."""

    Protocol: NotRequired[str]
    TransparentErrorCode: NotRequired[str]
    FollowQueryString: NotRequired[str]
    HttpHeader: NotRequired[OriginHttpHeaderResult | None]
    FollowRedirection: NotRequired[str]
    FollowRedirectionConfiguration: NotRequired[OriginRedirectionResult | None]
    HttpRedirectCode: NotRequired[str]
    CopyOriginData: NotRequired[str]


class OriginHostResult(TypedDict):
    """An origin, and those that stand in for it."""

    HostName: NotRequired[str]
    Weight: NotRequired[str]
    StandbyHostName_1: NotRequired[str]
    StandbyHostName_2: NotRequired[str]
    StandbyHostName_3: NotRequired[str]
    StandbyHostName_4: NotRequired[str]
    StandbyHostName_5: NotRequired[str]
    PrivateHost: NotRequired[PrivateOrigin]
    PrivateStandbyHost_1: NotRequired[PrivateOrigin]
    PrivateStandbyHost_2: NotRequired[PrivateOrigin]
    PrivateStandbyHost_3: NotRequired[PrivateOrigin]
    PrivateStandbyHost_4: NotRequired[PrivateOrigin]
    PrivateStandbyHost_5: NotRequired[PrivateOrigin]


class OriginFileResult(TypedDict):
    """Under which name the origin has an object."""

    PrefixDirective: NotRequired[str]
    Prefix: NotRequired[str | None]
    Suffix: NotRequired[str | None]
    PrefixConfiguration: NotRequired[OriginPrefix | None]
    SuffixConfiguration: NotRequired[OriginSuffix | None]
    FixedFileConfiguration: NotRequired[OriginFixedFile | None]


class OriginInfoResult(TypedDict):
    """Where the origin is."""

    HostInfo: list[OriginHostResult]
    FileInfo: NotRequired[OriginFileResult | None]


class OriginStandbyCodesResult(TypedDict):
    """Statuses with which an origin has failed."""

    StatusCode: list[str]


class OriginRuleResult(TypedDict):
    """One rule that is there."""

    RulePriority: NotRequired[str]
    OriginType: NotRequired[str]
    OriginCondition: NotRequired[OriginConditionResult | None]
    OriginParameter: NotRequired[OriginParameterResult | None]
    OriginInfo: NotRequired[OriginInfoResult]
    HTTPStandbyCode: NotRequired[OriginStandbyCodesResult]


class GetBucketOriginResult(TypedDict):
    """Of ``get_bucket_origin``."""

    OriginRule: list[OriginRuleResult]


BUCKET_ORIGIN: Final[Setting[GetBucketOriginResult]] = Setting(
    name="BucketOrigin",
    subresource="origin",
    root="OriginConfiguration",
    content=OriginConfiguration,
    result=GetBucketOriginResult,
    absent="NoSuchOriginConfiguration",
)


class OriginOperations(SettingOperations):
    """Objects from elsewhere."""

    async def put_bucket_origin(
        self,
        Bucket: str,
        OriginConfiguration: OriginConfiguration | GetBucketOriginResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Say where COS fetches objects that the bucket does not have.

        Raises:
            ParameterError: the rules cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_origin``.
        """
        await self._put_setting(
            BUCKET_ORIGIN, options, Bucket, OriginConfiguration=OriginConfiguration
        )

    async def get_bucket_origin(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketOriginResult:
        """Return where COS fetches objects that the bucket does not have.

        Raises:
            NotFoundError: nowhere, or there is no such bucket.

        Source: COS SDK for Python, ``get_bucket_origin``.
        """
        return await self._get_setting(BUCKET_ORIGIN, options, Bucket)

    async def delete_bucket_origin(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Have COS fetch objects from elsewhere no longer.

        Source: COS SDK for Python, ``delete_bucket_origin``.
        """
        await self._delete_setting(BUCKET_ORIGIN, options, Bucket)

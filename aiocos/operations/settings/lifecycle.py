"""What becomes of objects with time: colder storage, deletion."""

from typing import Final, Literal, NotRequired, TypedDict, Unpack

from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Flag, Many, Number
from aiocos.operations.settings.tagging import Tag


class LifecycleAnd(TypedDict, total=False):
    """Objects for which all of it is true. Sizes are in bytes."""

    Prefix: str | None
    Tag: Many[Tag]
    PrefixNotEquals: str
    ObjectSizeGreaterThan: Number
    ObjectSizeLessThan: Number


class LifecycleFilter(TypedDict, total=False):
    """The objects that a rule is about; an empty prefix is all of them."""

    Prefix: str | None
    Tag: Many[Tag]
    And: LifecycleAnd


class AccessFrequency(TypedDict, total=False):
    """How seldom an object was read: fewer times than so many, in so many days."""

    AccessCountLessThan: Number
    RecentDays: Number


class LifecycleTransition(TypedDict, total=False):
    """To which storage class, after how many days or on which date."""

    Days: Number
    Date: str
    StorageClass: str
    AccessFrequency: AccessFrequency


class LifecycleExpiration(TypedDict, total=False):
    """When objects are deleted; or delete markers that hide nothing any more."""

    Days: Number
    Date: str
    ExpiredObjectDeleteMarker: Flag


class NoncurrentVersionTransition(TypedDict, total=False):
    """To which storage class versions go, days after they were replaced."""

    NoncurrentDays: Number
    StorageClass: str
    AccessFrequency: AccessFrequency


class NoncurrentVersionExpiration(TypedDict, total=False):
    """When versions are deleted, in days after they were replaced."""

    NoncurrentDays: Number


class AbortIncompleteMultipartUpload(TypedDict, total=False):
    """When uploads that nobody completed are aborted, in days after they began."""

    DaysAfterInitiation: Number


class _RequiredOfLifecycleRule(TypedDict):
    Status: Literal["Enabled", "Disabled"]


class LifecycleRule(_RequiredOfLifecycleRule, total=False):
    """What becomes of which objects."""

    ID: str | None
    Filter: LifecycleFilter | None
    Prefix: str | None
    Transition: Many[LifecycleTransition]
    Expiration: LifecycleExpiration
    NoncurrentVersionTransition: Many[NoncurrentVersionTransition]
    NoncurrentVersionExpiration: NoncurrentVersionExpiration
    AbortIncompleteMultipartUpload: AbortIncompleteMultipartUpload


class LifecycleConfiguration(TypedDict):
    """Rules to put; they take the place of those there are."""

    Rule: Many[LifecycleRule]


class LifecycleAndResult(TypedDict):
    """Objects for which all of it is true."""

    Prefix: NotRequired[str | None]
    Tag: NotRequired[list[Tag]]
    PrefixNotEquals: NotRequired[str]
    ObjectSizeGreaterThan: NotRequired[str]
    ObjectSizeLessThan: NotRequired[str]


class LifecycleFilterResult(TypedDict):
    """The objects that a rule is about."""

    Prefix: NotRequired[str | None]
    Tag: NotRequired[list[Tag]]
    And: NotRequired[LifecycleAndResult]


class AccessFrequencyResult(TypedDict):
    """How seldom an object was read."""

    AccessCountLessThan: NotRequired[str]
    RecentDays: NotRequired[str]


class LifecycleTransitionResult(TypedDict):
    """To which storage class, and when."""

    Days: NotRequired[str]
    Date: NotRequired[str]
    StorageClass: NotRequired[str]
    AccessFrequency: NotRequired[AccessFrequencyResult]


class LifecycleExpirationResult(TypedDict):
    """When objects are deleted."""

    Days: NotRequired[str]
    Date: NotRequired[str]
    ExpiredObjectDeleteMarker: NotRequired[str]


class NoncurrentVersionTransitionResult(TypedDict):
    """To which storage class versions go, and when."""

    NoncurrentDays: NotRequired[str]
    StorageClass: NotRequired[str]
    AccessFrequency: NotRequired[AccessFrequencyResult]


class NoncurrentVersionExpirationResult(TypedDict):
    """When versions are deleted."""

    NoncurrentDays: NotRequired[str]


class AbortIncompleteMultipartUploadResult(TypedDict):
    """When uploads that nobody completed are aborted."""

    DaysAfterInitiation: NotRequired[str]


class LifecycleRuleResult(TypedDict):
    """One rule that is there."""

    ID: NotRequired[str | None]
    Status: str
    Filter: NotRequired[LifecycleFilterResult | None]
    Prefix: NotRequired[str | None]
    Transition: NotRequired[list[LifecycleTransitionResult]]
    Expiration: NotRequired[LifecycleExpirationResult]
    NoncurrentVersionTransition: NotRequired[list[NoncurrentVersionTransitionResult]]
    NoncurrentVersionExpiration: NotRequired[NoncurrentVersionExpirationResult]
    AbortIncompleteMultipartUpload: NotRequired[AbortIncompleteMultipartUploadResult]


class GetBucketLifecycleResult(TypedDict):
    """Of ``get_bucket_lifecycle``."""

    Rule: list[LifecycleRuleResult]


BUCKET_LIFECYCLE: Final[Setting[GetBucketLifecycleResult]] = Setting(
    name="BucketLifecycle",
    subresource="lifecycle",
    root="LifecycleConfiguration",
    content=LifecycleConfiguration,
    result=GetBucketLifecycleResult,
    absent="NoSuchLifecycleConfiguration",
)


class LifecycleOperations(SettingOperations):
    """Rules about the age of objects."""

    async def put_bucket_lifecycle(
        self,
        Bucket: str,
        LifecycleConfiguration: LifecycleConfiguration | GetBucketLifecycleResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Replace the rules about the age of objects.

        Raises:
            ParameterError: the rules cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_lifecycle``.
        """
        await self._put_setting(
            BUCKET_LIFECYCLE, options, Bucket, LifecycleConfiguration=LifecycleConfiguration
        )

    async def get_bucket_lifecycle(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketLifecycleResult:
        """Return the rules about the age of objects.

        Raises:
            NotFoundError: there are none (``NoSuchLifecycleConfiguration``), or no such
                bucket.

        Source: COS SDK for Python, ``get_bucket_lifecycle``.
        """
        return await self._get_setting(BUCKET_LIFECYCLE, options, Bucket)

    async def delete_bucket_lifecycle(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Remove the rules about the age of objects: nothing becomes of them by itself.

        Source: COS SDK for Python, ``delete_bucket_lifecycle``.
        """
        await self._delete_setting(BUCKET_LIFECYCLE, options, Bucket)

"""Objects that nobody may delete for a time."""

from typing import Any, Final, NotRequired, TypedDict, Unpack

from aiocos.operations.decode import headers_only
from aiocos.operations.options import RequestHeaders
from aiocos.operations.results import HeadersResult
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Number
from aiocos.operations.spec import Operation


class DefaultRetention(TypedDict, total=False):
    """For how long objects are locked that do not say."""

    Mode: str
    Days: Number
    Years: Number


class ObjectLockRule(TypedDict, total=False):
    """What counts for objects that do not say."""

    DefaultRetention: DefaultRetention


class _RequiredOfObjectLock(TypedDict):
    ObjectLockEnabled: str


class ObjectLockConfiguration(_RequiredOfObjectLock, total=False):
    """``ObjectLockEnabled`` is ``Enabled``, and cannot be undone."""

    Rule: ObjectLockRule


class DefaultRetentionResult(TypedDict):
    """For how long objects are locked that do not say."""

    Mode: NotRequired[str]
    Days: NotRequired[str]
    Years: NotRequired[str]


class ObjectLockRuleResult(TypedDict):
    """What counts for objects that do not say."""

    DefaultRetention: NotRequired[DefaultRetentionResult | None]


class GetBucketObjectLockResult(TypedDict):
    """Of ``get_bucket_object_lock``."""

    ObjectLockEnabled: NotRequired[str]
    Rule: NotRequired[ObjectLockRuleResult | None]


BUCKET_OBJECT_LOCK: Final[Setting[GetBucketObjectLockResult]] = Setting(
    name="BucketObjectLock",
    subresource="object-lock",
    root="ObjectLockConfiguration",
    content=ObjectLockConfiguration,
    result=GetBucketObjectLockResult,
)
PUT_BUCKET_OBJECT_LOCK: Final[Operation[HeadersResult]] = BUCKET_OBJECT_LOCK.operation(
    "Put", "PUT", headers_only
)


class LockingOperations(SettingOperations):
    """Locks on objects."""

    async def put_bucket_object_lock(
        self,
        Bucket: str,
        ObjectLockConfiguration: ObjectLockConfiguration,
        **options: Unpack[RequestHeaders],
    ) -> HeadersResult:
        """Permit locks on the bucket's objects, for ever.

        Raises:
            ParameterError: the configuration cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_object_lock``.
        """
        stored: Any = await self._put_setting(
            BUCKET_OBJECT_LOCK,
            options,
            Bucket,
            operation=PUT_BUCKET_OBJECT_LOCK,
            ObjectLockConfiguration=ObjectLockConfiguration,
        )
        return stored  # type: ignore[no-any-return] # a decoder returns Any

    async def get_bucket_object_lock(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketObjectLockResult:
        """Return whether objects may be locked.

        Raises:
            NotFoundError: it was never said, or there is no such bucket.

        Source: COS SDK for Python, ``get_bucket_object_lock``.
        """
        return await self._get_setting(BUCKET_OBJECT_LOCK, options, Bucket)

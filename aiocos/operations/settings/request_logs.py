"""Where the requests to a bucket are written down."""

from typing import Final, NotRequired, TypedDict, Unpack

from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations


class LoggingEnabled(TypedDict, total=False):
    """The bucket that logs go to, and what their keys begin with."""

    TargetBucket: str
    TargetPrefix: str | None


class BucketLoggingStatus(TypedDict, total=False):
    """Where logs go; an empty dict is nowhere."""

    LoggingEnabled: LoggingEnabled | None


class GetBucketLoggingResult(TypedDict):
    """Of ``get_bucket_logging``; empty where nothing is logged."""

    LoggingEnabled: NotRequired[LoggingEnabled | None]


BUCKET_LOGGING: Final[Setting[GetBucketLoggingResult]] = Setting(
    name="BucketLogging",
    subresource="logging",
    root="BucketLoggingStatus",
    content=BucketLoggingStatus,
    result=GetBucketLoggingResult,
)


class LoggingOperations(SettingOperations):
    """Logs of requests."""

    async def put_bucket_logging(
        self,
        Bucket: str,
        BucketLoggingStatus: BucketLoggingStatus | GetBucketLoggingResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Have the requests to a bucket written down; ``{}`` ends that.

        Raises:
            ParameterError: the status cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_logging``.
        """
        await self._put_setting(
            BUCKET_LOGGING, options, Bucket, BucketLoggingStatus=BucketLoggingStatus
        )

    async def get_bucket_logging(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketLoggingResult:
        """Return where the requests to a bucket are written down.

        Source: COS SDK for Python, ``get_bucket_logging``.
        """
        return await self._get_setting(BUCKET_LOGGING, options, Bucket)

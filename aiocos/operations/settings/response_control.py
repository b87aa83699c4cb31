"""Which headers of an answer a GET of the bucket's objects may choose."""

from typing import Final, NotRequired, TypedDict, Unpack

from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Many


class ControlParams(TypedDict, total=False):
    """Names such as ``response-content-type``."""

    Param: Many[str]


class ResponseControlConfiguration(TypedDict, total=False):
    """The names to put; they take the place of those there are."""

    ControlParamList: ControlParams | None


class ControlParamsResult(TypedDict):
    """The names that are there."""

    Param: list[str]


class GetBucketResponseControlResult(TypedDict):
    """Of ``get_bucket_response_control``."""

    ControlParamList: NotRequired[ControlParamsResult]


BUCKET_RESPONSE_CONTROL: Final[Setting[GetBucketResponseControlResult]] = Setting(
    name="BucketResponseControl",
    subresource="response-control",
    root="ResponseControlConfiguration",
    content=ResponseControlConfiguration,
    result=GetBucketResponseControlResult,
)


class ResponseControlOperations(SettingOperations):
    """Control over ``Response...`` keywords of downloads."""

    async def put_bucket_response_control(
        self,
        Bucket: str,
        ResponseControlConfiguration: (
            ResponseControlConfiguration | GetBucketResponseControlResult
        ),
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Say which headers of an answer a GET may choose.

        Raises:
            ParameterError: the configuration cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_response_control``.
        """
        await self._put_setting(
            BUCKET_RESPONSE_CONTROL,
            options,
            Bucket,
            ResponseControlConfiguration=ResponseControlConfiguration,
        )

    async def get_bucket_response_control(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketResponseControlResult:
        """Return which headers of an answer a GET may choose.

        Source: COS SDK for Python, ``get_bucket_response_control``.
        """
        return await self._get_setting(BUCKET_RESPONSE_CONTROL, options, Bucket)

    async def delete_bucket_response_control(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> None:
        """Take that away again.

        Source: COS SDK for Python, ``delete_bucket_response_control``.
        """
        await self._delete_setting(BUCKET_RESPONSE_CONTROL, options, Bucket)

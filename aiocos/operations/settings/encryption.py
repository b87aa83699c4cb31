"""How objects of a bucket are encrypted by COS when the upload does not say."""

from typing import Final, NotRequired, TypedDict, Unpack

from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Flag, Many


class _RequiredOfEncryptionDefault(TypedDict):
    SSEAlgorithm: str


class EncryptionDefault(_RequiredOfEncryptionDefault, total=False):
    """``SSEAlgorithm`` is ``AES256``, or ``KMS`` with the id of a key."""

    KMSMasterKeyID: str | None
    KMSAlgorithm: str | None


class EncryptionRule(TypedDict, total=False):
    """What is done with an upload that does not say."""

    ApplyServerSideEncryptionByDefault: EncryptionDefault
    BucketKeyEnabled: Flag


class ServerSideEncryptionConfiguration(TypedDict):
    """The rule to put; it takes the place of the one there is."""

    Rule: Many[EncryptionRule]


class EncryptionDefaultResult(TypedDict):
    """How an upload that does not say is encrypted."""

    SSEAlgorithm: str
    KMSMasterKeyID: NotRequired[str | None]
    KMSAlgorithm: NotRequired[str | None]


class EncryptionRuleResult(TypedDict):
    """The rule that is there."""

    ApplyServerSideEncryptionByDefault: NotRequired[EncryptionDefaultResult]
    BucketKeyEnabled: NotRequired[str]


class GetBucketEncryptionResult(TypedDict):
    """Of ``get_bucket_encryption``."""

    Rule: list[EncryptionRuleResult]


BUCKET_ENCRYPTION: Final[Setting[GetBucketEncryptionResult]] = Setting(
    name="BucketEncryption",
    subresource="encryption",
    root="ServerSideEncryptionConfiguration",
    content=ServerSideEncryptionConfiguration,
    result=GetBucketEncryptionResult,
    sends=(),
    absent="NoSuchEncryptionConfiguration",
)


class EncryptionOperations(SettingOperations):
    """Encryption by COS."""

    async def put_bucket_encryption(
        self,
        Bucket: str,
        ServerSideEncryptionConfiguration: (
            ServerSideEncryptionConfiguration | GetBucketEncryptionResult
        ),
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Have COS encrypt what is uploaded from now on; objects that are there stay so.

        Raises:
            ParameterError: the rule cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_encryption``.
        """
        await self._put_setting(
            BUCKET_ENCRYPTION,
            options,
            Bucket,
            ServerSideEncryptionConfiguration=ServerSideEncryptionConfiguration,
        )

    async def get_bucket_encryption(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketEncryptionResult:
        """Return how COS encrypts what is uploaded.

        Raises:
            NotFoundError: it does not (``NoSuchEncryptionConfiguration``), or there is no
                such bucket.

        Source: COS SDK for Python, ``get_bucket_encryption``.
        """
        return await self._get_setting(BUCKET_ENCRYPTION, options, Bucket)

    async def delete_bucket_encryption(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> None:
        """Have COS encrypt no longer what is uploaded without saying so.

        Source: COS SDK for Python, ``delete_bucket_encryption``.
        """
        await self._delete_setting(BUCKET_ENCRYPTION, options, Bucket)

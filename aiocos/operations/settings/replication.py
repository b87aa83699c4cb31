"""Copies of new objects in other buckets, made by COS."""

from typing import Final, Literal, NotRequired, TypedDict, Unpack

from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Many, Number
from aiocos.operations.settings.tagging import Tag


class ReplicaEncryption(TypedDict, total=False):
    """With which key the copies are encrypted."""

    ReplicaKmsKeyID: str


class _RequiredOfDestination(TypedDict):
    Bucket: str


class ReplicationDestination(_RequiredOfDestination, total=False):
    """Where copies go: ``qcs::cos:REGION::BUCKET-APPID``."""

    StorageClass: str
    EncryptionConfiguration: ReplicaEncryption


class ReplicationAnd(TypedDict, total=False):
    """Objects for which all of it is true."""

    Prefix: str | None
    Tag: Many[Tag]


class ReplicationFilter(TypedDict, total=False):
    """The objects that a rule is about."""

    And: ReplicationAnd
    Prefix: str | None


class ReplicationStatus(TypedDict, total=False):
    """``Enabled`` or ``Disabled``."""

    Status: str


class SourceSelection(TypedDict, total=False):
    """Whether objects that a key of KMS encrypts are copied."""

    SseKmsEncryptedObjects: ReplicationStatus


class _RequiredOfReplicationRule(TypedDict):
    Status: Literal["Enabled", "Disabled"]
    Destination: ReplicationDestination


class ReplicationRule(_RequiredOfReplicationRule, total=False):
    """Which objects are copied, and where to."""

    ID: str | None
    Prefix: str | None
    Priority: Number
    Filter: ReplicationFilter
    DeleteMarkerReplication: ReplicationStatus
    SourceSelectionCriteria: SourceSelection


class ReplicationConfiguration(TypedDict):
    """Rules to put; they take the place of those there are.

    ``Role`` is who makes the copies: ``qcs::cam::uin/OWNER:uin/SUBACCOUNT``.
    """

    Role: str
    Rule: Many[ReplicationRule]


class ReplicationDestinationResult(TypedDict):
    """Where copies go."""

    Bucket: str
    StorageClass: NotRequired[str]
    EncryptionConfiguration: NotRequired[ReplicaEncryption]


class ReplicationAndResult(TypedDict):
    """Objects for which all of it is true."""

    Prefix: NotRequired[str | None]
    Tag: NotRequired[list[Tag]]


class ReplicationFilterResult(TypedDict):
    """The objects that a rule is about."""

    And: NotRequired[ReplicationAndResult]
    Prefix: NotRequired[str | None]


class ReplicationRuleResult(TypedDict):
    """One rule that is there."""

    ID: NotRequired[str | None]
    Status: str
    Prefix: NotRequired[str | None]
    Priority: NotRequired[str]
    Filter: NotRequired[ReplicationFilterResult | None]
    Destination: ReplicationDestinationResult
    DeleteMarkerReplication: NotRequired[ReplicationStatus]
    SourceSelectionCriteria: NotRequired[SourceSelection]


class GetBucketReplicationResult(TypedDict):
    """Of ``get_bucket_replication``."""

    Role: NotRequired[str]
    Rule: list[ReplicationRuleResult]


BUCKET_REPLICATION: Final[Setting[GetBucketReplicationResult]] = Setting(
    name="BucketReplication",
    subresource="replication",
    root="ReplicationConfiguration",
    content=ReplicationConfiguration,
    result=GetBucketReplicationResult,
    absent="ReplicationConfigurationNotFoundError",
)


class ReplicationOperations(SettingOperations):
    """Copies in other buckets; both keep versions."""

    async def put_bucket_replication(
        self,
        Bucket: str,
        ReplicationConfiguration: ReplicationConfiguration | GetBucketReplicationResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Have COS copy what is stored from now on into other buckets.

        Raises:
            ParameterError: the rules cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_replication``.
        """
        await self._put_setting(
            BUCKET_REPLICATION, options, Bucket, ReplicationConfiguration=ReplicationConfiguration
        )

    async def get_bucket_replication(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketReplicationResult:
        """Return which objects COS copies, and where to.

        Raises:
            NotFoundError: none (``ReplicationConfigurationNotFoundError``), or no such
                bucket.

        Source: COS SDK for Python, ``get_bucket_replication``.
        """
        return await self._get_setting(BUCKET_REPLICATION, options, Bucket)

    async def delete_bucket_replication(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> None:
        """Have COS copy nothing any more; copies that are there stay.

        Source: COS SDK for Python, ``delete_bucket_replication``.
        """
        await self._delete_setting(BUCKET_REPLICATION, options, Bucket)

"""All settings of a bucket and its objects, and one call that looks at those of a bucket."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypedDict, TypeVar, Unpack

from aiocos.errors import CosException, CosServiceError, NotFoundError
from aiocos.operations.buckets import BucketOperations
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.acl import GetACLResult
from aiocos.operations.settings.cors import CORSOperations, GetBucketCORSResult
from aiocos.operations.settings.domain import DomainOperations
from aiocos.operations.settings.encryption import EncryptionOperations, GetBucketEncryptionResult
from aiocos.operations.settings.inventory import InventoryOperations
from aiocos.operations.settings.lifecycle import GetBucketLifecycleResult, LifecycleOperations
from aiocos.operations.settings.locking import GetBucketObjectLockResult, LockingOperations
from aiocos.operations.settings.origin import OriginOperations
from aiocos.operations.settings.policy import PolicyOperations
from aiocos.operations.settings.referer import RefererOperations
from aiocos.operations.settings.replication import (
    GetBucketReplicationResult,
    ReplicationOperations,
)
from aiocos.operations.settings.request_logs import GetBucketLoggingResult, LoggingOperations
from aiocos.operations.settings.response_control import ResponseControlOperations
from aiocos.operations.settings.rewriting import RewritingOperations
from aiocos.operations.settings.symlinks import SymlinkOperations
from aiocos.operations.settings.tagging import GetTaggingResult, TaggingOperations
from aiocos.operations.settings.tiering import ListIntelligentTieringResult, TieringOperations
from aiocos.operations.settings.versioning import GetBucketVersioningResult, VersioningOperations
from aiocos.operations.settings.website import GetBucketWebsiteResult, WebsiteOperations

T = TypeVar("T")
_NOT_HERE: Final = frozenset({405, 501})
"""Statuses of a setting that this kind of bucket does not have."""


class GetBucketMetaResult(TypedDict):
    """Of ``get_bucket_meta``: None where there is no such setting."""

    BucketUrl: str
    Location: str | None
    OFS: bool
    MAZ: bool
    ACL: GetACLResult | None
    CORS: GetBucketCORSResult | None
    Encryption: GetBucketEncryptionResult | None
    IntelligentTiering: ListIntelligentTieringResult | None
    Lifecycle: GetBucketLifecycleResult | None
    Logging: GetBucketLoggingResult | None
    ObjectLock: GetBucketObjectLockResult | None
    Replication: GetBucketReplicationResult | None
    Tagging: GetTaggingResult | None
    Versioning: GetBucketVersioningResult | None
    Website: GetBucketWebsiteResult | None


class SettingsOperations(
    RewritingOperations,
    SymlinkOperations,
    TaggingOperations,
    CORSOperations,
    LifecycleOperations,
    VersioningOperations,
    PolicyOperations,
    WebsiteOperations,
    LoggingOperations,
    EncryptionOperations,
    RefererOperations,
    ReplicationOperations,
    InventoryOperations,
    DomainOperations,
    OriginOperations,
    TieringOperations,
    LockingOperations,
    ResponseControlOperations,
    BucketOperations,
):
    """Every setting."""

    async def get_bucket_meta(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketMetaResult:
        """Return what kind of bucket it is, and a dozen of its settings, asked for at once.

        Raises:
            NotFoundError: there is no such bucket.
            AccessDeniedError: one of the settings may not be seen. It is not passed over:
                that would read as if there were none.

        Source: COS SDK for Python, ``get_bucket_meta``.
        """
        head: Mapping[str, Any] = {**await self.head_bucket(Bucket, **options)}
        asked: dict[str, Awaitable[Any]] = {
            "ACL": self.get_bucket_acl(Bucket, **options),
            "CORS": self.get_bucket_cors(Bucket, **options),
            "Encryption": self.get_bucket_encryption(Bucket, **options),
            "IntelligentTiering": self.list_bucket_intelligenttiering_configurations(
                Bucket, **options
            ),
            "Lifecycle": self.get_bucket_lifecycle(Bucket, **options),
            "Logging": self.get_bucket_logging(Bucket, **options),
            "ObjectLock": self.get_bucket_object_lock(Bucket, **options),
            "Replication": self.get_bucket_replication(Bucket, **options),
            "Tagging": self.get_bucket_tagging(Bucket, **options),
            "Versioning": self.get_bucket_versioning(Bucket, **options),
            "Website": self.get_bucket_website(Bucket, **options),
        }
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {name: group.create_task(_if_there(call)) for name, call in asked.items()}
        except* CosException as failed:
            raise failed.exceptions[0] from None
        session = await self._ready()
        found: Any = {name: task.result() for name, task in tasks.items()}
        found |= {
            "BucketUrl": session.endpoints.public(Bucket)[0],
            "Location": head.get("x-cos-bucket-region"),
            "OFS": head.get("x-cos-bucket-arch") == "OFS",
            "MAZ": head.get("x-cos-bucket-az-type") == "MAZ",
        }
        return found  # type: ignore[no-any-return] # built by name


async def _if_there(call: Awaitable[T]) -> T | None:
    """Return a setting, None where there is none."""
    try:
        return await call
    except NotFoundError:
        return None
    except CosServiceError as error:
        if error.status in _NOT_HERE:
            return None
        raise

"""Inventories: lists of a bucket's objects that COS writes into a bucket."""

from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypedDict, Unpack

from aiocos.errors import ParameterError
from aiocos.operations import decode
from aiocos.operations.checks import text
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import IN_A_THREAD, Setting, SettingOperations
from aiocos.operations.settings.shapes import Flag, Many, Number, shape_of
from aiocos.operations.settings.tagging import Tag
from aiocos.operations.spec import Operation
from aiocos.request import Repeat, Reply
from aiocos.units import MIB


class _NoChildren(TypedDict, total=False):
    """An element that is empty."""


InventoryEncryption = TypedDict(
    "InventoryEncryption",
    {"SSE-COS": _NoChildren | None, "SSECOS": _NoChildren | None},
    total=False,
)
"""``{'SSE-COS': {}}`` has COS encrypt the list; the sync SDK's samples call it ``SSECOS``."""


class _RequiredOfInventoryDestination(TypedDict):
    Bucket: str


class InventoryDestination(_RequiredOfInventoryDestination, total=False):
    """Where the list goes: ``qcs::cos:REGION::BUCKET-APPID``, as ``CSV``, ``ORC`` or so."""

    AccountId: str
    Format: str
    Prefix: str | None
    Encryption: InventoryEncryption | None


class InventoryDestinations(TypedDict):
    """Where the list goes."""

    COSBucketDestination: InventoryDestination


class InventoryPeriod(TypedDict, total=False):
    """Objects that were last changed then; in seconds of Unix time."""

    StartTime: Number
    EndTime: Number


class InventoryAnd(TypedDict, total=False):
    """Objects for which all of it is true."""

    Prefix: str | None
    Tag: Many[Tag]
    StorageClass: str


class InventoryFilter(TypedDict, total=False):
    """The objects that are listed."""

    Prefix: str | None
    And: InventoryAnd
    Period: InventoryPeriod


class InventoryFields(TypedDict, total=False):
    """What is told of each object beside its key, such as ``Size`` and ``ETag``."""

    Field: Many[str]


class InventorySchedule(TypedDict, total=False):
    """``Daily``, ``Weekly`` or ``Monthly``."""

    Frequency: str
    MonthlyDate: Number


class _RequiredOfInventory(TypedDict):
    Destination: InventoryDestinations


class InventoryConfiguration(_RequiredOfInventory, total=False):
    """An inventory to put; ``IncludedObjectVersions`` is ``All`` or ``Current``."""

    Id: str
    IsEnabled: Flag
    IncludedObjectVersions: str
    Filter: InventoryFilter | None
    OptionalFields: InventoryFields | None
    Schedule: InventorySchedule


class InventoryDestinationResult(TypedDict):
    """Where the list goes."""

    Bucket: str
    AccountId: NotRequired[str]
    Format: NotRequired[str]
    Prefix: NotRequired[str | None]
    Encryption: NotRequired[InventoryEncryption | None]


class InventoryDestinationsResult(TypedDict):
    """Where the list goes."""

    COSBucketDestination: InventoryDestinationResult


class InventoryPeriodResult(TypedDict):
    """Objects that were last changed then."""

    StartTime: NotRequired[str]
    EndTime: NotRequired[str]


class InventoryAndResult(TypedDict):
    """Objects for which all of it is true."""

    Prefix: NotRequired[str | None]
    Tag: NotRequired[list[Tag]]
    StorageClass: NotRequired[str]


class InventoryFilterResult(TypedDict):
    """The objects that are listed."""

    Prefix: NotRequired[str | None]
    And: NotRequired[InventoryAndResult]
    Period: NotRequired[InventoryPeriodResult]


class InventoryFieldsResult(TypedDict):
    """What is told of each object beside its key."""

    Field: list[str]


class InventoryScheduleResult(TypedDict):
    """When it is written."""

    Frequency: NotRequired[str]
    MonthlyDate: NotRequired[str]


class GetBucketInventoryResult(TypedDict):
    """Of ``get_bucket_inventory``, and one of ``list_bucket_inventory_configurations``."""

    Id: NotRequired[str]
    IsEnabled: NotRequired[str]
    IncludedObjectVersions: NotRequired[str]
    Filter: NotRequired[InventoryFilterResult | None]
    OptionalFields: InventoryFieldsResult
    Schedule: NotRequired[InventoryScheduleResult]
    Destination: InventoryDestinationsResult


class ListBucketInventoryResult(TypedDict):
    """Of ``list_bucket_inventory_configurations``."""

    InventoryConfiguration: list[GetBucketInventoryResult]
    IsTruncated: NotRequired[str]
    ContinuationToken: NotRequired[str | None]
    NextContinuationToken: NotRequired[str | None]
    """Given back, it lists what follows; there where ``IsTruncated`` is ``true``."""


def _listed(reply: Reply) -> Any:
    root = decode.parse(reply, "ListInventoryConfigurationResult")
    return shape_of(ListBucketInventoryResult).read(root)


BUCKET_INVENTORY: Final[Setting[GetBucketInventoryResult]] = Setting(
    name="BucketInventory",
    subresource="inventory",
    root="InventoryConfiguration",
    content=InventoryConfiguration,
    result=GetBucketInventoryResult,
    absent="NoSuchConfiguration",
)
POST_BUCKET_INVENTORY: Final[Operation[None]] = Operation(
    name="PostBucketInventory",
    method="POST",
    scope="bucket",
    query={"inventory": ""},
    options=RequestHeaders,
    decode=decode.nothing,
    repeat=Repeat.NEVER,
)
LIST_BUCKET_INVENTORY: Final[Operation[ListBucketInventoryResult]] = Operation(
    name="ListBucketInventoryConfigurations",
    named=("ContinuationToken",),
    method="GET",
    scope="bucket",
    query={"inventory": ""},
    options=RequestHeaders,
    decode=_listed,
    body_limit=16 * MIB,
    inline_limit=IN_A_THREAD,
)


class InventoryOperations(SettingOperations):
    """Inventories that COS writes by itself, or once."""

    async def put_bucket_inventory(
        self,
        Bucket: str,
        Id: str,
        InventoryConfiguration: InventoryConfiguration | GetBucketInventoryResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Have COS list the bucket's objects regularly, under the name ``Id``.

        Raises:
            ParameterError: the configuration cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_inventory``.
        """
        await self._put_setting(
            BUCKET_INVENTORY,
            options,
            Bucket,
            query=_query(Id),
            InventoryConfiguration=_named(InventoryConfiguration, Id),
        )

    async def post_bucket_inventory(
        self,
        Bucket: str,
        Id: str,
        InventoryConfiguration: InventoryConfiguration | GetBucketInventoryResult,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Have COS list the bucket's objects once, under the name ``Id``.

        Raises:
            AmbiguousResultError: the answer was lost. It is not sent again: there might be
                two lists.
            ParameterError: the configuration cannot be right; nothing was sent.

        Source: COS SDK for Python, ``post_bucket_inventory``.
        """
        await self._put_setting(
            BUCKET_INVENTORY,
            options,
            Bucket,
            query=_query(Id),
            operation=POST_BUCKET_INVENTORY,
            InventoryConfiguration=_named(InventoryConfiguration, Id),
        )

    async def get_bucket_inventory(
        self, Bucket: str, Id: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketInventoryResult:
        """Return one inventory's configuration.

        Raises:
            NotFoundError: there is no such inventory, or no such bucket.

        Source: COS SDK for Python, ``get_bucket_inventory``.
        """
        return await self._get_setting(BUCKET_INVENTORY, options, Bucket, query=_query(Id))

    async def delete_bucket_inventory(
        self, Bucket: str, Id: str, **options: Unpack[RequestHeaders]
    ) -> None:
        """Have COS write one inventory no longer.

        Source: COS SDK for Python, ``delete_bucket_inventory``.
        """
        await self._delete_setting(BUCKET_INVENTORY, options, Bucket, query=_query(Id))

    async def list_bucket_inventory_configurations(
        self,
        Bucket: str,
        *,
        ContinuationToken: str | None = None,
        **options: Unpack[RequestHeaders],
    ) -> ListBucketInventoryResult:
        """Return one page of the bucket's inventories.

        ``ContinuationToken`` is the last page's ``NextContinuationToken``.

        Source: COS SDK for Python, ``list_bucket_inventory_configurations``.
        """
        token = ContinuationToken or None
        query = token and {"continuation-token": text(token, "ContinuationToken")}
        return await self._invoke(
            LIST_BUCKET_INVENTORY, options, Bucket=Bucket, query=query or None
        )


def _query(inventory_id: object) -> dict[str, str]:
    if not text(inventory_id, "Id"):
        raise ParameterError("Id is required, the name of the inventory")
    return {"id": str(inventory_id)}


def _named(configuration: object, inventory_id: str) -> object:
    """Return a configuration with its name, which the document holds as well."""
    if not isinstance(configuration, Mapping):
        return configuration
    if configuration.get("Id", inventory_id) != inventory_id:
        raise ParameterError(
            f"Id is {inventory_id!r}, and InventoryConfiguration has the Id {configuration['Id']!r}"
        )
    return {**configuration, "Id": inventory_id}

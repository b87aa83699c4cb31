"""Objects that move to a cheaper tier by themselves when nobody reads them."""

from typing import Any, Final, NotRequired, TypedDict, Unpack

from aiocos.errors import ParameterError
from aiocos.operations import decode
from aiocos.operations.checks import text
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.setting import IN_A_THREAD, TYPE, Setting, SettingOperations
from aiocos.operations.settings.shapes import Many, Number, shape_of
from aiocos.operations.settings.tagging import Tag
from aiocos.operations.spec import Operation
from aiocos.request import Reply


class TieringTransition(TypedDict, total=False):
    """When: read fewer than ``RequestFrequent`` times in ``Days`` days (30, 60 or 90)."""

    AccessTier: str
    Days: Number
    RequestFrequent: Number


class TieringAnd(TypedDict, total=False):
    """Objects for which all of it is true."""

    Prefix: str | None
    Tag: Many[Tag]


class TieringFilter(TypedDict, total=False):
    """The objects that a rule is about."""

    Prefix: str | None
    Tag: Many[Tag]
    And: TieringAnd


class IntelligentTieringConfiguration(TypedDict, total=False):
    """The rule to put: ``Transition`` in the first form, ``Tiering`` in the second."""

    Id: str
    Status: str
    Transition: TieringTransition
    Tiering: Many[TieringTransition]
    Filter: TieringFilter | None


class TieringTransitionResult(TypedDict):
    """When objects move."""

    AccessTier: NotRequired[str]
    Days: NotRequired[str]
    RequestFrequent: NotRequired[str]


class TieringAndResult(TypedDict):
    """Objects for which all of it is true."""

    Prefix: NotRequired[str | None]
    Tag: NotRequired[list[Tag]]


class TieringFilterResult(TypedDict):
    """The objects that a rule is about."""

    Prefix: NotRequired[str | None]
    Tag: NotRequired[list[Tag]]
    And: NotRequired[TieringAndResult]


class GetBucketIntelligentTieringResult(TypedDict):
    """Of ``get_bucket_intelligenttiering``; empty where it was never set."""

    Status: NotRequired[str]
    Transition: NotRequired[TieringTransitionResult]


class TieringRuleResult(TypedDict):
    """Of ``get_bucket_intelligenttiering_v2``."""

    Id: NotRequired[str]
    Status: NotRequired[str]
    Transition: NotRequired[TieringTransitionResult]
    Tiering: list[TieringTransitionResult]
    Filter: NotRequired[TieringFilterResult | None]


class ListIntelligentTieringResult(TypedDict):
    """Of ``list_bucket_intelligenttiering_configurations``."""

    IntelligentTieringConfiguration: list[TieringRuleResult]


def _listed(reply: Reply) -> Any:
    # Tencent's SDK for Go has the first name; what S3 calls it is taken as well.
    roots = (
        "ListBucketIntelligentTieringConfigurationsOutput",
        "ListBucketIntelligentTieringConfigurationsResult",
    )
    return shape_of(ListIntelligentTieringResult).read(decode.parse(reply, *roots))


TIERING: Final[Setting[GetBucketIntelligentTieringResult]] = Setting(
    name="BucketIntelligentTiering",
    subresource="intelligenttiering",
    root="IntelligentTieringConfiguration",
    content=IntelligentTieringConfiguration,
    result=GetBucketIntelligentTieringResult,
    sends=(TYPE,),
)
TIERING_RULE: Final[Setting[TieringRuleResult]] = Setting(
    name="BucketIntelligentTieringConfiguration",
    subresource="intelligent-tiering",
    root="IntelligentTieringConfiguration",
    content=IntelligentTieringConfiguration,
    result=TieringRuleResult,
    sends=(TYPE,),
)
LIST_TIERING: Final[Operation[ListIntelligentTieringResult]] = Operation(
    name="ListBucketIntelligentTieringConfigurations",
    method="GET",
    scope="bucket",
    query={"intelligent-tiering": ""},
    options=RequestHeaders,
    decode=_listed,
    inline_limit=IN_A_THREAD,
)


class TieringOperations(SettingOperations):
    """Intelligent tiering, for objects of that storage class."""

    async def put_bucket_intelligenttiering(
        self,
        Bucket: str,
        IntelligentTieringConfiguration: (
            IntelligentTieringConfiguration | GetBucketIntelligentTieringResult
        ),
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Set the one rule for the whole bucket; once enabled, it stays so.

        Raises:
            ParameterError: the rule cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_intelligenttiering``.
        """
        await self._put_setting(
            TIERING,
            options,
            Bucket,
            IntelligentTieringConfiguration=IntelligentTieringConfiguration,
        )

    async def get_bucket_intelligenttiering(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketIntelligentTieringResult:
        """Return the one rule for the whole bucket.

        Source: COS SDK for Python, ``get_bucket_intelligenttiering``.
        """
        return await self._get_setting(TIERING, options, Bucket)

    async def put_bucket_intelligenttiering_v2(
        self,
        Bucket: str,
        IntelligentTieringConfiguration: IntelligentTieringConfiguration | TieringRuleResult,
        Id: str,
        **options: Unpack[RequestHeaders],
    ) -> None:
        """Set one of the bucket's rules, under the name ``Id``.

        Raises:
            ParameterError: the rule cannot be right; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_intelligenttiering_v2``.
        """
        await self._put_setting(
            TIERING_RULE,
            options,
            Bucket,
            query=_query(Id),
            IntelligentTieringConfiguration=IntelligentTieringConfiguration,
        )

    async def get_bucket_intelligenttiering_v2(
        self, Bucket: str, Id: str, **options: Unpack[RequestHeaders]
    ) -> TieringRuleResult:
        """Return one of the bucket's rules.

        Raises:
            NotFoundError: there is no such rule, or no such bucket.

        Source: COS SDK for Python, ``get_bucket_intelligenttiering_v2``.
        """
        return await self._get_setting(TIERING_RULE, options, Bucket, query=_query(Id))

    async def list_bucket_intelligenttiering_configurations(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> ListIntelligentTieringResult:
        """Return all of the bucket's rules.

        Source: COS SDK for Python, ``list_bucket_intelligenttiering_configurations``.
        """
        return await self._invoke(LIST_TIERING, options, Bucket=Bucket)


def _query(rule_id: object) -> dict[str, str]:
    if not text(rule_id, "Id"):
        raise ParameterError("Id is required, the name of the rule")
    return {"id": str(rule_id)}

"""The policy of a bucket: who may do what, in JSON."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypedDict, Unpack

from aiocos.body import as_body
from aiocos.errors import ParameterError, ResponseParseError
from aiocos.operations import reconcile
from aiocos.operations.base import Operations
from aiocos.operations.checks import text
from aiocos.operations.decode import nothing, refuse_page
from aiocos.operations.options import RequestHeaders
from aiocos.operations.spec import Operation
from aiocos.request import Reply


class GetBucketPolicyResult(TypedDict):
    """Of ``get_bucket_policy``."""

    Policy: str
    """JSON, as COS sent it."""


def _policy(reply: Reply) -> Any:
    refuse_page(reply)
    try:
        is_object = isinstance(json.loads(reply.body), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise ResponseParseError("the answer is not the JSON object that a policy is")
    return {"Policy": reply.body.decode(json.detect_encoding(reply.body))}


PUT_BUCKET_POLICY: Final[Operation[None]] = Operation(
    name="PutBucketPolicy",
    method="PUT",
    scope="bucket",
    query={"policy": ""},
    options=RequestHeaders,
    decode=nothing,
)
GET_BUCKET_POLICY: Final[Operation[GetBucketPolicyResult]] = Operation(
    name="GetBucketPolicy",
    method="GET",
    scope="bucket",
    query={"policy": ""},
    options=RequestHeaders,
    decode=_policy,
)
DELETE_BUCKET_POLICY: Final[Operation[None]] = Operation(
    name="DeleteBucketPolicy",
    method="DELETE",
    scope="bucket",
    query={"policy": ""},
    options=RequestHeaders,
    decode=nothing,
    doubtful_codes=frozenset({"NoSuchBucketPolicy"}),
)


class PolicyOperations(Operations):
    """Policies of buckets."""

    async def put_bucket_policy(
        self, Bucket: str, Policy: str | Mapping[str, object], **options: Unpack[RequestHeaders]
    ) -> None:
        """Replace a bucket's policy by a JSON object: text, a dict, or what ``get_`` returned.

        COS alone knows what it may say: nothing of it is checked here.

        Raises:
            ParameterError: it is no JSON object; nothing was sent.

        Source: COS SDK for Python, ``put_bucket_policy``.
        """
        content = _document(Policy).encode()
        await self._invoke(
            PUT_BUCKET_POLICY,
            options,
            Bucket=Bucket,
            headers={"Content-Type": "application/json"},
            body=as_body(content),
        )

    async def get_bucket_policy(
        self, Bucket: str, **options: Unpack[RequestHeaders]
    ) -> GetBucketPolicyResult:
        """Return a bucket's policy under ``Policy``, as JSON.

        Raises:
            NotFoundError: it has none (``NoSuchBucketPolicy``), or there is no such bucket.

        Source: COS SDK for Python, ``get_bucket_policy``.
        """
        return await self._invoke(GET_BUCKET_POLICY, options, Bucket=Bucket)

    async def delete_bucket_policy(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Remove a bucket's policy.

        Source: COS SDK for Python, ``delete_bucket_policy``.
        """
        await self._invoke(
            DELETE_BUCKET_POLICY, options, Bucket=Bucket, reconcile=reconcile.was_done
        )


def _document(policy: object) -> str:
    """Return a policy as JSON text: a text as it is, where it is a JSON object."""
    if isinstance(policy, Mapping) and policy.keys() == {"Policy"}:
        policy = policy["Policy"]
    try:
        if isinstance(policy, Mapping):
            return json.dumps(dict(policy), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(f"Policy cannot be written as JSON: {error}") from error
    document = text(policy, "Policy")
    try:
        is_object = isinstance(json.loads(document), dict)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"Policy is not JSON: {error}") from error
    if not is_object:
        raise ParameterError("Policy must be a JSON object, as text or as a dict")
    return document

"""Delete one object, or up to a thousand in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, Unpack

from aiocos.body import as_body
from aiocos.encoding import xml
from aiocos.encoding.digest import md5_base64
from aiocos.errors import CosServiceError, ParameterError, ServiceFailure, service_error
from aiocos.operations.base import Operations
from aiocos.operations.decode import headers_only, tree_of
from aiocos.operations.options import DeleteObjectOptions, RequestHeaders
from aiocos.operations.results import DeleteObjectResult, DeleteObjectsResult
from aiocos.operations.spec import Operation

MAX_DELETE_KEYS: Final = 1000
_STATUS: Final = {"AccessDenied": 403, "NoSuchKey": 404, "NoSuchVersion": 404}

DELETE_OBJECT: Final[Operation[DeleteObjectResult]] = Operation(
    name="DeleteObject",
    method="DELETE",
    scope="object",
    options=DeleteObjectOptions,
    decode=headers_only,
)
DELETE_OBJECTS: Final[Operation[DeleteObjectsResult]] = Operation(
    name="DeleteObjects",
    method="POST",
    scope="bucket",
    query={"delete": ""},
    options=RequestHeaders,
    decode=tree_of("DeleteResult", lists=("Deleted", "Error")),
)


class DeleteTarget(TypedDict, total=False):
    """One key to delete, or one version of it."""

    Key: str
    VersionId: str | None


class DeleteRequest(TypedDict, total=False):
    """What ``delete_objects`` deletes."""

    Object: Sequence[DeleteTarget]
    Quiet: Literal["true", "false"] | bool


class DeleteOperations(Operations):
    """Operations that take objects away."""

    async def delete_object(
        self, Bucket: str, Key: str, **options: Unpack[DeleteObjectOptions]
    ) -> DeleteObjectResult:
        """Delete an object, or one version; a key that is not there is no error.

        Under versioning, without ``VersionId``, a delete marker is put on top; a repeat
        after a lost answer may put two.

        Options: ``aiocos.types.DeleteObjectOptions``.

        Source: COS SDK document, "Deleting an object".
        """
        return await self._invoke(DELETE_OBJECT, options, Bucket=Bucket, Key=Key)

    async def delete_objects(
        self, Bucket: str, Delete: DeleteRequest | None = None, **options: Unpack[RequestHeaders]
    ) -> DeleteObjectsResult:
        """Delete up to 1000 keys or versions in one request.

        Keys that could not be deleted are listed under ``Error``: look there. With
        ``Quiet`` nothing else is listed.

        Raises:
            ParameterError: no keys, more than 1000, or one that XML cannot carry.

        Source: COS SDK document, "Deleting multiple objects".
        """
        # A thousand long keys take 15 ms to check and write down: not in the event loop.
        executor = (await self._ready()).executor
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(executor, _delete_document, Delete or {})
        headers = {"Content-MD5": md5_base64(content), "Content-Type": "application/xml"}
        return await self._invoke(
            DELETE_OBJECTS, options, Bucket=Bucket, headers=headers, body=as_body(content)
        )


def _delete_document(delete: DeleteRequest) -> bytes:
    if not isinstance(delete, Mapping):
        raise ParameterError("Delete must be a dict such as {'Object': [{'Key': 'a.txt'}]}")
    targets = delete.get("Object") or ()
    if not isinstance(targets, Sequence):
        raise ParameterError("Delete['Object'] must be a list such as [{'Key': 'a.txt'}]")
    if not 1 <= len(targets) <= MAX_DELETE_KEYS:
        raise ParameterError(f"Delete['Object'] has {len(targets)} keys, and must have 1 to 1000")
    for target in targets:
        key = target.get("Key") if isinstance(target, Mapping) else None
        if not isinstance(key, str) or not key or any(mark in key for mark in "\r\n\0"):
            raise ParameterError(f"Delete['Object'] holds {target!r}, which needs a Key")
    return xml.document("Delete", delete)


def refusal(failure: Mapping[str, Any]) -> CosServiceError:
    """Return what COS said of one key as the error it would have been for that key alone."""
    code = failure.get("Code") or "Unknown"
    return service_error(
        ServiceFailure(
            status=_STATUS.get(code, 500),
            code=code,
            message=failure.get("Message") or "",
            resource=failure["Key"],
        )
    )

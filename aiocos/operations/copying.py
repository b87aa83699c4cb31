"""Copy an object inside COS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Unpack

from aiocos.encoding.headers import user_metadata
from aiocos.errors import ParameterError
from aiocos.operations.base import Operations
from aiocos.operations.decode import headers_and
from aiocos.operations.options import CopyObjectOptions
from aiocos.operations.results import CopyObjectResult, CopySource
from aiocos.operations.spec import Operation

COPY_OBJECT: Final[Operation[CopyObjectResult]] = Operation(
    name="CopyObject",
    method="PUT",
    scope="object",
    options=CopyObjectOptions,
    decode=headers_and("CopyObjectResult"),
    is_slow=True,
)
_STORED: Final = {
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "Expires": "Expires",
}


def stored_metadata(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored with an object, from its headers, as keywords that store it again."""
    stored: dict[str, Any] = {
        keyword: head[header] for keyword, header in _STORED.items() if header in head
    }
    if metadata := user_metadata(head):
        stored["Metadata"] = metadata
    return stored


class CopyOperations(Operations):
    """Copies that COS makes by itself."""

    async def copy_object(
        self,
        Bucket: str,
        Key: str,
        CopySource: CopySource,
        CopyStatus: Literal["Copy", "Replaced"] = "Copy",
        **options: Unpack[CopyObjectOptions],
    ) -> CopyObjectResult:
        """Copy an object of at most 5 GiB; the bytes do not pass through here.

        ``CopyStatus='Copy'`` takes the source's metadata along, ``'Replaced'`` sets what
        the keywords say. A copy onto itself must be ``'Replaced'``, and changes metadata
        or, with ``StorageClass``, the storage class.

        Raises:
            NotFoundError: there is no such source.
            PreconditionError: a ``CopySourceIf...`` condition is not met.

        Options: ``aiocos.types.CopyObjectOptions``.

        Source: COS SDK document, "Copying an object".
        """
        if CopyStatus not in {"Copy", "Replaced"}:
            raise ParameterError(f"CopyStatus is {CopyStatus!r}, and must be Copy or Replaced")
        source = (await self._ready()).endpoints.copy_source(CopySource)
        headers = {"x-cos-copy-source": source, "x-cos-metadata-directive": CopyStatus}
        return await self._invoke(COPY_OBJECT, options, Bucket=Bucket, Key=Key, headers=headers)

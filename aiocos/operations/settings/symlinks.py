"""Objects that stand for another object."""

from typing import Any, Final, NotRequired, TypedDict, Unpack
from urllib.parse import quote, unquote

from aiocos.encoding.urls import quoted_path
from aiocos.errors import ResponseParseError
from aiocos.operations.base import Operations
from aiocos.operations.decode import refuse_page, stored_headers
from aiocos.operations.options import RequestHeaders, VersionOption
from aiocos.operations.results import HeadersResult
from aiocos.operations.spec import Operation
from aiocos.request import Reply

TARGET: Final = "x-cos-symlink-target"


class GetSymlinkOptions(RequestHeaders, VersionOption, total=False):
    """Optional keywords of ``get_symlink``."""


class PutSymlinkResult(HeadersResult):
    """Of ``put_symlink``."""

    ETag: str


GetSymlinkResult = TypedDict(
    "GetSymlinkResult",
    {
        "Content-Length": NotRequired[str],
        "Date": NotRequired[str],
        "ETag": NotRequired[str],
        "Last-Modified": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
        "x-cos-symlink-target": str,
        "x-cos-version-id": NotRequired[str],
    },
)
"""Of ``get_symlink``; the target is a key, not encoded."""


def _target(reply: Reply) -> Any:
    refuse_page(reply)
    if TARGET not in reply.headers:
        raise ResponseParseError(f"the answer has no {TARGET}: it does not come from COS")
    reply.headers[TARGET] = _key(reply.headers[TARGET])
    return reply.headers


def _key(target: str) -> str:
    """Return the key that a target names: decoded, where it can have been encoded."""
    key = unquote(target)
    encoded = {quote(key, safe="/-_.~"), quote(key, safe="-_.!~*'()")}
    return key if target in encoded else target


PUT_SYMLINK: Final[Operation[PutSymlinkResult]] = Operation(
    name="PutSymlink",
    method="PUT",
    scope="object",
    query={"symlink": ""},
    options=RequestHeaders,
    decode=stored_headers,
)
GET_SYMLINK: Final[Operation[GetSymlinkResult]] = Operation(
    name="GetSymlink",
    method="GET",
    scope="object",
    query={"symlink": ""},
    options=GetSymlinkOptions,
    decode=_target,
)


class SymlinkOperations(Operations):
    """Symbolic links."""

    async def put_symlink(
        self,
        Bucket: str,
        SymlinkName: str,
        SymlinkTarget: str,
        **options: Unpack[RequestHeaders],
    ) -> PutSymlinkResult:
        """Make the key ``SymlinkName`` stand for the object ``SymlinkTarget``.

        The target is a key of the same bucket, and need not be there.

        Raises:
            ParameterError: a name cannot be a key; nothing was sent.

        Source: COS SDK for Python, ``put_symlink``.
        """
        # Percent-encoded, as in Tencent's SDK for Go; the sync SDK sends it as it is, which
        # is the same for plain names and cannot be sent for others.
        target = quoted_path(SymlinkTarget)[1:]
        return await self._invoke(
            PUT_SYMLINK, options, Bucket=Bucket, Key=SymlinkName, headers={TARGET: target}
        )

    async def get_symlink(
        self, Bucket: str, SymlinkName: str, **options: Unpack[GetSymlinkOptions]
    ) -> GetSymlinkResult:
        """Return the headers of a symbolic link itself, its target among them.

        Raises:
            NotFoundError: there is no such key or version.

        Options: ``aiocos.types.GetSymlinkOptions``.

        Source: COS SDK for Python, ``get_symlink``.
        """
        return await self._invoke(GET_SYMLINK, options, Bucket=Bucket, Key=SymlinkName)

"""Async-native, typed client for Tencent Cloud COS.

Source of names: the sync SDK's documentation of its object operations.
"""

from typing import TYPE_CHECKING

from aiocos.config import CosConfig, Timeouts
from aiocos.credentials import CredentialProvider, Credentials
from aiocos.encoding.headers import user_metadata
from aiocos.errors import (
    AccessDeniedError,
    AmbiguousResultError,
    ClientStateError,
    CosClientError,
    CosException,
    CosServiceError,
    DamagedUploadError,
    ExpiredTokenError,
    IntegrityError,
    NotFoundError,
    NotModifiedError,
    ObjectChangedError,
    ParameterError,
    PreconditionError,
    RedirectError,
    ResponseParseError,
    SignatureError,
    ThrottledError,
    TransportError,
)
from aiocos.retry import RetryPolicy

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.stream import StreamBody

__version__ = "0.1.0"

__all__ = [
    "AccessDeniedError",
    "AmbiguousResultError",
    "ClientStateError",
    "CosClientError",
    "CosConfig",
    "CosException",
    "CosS3Client",
    "CosServiceError",
    "CredentialProvider",
    "Credentials",
    "DamagedUploadError",
    "ExpiredTokenError",
    "IntegrityError",
    "NotFoundError",
    "NotModifiedError",
    "ObjectChangedError",
    "ParameterError",
    "PreconditionError",
    "RedirectError",
    "ResponseParseError",
    "RetryPolicy",
    "SignatureError",
    "StreamBody",
    "ThrottledError",
    "Timeouts",
    "TransportError",
    "user_metadata",
]


def __getattr__(name: str) -> object:
    """Load the network libraries with the first name that needs them.

    They take a fifth of a second, which ``aiocos --help`` has no use for.
    """
    if name in {"CosS3Client", "StreamBody"}:
        from aiocos import client, stream  # noqa: PLC0415 - that is the point

        globals().update(CosS3Client=client.CosS3Client, StreamBody=stream.StreamBody)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

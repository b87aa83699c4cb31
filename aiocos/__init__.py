"""Async-native, typed client for Tencent Cloud COS.

Source of names: the sync SDK's documentation of its object operations.
"""

from aiocos.client import CosS3Client
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

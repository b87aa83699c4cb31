"""Async-native, typed client for Tencent Cloud COS.

    config = aiocos.CosConfig(Region="ap-guangzhou", SecretId="...", SecretKey="...")
    async with aiocos.CosS3Client(config) as client:
        await client.put_object("examplebucket-1250000000", b"hello", "greeting.txt")

``CosConfig.local(DIR)`` needs no account: it runs a COS server inside the client. Method and
keyword names are those of the COS SDK for Python; ``aiocos.types`` has the types of what goes
in and what comes back, for annotations.
"""

import importlib
from typing import TYPE_CHECKING

from aiocos.config import CosConfig, Timeouts
from aiocos.credentials import CredentialProvider, Credentials
from aiocos.encoding.digest import crc64
from aiocos.encoding.headers import user_metadata
from aiocos.errors import (
    AccessDeniedError,
    AmbiguousResultError,
    ClientStateError,
    CosClientError,
    CosException,
    CosServiceError,
    CredentialsError,
    DamagedUploadError,
    DecryptionError,
    ExpiredTokenError,
    Failure,
    IntegrityError,
    JournalLockedError,
    NotEncryptedError,
    NotFoundError,
    NotModifiedError,
    ObjectChangedError,
    ParameterError,
    PlanError,
    PreconditionError,
    RedirectError,
    ResponseParseError,
    SignatureError,
    SourceChangedError,
    ThrottledError,
    TransferError,
    TransportError,
)

if TYPE_CHECKING:
    from aiocos import types as types
    from aiocos.client import CosS3Client
    from aiocos.crypto.client import CosEncryptionClient
    from aiocos.crypto.envelopes import WrappedKey
    from aiocos.crypto.keys import AESProvider, KeyProvider, RSAProvider
    from aiocos.identity import (
        AssumeRoleCredentials,
        CoscliCredentials,
        CoscmdCredentials,
        CredentialChain,
        CvmRoleCredentials,
        EnvironmentCredentials,
        ProfileCredentials,
        ScfCredentials,
        TccliCredentials,
        WebIdentityCredentials,
        default_credentials,
    )
    from aiocos.operations.event_stream import EventStream
    from aiocos.retry import RetryPolicy
    from aiocos.stream import StreamBody
    from aiocos.sync.places import CosFolder
    from aiocos.transfer.handle import Transfer
    from aiocos.transfer.manager import TransferConfig, TransferManager
    from aiocos.transfer.progress import TransferEvent

__version__ = "0.1.0"

__all__ = [
    "AESProvider",
    "AccessDeniedError",
    "AmbiguousResultError",
    "AssumeRoleCredentials",
    "ClientStateError",
    "CosClientError",
    "CosConfig",
    "CosEncryptionClient",
    "CosException",
    "CosFolder",
    "CosS3Client",
    "CosServiceError",
    "CoscliCredentials",
    "CoscmdCredentials",
    "CredentialChain",
    "CredentialProvider",
    "Credentials",
    "CredentialsError",
    "CvmRoleCredentials",
    "DamagedUploadError",
    "DecryptionError",
    "EnvironmentCredentials",
    "EventStream",
    "ExpiredTokenError",
    "Failure",
    "IntegrityError",
    "JournalLockedError",
    "KeyProvider",
    "NotEncryptedError",
    "NotFoundError",
    "NotModifiedError",
    "ObjectChangedError",
    "ParameterError",
    "PlanError",
    "PreconditionError",
    "ProfileCredentials",
    "RSAProvider",
    "RedirectError",
    "ResponseParseError",
    "RetryPolicy",
    "ScfCredentials",
    "SignatureError",
    "SourceChangedError",
    "StreamBody",
    "TccliCredentials",
    "ThrottledError",
    "Timeouts",
    "Transfer",
    "TransferConfig",
    "TransferError",
    "TransferEvent",
    "TransferManager",
    "TransportError",
    "WebIdentityCredentials",
    "WrappedKey",
    "crc64",
    "default_credentials",
    "user_metadata",
]


_LATER = {
    "AESProvider": "crypto.keys",
    "AssumeRoleCredentials": "identity",
    "CosEncryptionClient": "crypto.client",
    "CosFolder": "sync.places",
    "CosS3Client": "client",
    "CoscliCredentials": "identity",
    "CoscmdCredentials": "identity",
    "CredentialChain": "identity",
    "CvmRoleCredentials": "identity",
    "EnvironmentCredentials": "identity",
    "EventStream": "operations.event_stream",
    "KeyProvider": "crypto.keys",
    "ProfileCredentials": "identity",
    "RSAProvider": "crypto.keys",
    "RetryPolicy": "retry",
    "ScfCredentials": "identity",
    "StreamBody": "stream",
    "TccliCredentials": "identity",
    "Transfer": "transfer.handle",
    "TransferConfig": "transfer.manager",
    "TransferEvent": "transfer.progress",
    "TransferManager": "transfer.manager",
    "WebIdentityCredentials": "identity",
    "WrappedKey": "crypto.envelopes",
    "default_credentials": "identity",
}

if not TYPE_CHECKING:  # a checker would take any name for granted

    def __getattr__(name):
        """Load the network libraries with the first name that needs them.

        They take a fifth of a second, which ``aiocos --help`` has no use for.
        """
        if name == "types":
            return importlib.import_module("aiocos.types")
        module = _LATER.get(name)
        if module is not None:
            globals()[name] = getattr(importlib.import_module(f"aiocos.{module}"), name)
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what is meant for use."""
    return [*__all__, "__version__", "types"]

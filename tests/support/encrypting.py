"""Encrypting clients of the local server, and keys for tests.

In: a running server, a provider, options. Out: a client, closed with its block.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import aiocos
from aiocos.emulator import CosEmulator
from tests.conftest import QUICK

MIB = 1 << 20
MASTER = base64.b64encode(bytes(range(32))).decode()
OTHER_MASTER = base64.b64encode(bytes(range(32, 64))).decode()


@asynccontextmanager
async def encrypting(
    emulator: CosEmulator,
    provider: aiocos.KeyProvider | None = None,
    *,
    transfers: aiocos.TransferConfig | None = None,
    **options: Any,
) -> AsyncIterator[aiocos.CosEncryptionClient]:
    """A client that parts what is larger than 1 MiB."""
    transfers = transfers or aiocos.TransferConfig(single_mib=1, copy_single_mib=1)
    config = aiocos.CosConfig(**emulator.settings())
    async with aiocos.CosEncryptionClient(
        config, provider or aiocos.AESProvider(MASTER), QUICK, transfers=transfers, **options
    ) as client:
        yield client


@asynccontextmanager
async def plain(emulator: CosEmulator) -> AsyncIterator[aiocos.CosS3Client]:
    """A client that sees what is stored."""
    async with aiocos.CosS3Client(aiocos.CosConfig(**emulator.settings()), QUICK) as client:
        yield client


@cache
def rsa_pair(number: int = 0, bits: int = 2048) -> tuple[str, str]:
    """A public and a private key in PEM; the same ones for the same number."""
    key = rsa.generate_private_key(65537, bits)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return public.decode(), private.decode()

"""Clients that encrypt, each with a master key of the tests' own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from aiocos import (
    AESProvider,
    CosConfig,
    CosEncryptionClient,
    KeyProvider,
    RSAProvider,
    TransferConfig,
    TransferManager,
)
from aiocos.emulator import CosEmulator
from tests.conftest import QUICK

MASTER = bytes(range(32))
OTHER_MASTER = bytes(range(1, 33))
MakeEncrypting = Callable[..., CosEncryptionClient]


def aes(master: bytes = MASTER) -> AESProvider:
    return AESProvider(base64.b64encode(master).decode())


@cache
def rsa_pair(number: int = 0) -> RSAProvider:
    """A pair of RSA keys, another one for each number."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return RSAProvider(RSAProvider.get_rsa_key_pair(public, private))


@pytest.fixture(autouse=True)
async def _no_debug() -> None:
    """Thousands of requests: what makes every step of the loop slower is off."""
    asyncio.get_running_loop().set_debug(False)


@pytest.fixture
async def make_encrypting(emulator: CosEmulator) -> AsyncIterator[MakeEncrypting]:
    """Makes encrypting clients of the local server, closed when the test ends.

    ``provider`` is the master key; ``parts`` sends and fetches everything in parts of 1 MiB
    that is larger.
    """
    clients = []

    def make(
        provider: KeyProvider | None = None,
        *,
        parts: bool = False,
        transfers: TransferConfig | TransferManager | None = None,
        Legacy: str = "refuse",
        Renamed: str = "refuse",
        **changes: object,
    ) -> CosEncryptionClient:
        config = CosConfig(**(emulator.settings() | changes))
        if parts:
            transfers = TransferConfig(
                single_mib=0, copy_single_mib=0, download_part_mib=1, copy_part_mib=1
            )
        made = CosEncryptionClient(
            config,
            provider or aes(),
            retry=QUICK,
            transfers=transfers,
            Legacy=Legacy,  # type: ignore[arg-type]
            Renamed=Renamed,  # type: ignore[arg-type]  # a test gives wrong ones
        )
        clients.append(made)
        return made

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def encrypting(make_encrypting: MakeEncrypting) -> CosEncryptionClient:
    return make_encrypting()

"""What a worker makes its client from, and whether keys may travel there.

In: a CosConfig. Out: a Recipe, which pickles. It goes to the workers once, in a plugin: no task,
no task's name and no file has anything of it.
"""

from __future__ import annotations

import io
import ipaddress
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiocos.client import CosS3Client
from aiocos.config import CosConfig
from aiocos.credentials import Credentials
from aiocos.errors import ParameterError
from aiocos.retry import RetryPolicy
from aiocos.transfer.manager import TransferConfig

_SECRET_NAMES: Final = ("secret_key", "secretkey", "token", "private_key", "password")
_SEALED: Final = frozenset({"tls", "inproc", "ucxs", "wss"})
_HOW: Final = (
    "give CosConfig(CredentialInstance=default_credentials()), so that each worker finds its own, "
    "or ship_credentials=True"
)


@dataclass(frozen=True, slots=True, repr=False)
class Recipe:
    """What every worker makes its client from."""

    config: CosConfig
    retry: int | RetryPolicy | None = None
    transfers: TransferConfig | None = None

    def client(self) -> CosS3Client:
        """Make the client of this process."""
        return CosS3Client(self.config, self.retry, transfers=self.transfers)


def check_config(config: CosConfig, *, ship_credentials: bool) -> None:
    """Refuse a configuration that cannot go to other machines as it is.

    Raises:
        ParameterError: it holds keys and ``ship_credentials`` is not set, it does not pickle, or
            it is that of a server inside this process.
    """
    if config.local_dir is not None:
        raise ParameterError(
            "CosConfig.local is a server inside this process, which no worker reaches: run "
            "aiocos emulator, and give its address"
        )
    watch = _Watch(io.BytesIO())
    try:
        watch.dump(config)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ParameterError(f"config cannot be sent to workers: {error}") from None
    has_keys = bool(config.SecretKey or config.Token) or watch.has_keys
    if has_keys and not ship_credentials:
        raise ParameterError(f"config holds keys, which do not leave this process: {_HOW}")


def check_way(address: str, config: CosConfig, *, ship_credentials: bool) -> None:
    """Refuse to send keys where others could read them on the way.

    Raises:
        ParameterError: the address is neither ``tls://`` nor on this machine.
    """
    if not ship_credentials or config.Anonymous:
        return
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in _SEALED or _is_here(parts.hostname or ""):
        return
    raise ParameterError(
        f"keys would go to {address} in the open: use a tls:// address, or give "
        "CosConfig(CredentialInstance=default_credentials()), so that each worker finds its own"
    )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Watch(pickle.Pickler):
    """Sees each object that a pickle would hold."""

    has_keys = False

    def persistent_id(self, obj: Any) -> None:
        """Look at one of them."""
        if isinstance(obj, Credentials):
            self.has_keys = True
        elif isinstance(obj, Mapping):
            self.has_keys |= any(map(_is_secret, obj.items()))


def _is_secret(item: tuple[object, object]) -> bool:
    name, value = item
    is_named = isinstance(name, str) and any(word in name.lower() for word in _SECRET_NAMES)
    return is_named and isinstance(value, str | bytes) and bool(value)

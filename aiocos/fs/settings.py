"""What a filesystem is opened with: storage options in, a client's configuration out.

Secrets among the options show themselves in no repr, and options that differ only in a secret
still make two filesystems.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import secrets
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from aiocos.config import CosConfig
from aiocos.errors import ParameterError
from aiocos.identity import default_credentials

SECRETS: Final = ("secret_key", "token")
_OBJECTS: Final = ("config", "client", "retry", "transfers")
_KEY: Final = secrets.token_bytes(16)


class Hidden(str):
    """A secret among storage options: a text whose repr is not the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def hide_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return storage options whose repr tells no secret, but still tells two sets apart.

    fsspec keeps one filesystem for each repr of its options. ``identity``, which is good for
    this process only, stands for what the repr does not tell.
    """
    hidden = {
        name: Hidden(value) if name in SECRETS and isinstance(value, str) else value
        for name, value in options.items()
        if name != "identity"
    }
    told = [(name, value) for name, value in hidden.items() if name in SECRETS + _OBJECTS]
    if any(value is not None for _, value in told):
        digest = hashlib.blake2b(key=_KEY, digest_size=16)
        for name, value in told:
            digest.update(f"{name}={_distinct(value)!r};".encode())
        hidden["identity"] = digest.hexdigest()
    return hidden


def _distinct(value: object) -> object:
    """Return something that differs wherever the values do; it lives as long as its filesystem."""
    if isinstance(value, str):
        return str(value)
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError):
        return id(value)


def make_config(
    *,
    region: str | None,
    endpoint: str | None,
    secret_id: str | None,
    secret_key: str | None,
    token: str | None,
    anon: bool,
    profile: str | None,
    environ: Mapping[str, str] = os.environ,
) -> CosConfig:
    """Return the configuration that storage options and environment amount to.

    ``COS_REGION`` and ``COS_ENDPOINT`` are used where neither option is given, and the chain of
    ``default_credentials`` where there are no keys.
    """
    if not (region or endpoint):
        region, endpoint = environ.get("COS_REGION"), environ.get("COS_ENDPOINT")
    given: dict[str, Any] = {"Region": region or None, **_place(endpoint)}
    if bool(secret_id) != bool(secret_key) or (token and not secret_id):
        raise ParameterError("secret_id and secret_key go together, and token with both")
    if anon:
        given["Anonymous"] = True
    elif secret_id and secret_key:
        # The plain text: what is hidden is hidden by CosConfig as well.
        keys = {"SecretId": secret_id, "SecretKey": str(secret_key)}
        given |= keys | ({"Token": str(token)} if token else {})
    else:
        given["CredentialInstance"] = default_credentials(environ, profile=profile, first="COS")
    return CosConfig(**given)


def _place(endpoint: str | None) -> dict[str, str]:
    """Return what of ``CosConfig`` says where the endpoint is."""
    if not endpoint:
        return {}
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    if parts.scheme not in {"", "http", "https"} or parts.path.strip("/") or "@" in parts.netloc:
        raise ParameterError(f"endpoint is {endpoint!r}, and must be as in http://127.0.0.1:9000")
    host = parts.netloc
    name = parts.hostname or ""
    if name == "localhost":
        host = host.replace("localhost", "127.0.0.1", 1)
    is_here = name in {"localhost", "::1"} or name.startswith("127.")
    scheme: Literal["http", "https"] = "http" if is_here else "https"
    return {"Endpoint": host, "Scheme": parts.scheme or scheme}

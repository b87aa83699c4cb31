"""Which COS, and who asks.

In: the options every verb has, and the environment. Out: a ``CosConfig``, and a client.
Secrets are no options, because other users' process lists would show them: they come from
COS_SECRET_ID and its kin, then TENCENTCLOUD_SECRET_ID and its kin, then the other places
of ``default_credentials``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from cyclopts import Parameter

from aiocos.cli.failing import UsageError
from aiocos.config import CosConfig, is_loopback

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.identity import CredentialChain

_DEFAULT_REGION: Final = "ap-guangzhou"


@Parameter(name="*", group="Connection")
@dataclass(frozen=True)
class Connection:
    """Options of every verb that talks to COS."""

    local: Path | None = None
    """Use a COS server inside this process, over this directory. No account is needed."""

    region: str | None = None
    """Region of the bucket, such as ap-guangzhou; else COS_REGION."""

    endpoint: str | None = None
    """Host that serves COS, with an optional http:// and :port; else COS_ENDPOINT."""

    debug: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Show where an error came from."""


ANYWHERE: Final = Connection()


def make_client(
    connection: Connection, environ: Mapping[str, str], *, needs_region: bool = True
) -> CosS3Client:
    """Return a client, to be entered."""
    # aiohttp takes longer to import than everything else here: help does without.
    from aiocos.client import CosS3Client  # noqa: PLC0415

    return CosS3Client(configure(connection, environ, needs_region=needs_region))


def configure(
    connection: Connection, environ: Mapping[str, str], *, needs_region: bool = True
) -> CosConfig:
    """Return the configuration that options and environment amount to.

    Options win over the environment, and ``--local`` over all of it. Without
    ``needs_region``, where buckets are listed, none need be given.

    Raises:
        UsageError: something is missing or contradicts something else.
    """
    if connection.local is not None:
        if connection.endpoint or connection.region:
            raise UsageError("--local is a server of its own: leave out --endpoint and --region")
        return CosConfig.local(connection.local)
    region = connection.region or environ.get("COS_REGION") or None
    endpoint = connection.endpoint or environ.get("COS_ENDPOINT") or None
    if not (region or endpoint or not needs_region):
        raise UsageError(
            "no region: give --region or set COS_REGION, or use --local DIR, which needs no account"
        )
    given: dict[str, Any] = {"CredentialInstance": credentials(environ)}
    given |= _place(endpoint, region) if endpoint else {"Region": region or _DEFAULT_REGION}
    return CosConfig(**given)


def credentials(environ: Mapping[str, str]) -> CredentialChain:
    """Return the places where the keys may be: COS_SECRET_ID before all others."""
    # It brings aiohttp: help does without.
    from aiocos.identity import default_credentials  # noqa: PLC0415

    return default_credentials(environ, first="COS")


def _place(endpoint: str, region: str | None) -> dict[str, Any]:
    """Return what of ``CosConfig`` says where the endpoint is."""
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        name, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"the endpoint is {endpoint!r}: {error}") from error
    if parts.scheme not in {"", "http", "https"} or not name or "@" in parts.netloc:
        raise UsageError(f"the endpoint is {endpoint!r}, and must be as in http://127.0.0.1:9000")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(f"the endpoint is {endpoint!r}, and must end behind host and port")
    if not is_loopback(name):
        return {
            "Endpoint": parts.netloc,
            "Region": region,
            "Scheme": parts.scheme or "https",
        }
    # Buckets have no names on this machine: connect to the address, name the bucket in Host.
    return {
        "IP": f"[{name}]" if ":" in name else name,
        "Port": port,
        "ServiceDomain": parts.netloc,
        "Region": region or _DEFAULT_REGION,
        "Scheme": parts.scheme or "http",
    }

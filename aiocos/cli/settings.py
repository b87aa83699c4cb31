"""Which COS, and who asks.

In: the options every verb has, and the environment. Out: a ``CosConfig``, and a client.
Secrets are no options, because other users' process lists would show them: they come from
COS_SECRET_ID and its kin, a profile, or the places of ``default_credentials``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from cyclopts import Parameter

from aiocos.cli import profiles
from aiocos.cli.failing import UsageError
from aiocos.cli.profiles import Profile
from aiocos.config import CosConfig, is_loopback

if TYPE_CHECKING:
    from aiocos.cli.options import Speed
    from aiocos.client import CosS3Client
    from aiocos.identity import CredentialChain

_DEFAULT_REGION: Final = "ap-guangzhou"
_OTHER_CALLS: Final = 16
"""Connections for what moves no bytes, beside those of transfers."""


Flag = Annotated[bool, Parameter(negative="", show_default=False)]


@Parameter(name="*", group="Output")
@dataclass(frozen=True)
class Showing:
    """Options of every verb: what it shows."""

    json: Annotated[bool, Parameter(negative="", show_default=False, group="Output")] = False
    """Give JSON Lines to a program: see aiocos/cli/json.md."""

    quiet: Annotated[
        bool,
        Parameter(name=("--quiet", "-q"), negative="", show_default=False, group="Output"),
    ] = False
    """Show no progress and no notes; failures are told."""

    debug: Annotated[bool, Parameter(negative="", show_default=False, group="Output")] = False
    """Show where an error came from."""


@Parameter(name="*", group="Connection")
@dataclass(frozen=True)
class Connection(Showing):
    """Options of every verb that talks to COS."""

    local: Path | None = None
    """Use a COS server inside this process, over this directory. No account is needed."""

    profile: str | None = None
    """Name of a profile in ~/.config/aiocos/config.toml; else COS_PROFILE."""

    region: str | None = None
    """Region of the bucket, such as ap-guangzhou; else COS_REGION."""

    endpoint: str | None = None
    """Host that serves COS, with an optional http:// and :port; else COS_ENDPOINT."""

    ca_file: Path | None = None
    """Certificates to trust for https in place of the usual ones; else COS_CA_FILE."""


@Parameter(name="*", group="Connection")
@dataclass(frozen=True)
class Changing(Connection):
    """Options of every verb that changes something."""

    dry_run: Annotated[bool, Parameter(negative="", show_default=False, group="Output")] = False
    """Say what would be done, and change nothing. What has to be read is read."""


@Parameter(name="*", group="Output")
@dataclass(frozen=True)
class Tidying(Showing):
    """Options of every verb that changes something on this machine alone."""

    dry_run: Annotated[bool, Parameter(negative="", show_default=False, group="Output")] = False
    """Say what would be done, and change nothing."""


SHOWN: Final = Showing()
TIDYING: Final = Tidying()
ANYWHERE: Final = Connection()
CHANGED: Final = Changing()


def make_client(
    connection: Connection,
    environ: Mapping[str, str],
    *,
    needs_region: bool = True,
    speed: Speed | None = None,
) -> CosS3Client:
    """Return a client, to be entered, whose transfers together go at that speed."""
    # aiohttp takes longer to import than everything else here: help does without.
    from aiocos.client import CosS3Client  # noqa: PLC0415
    from aiocos.transfer.manager import TransferConfig  # noqa: PLC0415

    config = configure(connection, environ, needs_region=needs_region)
    if speed is None:
        return CosS3Client(config)
    requests = max(speed.workers, TransferConfig().requests)
    config = config.replace(PoolMaxSize=requests + _OTHER_CALLS)
    transfers = TransferConfig(
        requests=requests, bytes_per_s=speed.bytes_per_s, hedge=bool(speed.hedge)
    )
    return CosS3Client(config, transfers=transfers)


def profile_of(connection: Connection, environ: Mapping[str, str]) -> Profile:
    """Return the profile that counts: none over a directory."""
    if connection.local is not None:
        return Profile()
    return profiles.find(connection.profile, environ)


def configure(
    connection: Connection, environ: Mapping[str, str], *, needs_region: bool = True
) -> CosConfig:
    """Return the configuration that options, environment and profile amount to.

    ``--local`` wins over all of it; what else wins, ``profiles`` tells. Without
    ``needs_region``, where buckets are listed, none need be given.

    Raises:
        UsageError: something is missing or contradicts something else.
    """
    if connection.local is not None:
        if connection.endpoint or connection.region or connection.profile:
            raise UsageError(
                "--local is a server of its own: leave out --endpoint, --region and --profile"
            )
        return CosConfig.local(connection.local)
    profile = profile_of(connection, environ)
    region = profile.over("region", connection.region, environ.get("COS_REGION"))
    endpoint = profile.over("endpoint", connection.endpoint, environ.get("COS_ENDPOINT"))
    if not (region or endpoint or not needs_region):
        raise UsageError(
            "no region: give --region or set COS_REGION, or use --local DIR, which needs no account"
        )
    given: dict[str, Any] = {"CredentialInstance": credentials(profile, environ)}
    given |= _place(endpoint, region) if endpoint else {"Region": region or _DEFAULT_REGION}
    option = None if connection.ca_file is None else str(connection.ca_file)
    if ca_file := profile.over("ca_file", option, environ.get("COS_CA_FILE")):
        given["VerifySSL"] = ca_file
    return CosConfig(**given)


def credentials(profile: Profile, environ: Mapping[str, str]) -> CredentialChain:
    """Return the places where the keys may be."""
    # It brings aiohttp: help does without.
    from aiocos.cli.keys import chain_of  # noqa: PLC0415

    return chain_of(environ, profile)


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

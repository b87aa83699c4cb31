"""What a client needs to know: where COS is, who asks, how long to wait.

In: the parameters of the sync SDK under their own names. Out: one frozen, checked,
picklable ``CosConfig`` whose repr shows no secret.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from aiocos.credentials import CredentialInstance, CredentialProvider, Credentials
from aiocos.errors import ParameterError

_REGION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*[A-Za-z0-9]")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_APPID: Final = re.compile(r"[A-Za-z0-9]+")
_LOOPBACK: Final = re.compile(r"(127(?:\.[0-9]{1,3}){3}|\[::1\])(?::([0-9]{1,5}))?")
_LOCAL_REGION: Final = "ap-guangzhou"
_UNPREFIXED_REGIONS: Final = frozenset(
    {"cn-north", "cn-south", "cn-east", "cn-south-2", "cn-southwest", "sg"}
)
_OLD_REGION_NAMES: Final = {
    "cossh": "ap-shanghai",
    "cosgz": "ap-guangzhou",
    "cosbj": "ap-beijing",
    "costj": "ap-beijing-1",
    "coscd": "ap-chengdu",
    "cossgp": "ap-singapore",
    "coshk": "ap-hongkong",
    "cosca": "na-toronto",
    "cosger": "eu-frankfurt",
}
_REFUSED: Final = {
    "PoolConnections": "aiohttp keeps one pool for a client, whatever the number of hosts: "
    "use PoolMaxSize",
    "AllowRedirects": "a redirect is never followed, because it would send the signature and "
    "the token to another host; RedirectError names the address",
    "EndpointCi": "data-processing requests are outside this client",
    "EndpointPic": "data-processing requests are outside this client",
}
_SECRET_FIELDS: Final = frozenset({"SecretKey", "Token", "CredentialInstance"})
_LINK_LOCAL: Final = ipaddress.ip_network("169.254.0.0/16")
_EMBEDDING: Final = tuple(
    ipaddress.IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96")
)
"""Networks whose addresses end in an IPv4 address."""
_PROXIED: Final = frozenset({"http", "https"})
_PROXY: Final = re.compile(
    r"https?://(?:[^@/\s]*@)?(?:[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds; None waits for ever.

    ``idle`` restarts with every byte in either direction. ``min_rate`` is (bytes per
    second, window): a body slower than that over a whole window is given up; what is sent over
    TLS is counted by pieces of 256 KiB, so that a slow one is noticed later.
    ``response_header`` counts from the end of the request; ``complete`` replaces it where
    COS may think for minutes (complete a multipart upload, copy).
    """

    connect: float | None = 5.0
    response_header: float | None = 60.0
    idle: float | None = 30.0
    min_rate: tuple[int, float] | None = (1024, 30.0)
    complete: float | None = 300.0

    def __post_init__(self) -> None:
        for name in ("connect", "response_header", "idle", "complete"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ParameterError(f"Timeouts({name}=) must be more than 0 seconds, or None")


@dataclass(frozen=True, kw_only=True, repr=False)
class CosConfig:
    """How to reach COS, under the sync SDK's names and defaults.

    Give ``Region`` (``ap-guangzhou``), or an ``Endpoint`` or ``Domain``, and a key pair,
    a ``CredentialInstance``, or ``Anonymous=True``.

    Raises:
        ParameterError: a value cannot be right, or a parameter has no meaning here.

    Source: COS SDK for Python, ``CosConfig``.
    """

    Appid: str | None = None
    """Appended to bucket names that do not end with it."""
    Region: str | None = None
    Endpoint: str | None = None
    """Wins over ``Region``, may carry a port: ``cos.accelerate.myqcloud.com``. Where it is this
    machine, ``127.0.0.1:9000``, it means ``IP`` and ``Port``: no bucket's name fits in front."""
    SecretId: str | None = None
    SecretKey: str | None = None
    Token: str | None = None
    """Of temporary credentials."""
    CredentialInstance: CredentialInstance | CredentialProvider | None = None
    """Read anew for every attempt; used when no key pair is given. ``default_credentials()``
    looks where Tencent's tools keep keys."""
    Anonymous: bool | None = None
    """Send no signature."""
    Scheme: Literal["http", "https"] = "https"
    Timeout: float | tuple[float, float] | None = None
    """Seconds to wait for data, or (to connect, for data). ``Timeouts`` says more."""
    IP: str | None = None
    """Connect here, whatever the host; the host still goes into ``Host``."""
    Port: int | None = None
    """Of ``IP``."""
    Domain: str | None = None
    """A custom domain bound to one bucket."""
    ServiceDomain: str | None = None
    """Where ``list_buckets`` asks."""
    UA: str | None = None
    Proxies: Mapping[str, str] | None = None
    """``{"http": url, "https": url}``, chosen by ``Scheme``."""
    KeepAlive: bool = True
    PoolMaxSize: int = 10
    """Connections of one client at a time, where that is more than 64; never fewer."""
    SignHost: bool = True
    SignParams: bool = True
    EnableOldDomain: bool = True
    """``myqcloud.com`` rather than ``tencentcos.cn``."""
    EnableInternalDomain: bool = True
    """On ``tencentcos.cn``: the address inside Tencent Cloud, ``cos-internal``."""
    AutoSwitchDomainOnRetry: bool = False
    """Before the last attempt, move from ``myqcloud.com`` to ``tencentcos.cn``."""
    VerifySSL: bool | str | None = None
    """False does not verify; a path is a CA bundle."""
    SSLCert: str | tuple[str, str] | None = None
    """A client certificate: one PEM file, or (certificate, key)."""
    Timeouts: Timeouts = Timeouts()  # noqa: RUF009 - it is frozen
    TrustEnv: bool = False
    """Take proxies from the environment."""
    AllowLinkLocal: bool = False
    """Permit hosts in 169.254.0.0/16, where clouds answer with credentials."""

    Secret_id: InitVar[str | None] = None
    Secret_key: InitVar[str | None] = None
    Access_id: InitVar[str | None] = None
    Access_key: InitVar[str | None] = None
    PoolConnections: InitVar[object] = None
    AllowRedirects: InitVar[object] = None
    EndpointCi: InitVar[object] = None
    EndpointPic: InitVar[object] = None

    local_dir: Path | None = None
    """Set by ``CosConfig.local``."""

    def __post_init__(
        self,
        Secret_id: str | None,
        Secret_key: str | None,
        Access_id: str | None,
        Access_key: str | None,
        PoolConnections: object,
        AllowRedirects: object,
        EndpointCi: object,
        EndpointPic: object,
    ) -> None:
        refused = {
            "PoolConnections": PoolConnections,
            "AllowRedirects": AllowRedirects or None,
            "EndpointCi": EndpointCi,
            "EndpointPic": EndpointPic,
        }
        for name, value in refused.items():
            if value is not None:
                raise ParameterError(f"CosConfig({name}=...) has no meaning here: {_REFUSED[name]}")
        for pair in (
            (self.SecretId, self.SecretKey),
            (Secret_id, Secret_key),
            (
                Access_id,
                Access_key,
            ),
        ):
            if all(pair):
                object.__setattr__(self, "SecretId", pair[0])
                object.__setattr__(self, "SecretKey", pair[1])
                break
        self._read_endpoint()
        self._check_credentials()
        self._check_place()
        self._check_numbers()
        check_plain(self.UA, "UA")
        check_plain(self.Token, "Token")
        if self.Appid and not (isinstance(self.Appid, str) and _APPID.fullmatch(self.Appid)):
            raise ParameterError(f"Appid is {self.Appid!r}; it is digits, as in 1250000000")

    @classmethod
    def local(cls, directory: str | Path, **changes: Any) -> CosConfig:
        """Use a COS server of the client's own, inside the process, over ``directory``.

        The server binds loopback only, starts with the client and stops with it; the
        objects stay in the directory. No account is needed. ``client.local_server`` is the server:
        its clock, its faults, what it was asked.
        """
        given: dict[str, Any] = {"Region": "ap-guangzhou", "Scheme": "http", "Anonymous": True}
        return cls(**{**given, **changes}, local_dir=Path(directory))

    def replace(self, **changes: Any) -> CosConfig:
        """Return a copy with some parameters changed, checked like a new one."""
        if "Timeouts" in changes:
            changes.setdefault("Timeout", None)
        return replace(self, **changes)

    @property
    def endpoint(self) -> str:
        """The host that bucket names are put in front of."""
        if self.Endpoint:
            return self.Endpoint
        return region_endpoint(
            self.Region or "", old=self.EnableOldDomain, internal=self.EnableInternalDomain
        )

    def static_credentials(self) -> Credentials | None:
        """Return the key pair given as arguments, if one was."""
        if self.SecretId and self.SecretKey:
            return Credentials(self.SecretId, self.SecretKey, self.Token)
        return None

    def _read_endpoint(self) -> None:
        """Take an endpoint on this machine for the address to connect to."""
        match = _LOOPBACK.fullmatch(self.Endpoint) if isinstance(self.Endpoint, str) else None
        if match is None or self.IP is not None:
            return
        changes = {
            "IP": match[1],
            "Port": int(match[2]) if match[2] else None,
            "Endpoint": None,
            "Region": self.Region or _LOCAL_REGION,
            "ServiceDomain": self.ServiceDomain or match[0],
        }
        for name, value in changes.items():
            object.__setattr__(self, name, value)

    def _check_credentials(self) -> None:
        if self.static_credentials() or self.CredentialInstance is not None or self.Anonymous:
            return
        raise ParameterError(
            "SecretId and SecretKey are required, or Anonymous=True, or a CredentialInstance: "
            "aiocos.default_credentials() looks where Tencent's tools keep keys"
        )

    def _check_place(self) -> None:
        if self.Scheme not in ("http", "https"):
            raise ParameterError(f"Scheme is {self.Scheme!r}, and can only be http or https")
        if not (self.Endpoint or self.Region or self.Domain or self.local_dir):
            raise ParameterError(
                "Region or Endpoint is required, for example Region='ap-guangzhou'"
            )
        if self.Region is not None and not self.Endpoint:
            region_endpoint(self.Region, old=True, internal=False)
        for name in ("Endpoint", "Domain", "ServiceDomain", "IP"):
            host = getattr(self, name)
            if host is not None:
                check_host(host, name, allow_link_local=self.AllowLinkLocal)
        if not isinstance(self.Proxies, Mapping | None) or set(self.Proxies or ()) - _PROXIED:
            raise ParameterError("Proxies must be a dict, {'http': address, 'https': address}")
        for name, proxy in (self.Proxies or {}).items():
            if not _PROXY.match(proxy if isinstance(proxy, str) else ""):
                raise ParameterError(f"Proxies[{name!r}] must be an http:// or https:// address")

    def _check_numbers(self) -> None:
        if self.Port is not None and not (isinstance(self.Port, int) and 0 < self.Port < 65536):
            raise ParameterError(f"Port is {self.Port!r}, and must be from 1 to 65535")
        if not isinstance(self.PoolMaxSize, int) or self.PoolMaxSize < 1:
            raise ParameterError(f"PoolMaxSize is {self.PoolMaxSize!r}, and must be 1 or more")
        if self.Timeout is None:
            return
        both = self.Timeout if isinstance(self.Timeout, tuple) else (self.Timeout, self.Timeout)
        if len(both) != 2:
            raise ParameterError("Timeout must be seconds, or (to connect, for data)")
        connect, read = both
        changed = replace(self.Timeouts, connect=connect, response_header=read, idle=read)
        object.__setattr__(self, "Timeouts", changed)

    def __repr__(self) -> str:
        shown = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value == item.default:
                continue
            if item.name in _SECRET_FIELDS:
                shown.append(f"{item.name}='***'")
            elif item.name == "Proxies":
                shown.append(f"Proxies={ {name: _bare(url) for name, url in value.items()} }")
            else:
                shown.append(f"{item.name}={value!r}")
        return f"CosConfig({', '.join(shown)})"


def region_endpoint(region: str, *, old: bool, internal: bool) -> str:
    """Return the public host of a region; names of the first COS generation are known."""
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ParameterError(
            f"Region is {region!r}; only letters, digits and - are allowed, as in ap-guangzhou"
        )
    suffix = "myqcloud.com" if old else "tencentcos.cn"
    if "cos." not in region and region not in _UNPREFIXED_REGIONS:
        prefix = "cos-internal" if internal and not old else "cos"
        region = f"{prefix}.{_OLD_REGION_NAMES.get(region, region)}"
    return f"{region}.{suffix}"


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is this machine itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_host(host: str, name: str, *, allow_link_local: bool = False) -> str:
    """Refuse what is more than a host and a port, or an address that gives out credentials."""
    match = _HOST.fullmatch(host) if isinstance(host, str) else None
    bare = host.rsplit(":", 1)[0] if match and match[1] else host
    if match is None or not 0 < int(match[1] or 1) < 65536 or not _has_labels(bare):
        raise ParameterError(
            f"{name} is {host!r}, and must be a host name or address with an optional :port, "
            "without scheme (that is Scheme), path or user"
        )
    if not allow_link_local and _is_link_local(bare.strip("[]").rstrip(".")):
        raise ParameterError(
            f"{name} is {host!r}, a link-local address, where clouds answer with credentials; "
            "CosConfig(AllowLinkLocal=True) permits it"
        )
    return host


def _has_labels(host: str) -> bool:
    """Whether each label of a name is 1 to 63 characters, or what is in brackets an address."""
    if host.startswith("["):
        return _is_ipv6(host[1:-1])
    return len(host) < 254 and all(0 < len(label) < 64 for label in host.rstrip(".").split("."))


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_link_local(host: str) -> bool:
    try:
        # The system also reads 2852039166 and 0xa9fe0001 as an IPv4 address.
        numeric = socket.inet_ntoa(socket.inet_aton(host)) if ":" not in host else host
        address = ipaddress.ip_address(numeric)
    except (OSError, ValueError):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.sixtofour
        if any(address in network for network in _EMBEDDING):
            inner = ipaddress.IPv4Address(int(address) % 2**32)
        return address.is_link_local or (inner is not None and inner in _LINK_LOCAL)
    return address in _LINK_LOCAL


def check_plain(text: str | None, name: str) -> None:
    """Refuse what could break out of a header."""
    if text is not None and not (isinstance(text, str) and text.isascii() and text.isprintable()):
        raise ParameterError(f"{name} must be printable ASCII")


def _bare(url: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]).geturl()

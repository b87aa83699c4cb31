"""From a request line and Host to what is meant.

In: the request target exactly as sent. Out: ``Target``: bucket, key and parameters. Keys
are decoded once and never cleaned: ``.``, ``..`` and ``//`` are part of them, and ``%2F``
is a slash like any other. A host that is not ours is refused, so that a page in a browser
cannot reach the server through a name of its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from .errors import CosError

BUCKET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,56}[a-z0-9])?-[0-9]{1,20}", re.ASCII)

FOREIGN_HOST = (
    "This server answers to COS host names, localhost and addresses only, and is a proxy for "
    "no others."
)

Scope: TypeAlias = Literal["service", "bucket", "object"]
Pairs: TypeAlias = list[tuple[str, str]]

_COS_HOST = re.compile(
    r"(?:(?P<bucket>[a-z0-9][a-z0-9-]*)\.)?"
    r"(?:cos(?:-internal)?\.(?P<region>[a-z0-9-]+)"
    r"|(?P<old_region>cn-(?:north|east|south|south-2|southwest)|sg))"
    r"\.(?:myqcloud\.com|tencentcos\.cn)",
    re.ASCII,
)
_SERVICE_HOST = re.compile(
    r"service\.cos(?:\.[a-z0-9-]+)?\.(?:myqcloud\.com|tencentcos\.cn)", re.ASCII
)


class Place(NamedTuple):
    """What a host name says: the bucket, unless the path names it, and the region."""

    bucket: str = ""
    region: str = ""
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about."""

    method: str
    host: str
    """As sent, with its port."""
    raw_path: str
    """As sent, without the query."""
    path: str
    """Decoded, the whole of it."""
    query: Pairs
    scope: Scope
    bucket: str = ""
    key: str = ""
    region: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    """The query; of names that are equal the last one counts, as in the signature."""

    @property
    def resource(self) -> str:
        """As the Error document names it."""
        return f"{self.host}{self.path if self.key else ''}"


class Hosts:
    """The host names this server answers to."""

    def __init__(self, names: Iterable[str] = (), domains: Mapping[str, str] | None = None) -> None:
        self._names = {"localhost", *(name.lower() for name in names)}
        self._domains = {name.lower(): bucket for name, bucket in (domains or {}).items()}

    def place(self, authority: str) -> Place | None:
        """What this host stands for; None if it is not ours."""
        host = without_port(authority).lower()
        if host in self._domains:
            return Place(self._domains[host])
        if host in self._names or _is_address(host):
            return Place()
        if _SERVICE_HOST.fullmatch(host):
            return Place(is_service=True)
        if match := _COS_HOST.fullmatch(host):
            region = match["region"] or match["old_region"]
            return Place(match["bucket"] or "", "" if region == "accelerate" else region)
        bucket, _, rest = host.partition(".")
        if rest in self._names or _is_address(rest):
            return Place(bucket)
        return None


def without_port(authority: str) -> str:
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is this machine itself."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def read(method: str, raw_target: str, host_header: str, hosts: Hosts) -> Target:
    """Understand a request line."""
    host, raw_path, raw_query = _split(raw_target, host_header)
    place = hosts.place(host)
    if place is None:
        raise CosError("AccessDenied", FOREIGN_HOST)
    path = decode(raw_path)
    bucket, key = place.bucket, path[1:]
    if not bucket and not place.is_service:
        bucket, _, key = key.partition("/")
    query = [(decode(name), decode(value)) for name, value in _split_query(raw_query)]
    return Target(
        method=method,
        host=host,
        raw_path=raw_path,
        path=path,
        query=query,
        scope="object" if bucket and key else "bucket" if bucket else "service",
        bucket=bucket,
        key=key if bucket else "",
        region=place.region,
        params=dict(query),
    )


def _split(raw_target: str, host_header: str) -> tuple[str, str, str]:
    """Host, path and query; the target is a path, or a URL when we serve as a proxy."""
    host, rest = host_header, raw_target
    if not raw_target.startswith("/"):
        try:
            url = urlsplit(raw_target)
        except ValueError:
            raise CosError("InvalidURI") from None
        if url.scheme not in ("http", "https") or not url.netloc:
            raise CosError("InvalidURI")
        host = url.netloc.rpartition("@")[2]
        rest = raw_target.split("://", 1)[1][len(url.netloc) :]
    path, _, query = rest.partition("?")
    return host, path or "/", query


def _split_query(raw_query: str) -> Iterable[tuple[str, str]]:
    # Some clients send a space as "+"; a plus sign always comes as %2B.
    for field_ in filter(None, raw_query.replace("+", " ").split("&")):
        name, _, value = field_.partition("=")
        yield name, value


def decode(text: str) -> str:
    """Percent-decode once."""
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise CosError("InvalidURI", "The URI is not UTF-8.") from None

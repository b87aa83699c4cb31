"""Where a request goes and how its key and query are spelt there.

In: a configuration, a bucket, a key. Out: hosts, paths encoded exactly once, queries, and
the value of ``x-cos-copy-source``. What is sent is what is signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from aiocos.config import CosConfig, check_host, is_loopback, region_endpoint
from aiocos.errors import ParameterError

MAX_KEY_BYTES: Final = 850
MAX_BUCKET_CHARACTERS: Final = 63
_BUCKET: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?")
_PORT: Final = re.compile(r":[0-9]+\Z")
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/\-_.~]*")
_FORBIDDEN_IN_KEY: Final = re.compile(r"[\r\n\0]")
_SWITCHABLE: Final = re.compile(
    r"([a-z0-9-]+-[0-9]+\.cos\.[a-z]+-[a-z]+(?:-[a-z]+)?(?:-1)?)\.myqcloud\.com"
)
_KEPT_BUCKETS: Final = 256


class Target(NamedTuple):
    """Where a request goes."""

    origin: str
    """Scheme, host and port, as the connection is made."""
    authority: str
    """Host and port, as the origin has them."""
    host: str
    """The host as it is signed."""
    host_header: str | None = None
    """Sent as ``Host`` where it is not the origin's own."""


class Endpoints:
    """Hosts of one configuration; each bucket's is worked out once."""

    def __init__(self, config: CosConfig) -> None:
        self._config = config
        self._buckets: dict[str, Target] = {}

    def bucket(self, name: str) -> Target:
        """Return where requests for this bucket go."""
        target = self._buckets.get(name)
        if target is None:
            if len(self._buckets) >= _KEPT_BUCKETS:
                self._buckets.clear()
            target = self._buckets[name] = self._target(name)
        return target

    def service(self) -> Target:
        """Return where the list of buckets is asked for."""
        config = self._config
        suffix = "myqcloud.com" if config.EnableOldDomain else "tencentcos.cn"
        host = config.ServiceDomain or f"service.cos.{suffix}"
        return Target(f"{config.Scheme}://{host}", host, signed_host(host))

    def _target(self, bucket: str) -> Target:
        config = self._config
        return self._at(config.Domain or f"{self.full_name(bucket)}.{config.endpoint}")

    def _at(self, host: str) -> Target:
        config = self._config
        if config.IP is None:
            return Target(f"{config.Scheme}://{host}", host, signed_host(host))
        address = config.IP if config.Port is None else f"{config.IP}:{config.Port}"
        return Target(f"{config.Scheme}://{address}", address, host, host_header=host)

    def full_name(self, bucket: str) -> str:
        """Return the bucket's name with the APPID, checked."""
        return bucket_name(bucket, self._config.Appid)

    def public(self, bucket: str) -> tuple[str, str]:
        """Return the address of a bucket for someone else, and the host to sign for it.

        ``IP`` is this client's own way to COS, so others get the host name. Only where it
        is this machine does the name lead nowhere: then the bucket goes into the path.
        """
        target = self.bucket(bucket)
        if target.host_header is None:
            return target.origin, target.host
        if is_loopback(signed_host(target.authority)):
            return f"{target.origin}/{self.full_name(bucket)}", signed_host(target.authority)
        host = target.host_header
        return f"{self._config.Scheme}://{host}", signed_host(host)

    def source(self, source: Mapping[str, object]) -> Target:
        """Return where an object that is copied from can be looked at."""
        return self._at(self.copy_source(source).split("/", 1)[0])

    def copy_source(self, source: Mapping[str, object]) -> str:
        """Return the header that names the object to copy from."""
        known = {"Bucket", "Key", "Region", "Endpoint", "Appid", "VersionId"}
        if not isinstance(source, Mapping) or set(source) - known:
            raise ParameterError(f"CopySource must be a dict with some of {sorted(known)}")
        given = {name: value for name, value in source.items() if value}
        for name in ("Bucket", "Key"):
            if name not in given:
                raise ParameterError(f"CopySource needs {name}")
        texts = {name: value for name, value in given.items() if isinstance(value, str)}
        for name in given.keys() - texts.keys() - {"Key"}:
            raise ParameterError(f"CopySource {name} must be a str, not {given[name]!r}")
        bucket = bucket_name(texts["Bucket"], texts.get("Appid") or self._config.Appid)
        value = f"{bucket}.{self._source_endpoint(texts)}{quoted_path(given['Key'])}"
        if version := texts.get("VersionId"):
            try:
                value += f"?versionId={quote(version, safe='-_.~')}"
            except UnicodeEncodeError:
                raise ParameterError("CopySource VersionId is not Unicode") from None
        return value

    def _source_endpoint(self, source: Mapping[str, str]) -> str:
        config = self._config
        if endpoint := source.get("Endpoint"):
            return check_host(
                endpoint, "CopySource Endpoint", allow_link_local=config.AllowLinkLocal
            )
        if region := source.get("Region"):
            return region_endpoint(
                region, old=config.EnableOldDomain, internal=config.EnableInternalDomain
            )
        raise ParameterError(
            "CopySource needs Region (or Endpoint), the place of the source bucket"
        )


def signed_host(host: str) -> str:
    """Return a host as it enters the signature: lower case, without its port."""
    return _PORT.sub("", host).lower()


def switched(target: Target) -> Target | None:
    """Return the same bucket under ``tencentcos.cn``, where it has a name there."""
    match = _SWITCHABLE.fullmatch(target.host)
    if match is None or target.host_header is not None:
        return None
    host = f"{match[1]}.tencentcos.cn"
    scheme = target.origin.split("://", 1)[0]
    return Target(f"{scheme}://{host}", host, host)


def bucket_name(bucket: object, appid: str | None = None) -> str:
    """Check a bucket's name and append the APPID where it is missing."""
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise ParameterError(
            f"Bucket is {bucket!r}; a name is letters, digits and -, as in examplebucket-1250000000"
        )
    if appid and not bucket.endswith(f"-{appid}"):
        if not _BUCKET.fullmatch(appid):
            raise ParameterError(f"Appid is {appid!r}; it is digits, as in 1250000000")
        bucket = f"{bucket}-{appid}"
    if len(bucket) > MAX_BUCKET_CHARACTERS:
        raise ParameterError(f"Bucket {bucket!r} is longer than a host name can hold")
    return bucket


def key_path(key: object) -> str:
    """Return the path of a key as it is signed: ``/`` and the key, not encoded.

    One leading slash is dropped, as COS and the sync SDK do: a key does not start with it.
    """
    if isinstance(key, bytes):
        try:
            key = key.decode()
        except UnicodeDecodeError:
            raise ParameterError(f"Key {key!r} is not UTF-8") from None
    if not isinstance(key, str):
        raise ParameterError(f"Key must be a str, not {type(key).__name__}")
    if key.startswith("/"):
        key = key[1:]
    if not key:
        raise ParameterError("Key is required and must not be empty")
    if _FORBIDDEN_IN_KEY.search(key):
        raise ParameterError(f"Key {key!r} holds CR, LF or NUL, which COS does not store")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ParameterError(f"Key {key!r} holds half of a surrogate pair: not Unicode") from None
    if size > MAX_KEY_BYTES:
        raise ParameterError(f"Key has {size} bytes in UTF-8; COS allows {MAX_KEY_BYTES}")
    return f"/{key}"


def raw_path(path: str) -> str:
    """Return a decoded path as it is sent.

    A slash behind a dot is sent as %2F: the same key to COS, and no proxy on the way
    takes ``./`` or ``../`` for a step in a tree and removes it.
    """
    quoted = path if _PLAIN_PATH.fullmatch(path) else quote(path, safe="/-_.~")
    return quoted.replace("./", ".%2F") if "./" in quoted else quoted


def quoted_path(key: object) -> str:
    """Return a key's path as it is written in ``x-cos-copy-source``."""
    return quote(key_path(key), safe="/-_.~")


def simplifies_to_nothing(key: str) -> bool:
    """Whether ``.``, ``..`` and empty segments would lead back to the bucket itself."""
    depth = 0
    for segment in key.split("/"):
        if segment == "..":
            depth = max(0, depth - 1)
        elif segment not in {"", "."}:
            depth += 1
    return depth == 0


def query_string(query: Mapping[str, str]) -> str:
    """Return a query in the order given; a space is ``+``, an empty value ``name=``."""
    return urlencode(query)

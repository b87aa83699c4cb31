"""Sign COS requests: what is signed, in which order, with which key.

In: the parts of a request as text, credentials and a time. Out: the value of the
``Authorization`` header, or the ``q-`` fields of a presigned URL. No I/O and no clock,
so each rule is tested against published vectors. The local server verifies with the
same functions.

Source: COS documentation "Request signature"; the order of steps is theirs.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

try:
    # CPython's own SHA-1 costs a third of OpenSSL's for texts as short as these.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha1

SIGNED_HEADERS: Final = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-md5",
        "content-type",
        "expect",
        "expires",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "origin",
        "pic-operations",
        "range",
        "transfer-encoding",
    }
)
SIGNED_PREFIXES: Final = ("x-cos-", "x-ci-")

_SHA1_BLOCK: Final = 64
CLOCK_ALLOWANCE_S: Final = 60
"""A signature is valid from this many seconds before it was made: clocks differ."""

# Values of these headers and parameters never appear in an error or a log.
SECRET_NAMES: Final = frozenset(
    {
        "authorization",
        "q-signature",
        "x-cos-security-token",
        "x-ci-security-token",
        "x-cos-server-side-encryption-customer-key",
        "x-cos-copy-source-server-side-encryption-customer-key",
    }
)

_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-_.~]*")

Pairs = Iterable[tuple[str, str]]


class Canonical(NamedTuple):
    """Names and values as they enter a signature, sorted and encoded."""

    names: str
    """Encoded names joined by ``;``."""
    pairs: str
    """``name=value`` joined by ``&``."""


class Signature(NamedTuple):
    """A signature, and all that it says about itself."""

    secret_id: str
    window: str
    """From when to when it is valid, in Unix seconds."""
    headers: str
    """Names of the headers it covers."""
    params: str
    """Names of the parameters it covers."""
    value: str
    http_string: str
    """What was signed."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.secret_id!r}, {self.window!r}, {self.headers!r})"

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The seven fields, in the order COS documents."""
        return (
            ("q-sign-algorithm", "sha1"),
            ("q-ak", self.secret_id),
            ("q-sign-time", self.window),
            ("q-key-time", self.window),
            ("q-header-list", self.headers),
            ("q-url-param-list", self.params),
            ("q-signature", self.value),
        )

    @property
    def authorization(self) -> str:
        """The fields as the ``Authorization`` header carries them."""
        return (
            f"q-sign-algorithm=sha1&q-ak={self.secret_id}&q-sign-time={self.window}"
            f"&q-key-time={self.window}&q-header-list={self.headers}"
            f"&q-url-param-list={self.params}&q-signature={self.value}"
        )


def _encode(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="-_.~")


@lru_cache(maxsize=1024)
def _encode_name(name: str) -> str:
    # Lower-casing comes after encoding and takes the hex digits along: %2F becomes %2f.
    return _encode(name).lower()


_NOTHING: Final = Canonical("", "")


def canonical(pairs: Pairs) -> Canonical:
    """Encode and sort names and values; of names that are equal the last one counts."""
    encoded = {_encode_name(name): _encode(value) for name, value in pairs}
    if not encoded:
        return _NOTHING
    items = sorted(encoded.items())
    names = ";".join([name for name, _ in items])
    return Canonical(names, "&".join([f"{name}={value}" for name, value in items]))


def is_signed_header(name: str) -> bool:
    """Whether a header of this lower-case name takes part in the signature."""
    return name in SIGNED_HEADERS or name.startswith(SIGNED_PREFIXES)


def signed_headers(headers: Pairs) -> list[tuple[str, str]]:
    """The headers that take part in the signature, names in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    return [(name, value) for name, value in lowered if is_signed_header(name)]


def http_string(method: str, path: str, params: Canonical, headers: Canonical) -> str:
    """The request as text; ``path`` is the decoded path, ``/`` and then the key."""
    return f"{method.lower()}\n{path}\n{params.pairs}\n{headers.pairs}\n"


def string_to_sign(sign_time: str, http_text: str) -> str:
    """Window and digest of the request, which the signature is made of."""
    return f"sha1\n{sign_time}\n{sha1(http_text.encode()).hexdigest()}\n"


@lru_cache(maxsize=64)
def sign_key(secret_key: str, key_time: str) -> bytes:
    """The key of one validity window, as the hex text that COS uses for a key."""
    return hmac.digest(secret_key.encode(), key_time.encode(), "sha1").hex().encode()


@lru_cache(maxsize=64)
def _keyed(secret_key: str, key_time: str) -> tuple[Any, Any]:
    """The inner and outer hash of RFC 2104 with the key of a window already in them."""
    block = sign_key(secret_key, key_time).ljust(_SHA1_BLOCK, b"\0")
    return sha1(bytes(byte ^ 0x36 for byte in block)), sha1(bytes(byte ^ 0x5C for byte in block))


def signature(secret_key: str, key_time: str, text_to_sign: str) -> str:
    """The 40 hex digits of ``q-signature``: HMAC-SHA1 of the text, key per window."""
    inner, outer = _keyed(secret_key, key_time)
    inner, outer = inner.copy(), outer.copy()
    inner.update(text_to_sign.encode())
    outer.update(inner.digest())
    digest: str = outer.hexdigest()
    return digest


def policy_signature(secret_key: str, key_time: str, policy: bytes) -> str:
    """The ``q-signature`` of an upload form, which covers the text of its policy.

    Source: COS API document "POST Object", "Signature protection".
    """
    return signature(secret_key, key_time, sha1(policy).hexdigest())


def key_time(now: int, expire_s: int) -> str:
    """The validity window ``start;end`` in Unix seconds."""
    return f"{now - CLOCK_ALLOWANCE_S};{now + expire_s}"


def sign(
    *,
    method: str,
    path: str,
    params: Pairs,
    headers: Pairs,
    secret_id: str,
    secret_key: str,
    now: int,
    expire_s: int,
) -> Signature:
    """Sign a request.

    ``path`` is the decoded path. Of ``headers`` only those that COS signs count;
    whether ``host`` is among them is the caller's choice. ``now`` is Unix time.
    """
    window = key_time(now, expire_s)
    signed_params = canonical(params)
    signed = canonical(signed_headers(headers))
    text = http_string(method, path, signed_params, signed)
    value = signature(secret_key, window, string_to_sign(window, text))
    return Signature(secret_id, window, signed.names, signed_params.names, value, text)

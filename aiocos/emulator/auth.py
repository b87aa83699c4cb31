"""Who is calling.

In: a target, its headers and the wall clock. Out: ``Caller``, or the refusal COS would
give. Only what the signature's own lists name is verified, as COS does it: clients differ
in what they sign, and some do not sign the host. A mismatch is explained with the text
this server computed, in which the values of secrets are blotted out.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from .. import signing
from .errors import CosError
from .routing import Pairs, Target, without_port

FIELDS = (
    "q-sign-algorithm",
    "q-ak",
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
)
FORM_FIELDS = ("q-sign-algorithm", "q-ak", "q-key-time", "q-signature")
TOKEN = "x-cos-security-token"  # noqa: S105  (the name of a header)
SKEW_LIMIT_S = 15 * 60
BLOT = "***"
# The console's key as well, of a browser that took another way than the console's.
_SECRET_NAMES = frozenset(signing.SECRET_NAMES) | {"cookie", "enter"}

_WINDOW = re.compile(r"([0-9]{1,12});([0-9]{1,12})", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """A key pair, perhaps temporary, and the account it belongs to."""

    secret_id: str
    secret_key: str
    owner: str
    token: str = ""
    expires: float | None = None


class Caller(NamedTuple):
    """Whom a request speaks for; the owner of an anonymous one is empty."""

    owner: str = ""
    secret_id: str = ""


class Keyring:
    """The credentials this server knows."""

    def __init__(self, *, open_to: str | None = None) -> None:
        self._known: dict[str, Credential] = {}
        self._open_to = open_to
        """The account everybody acts for when signatures are not checked."""

    def add(self, credential: Credential) -> None:
        self._known[credential.secret_id] = credential

    def find(self, secret_id: str) -> Credential | None:
        return self._known.get(secret_id)

    def identify(
        self, target: Target, headers: Mapping[str, str], wall: float, now: float
    ) -> Caller:
        """Verify the signature; ``wall`` judges its window, ``now`` its token."""
        if self._open_to is not None:
            return Caller(self._open_to)
        fields = _fields(target, headers)
        if not fields:
            return Caller()
        credential = self._known.get(fields["q-ak"])
        if credential is None:
            raise CosError("InvalidAccessKeyId")
        _check_token(credential, headers.get(TOKEN) or target.params.get(TOKEN, ""), now)
        _check_window(fields["q-sign-time"], wall)
        _check_window(fields["q-key-time"], wall)
        _check_signature(credential, fields, target, headers)
        return Caller(credential.owner, credential.secret_id)

    def identify_form(
        self, fields: Mapping[str, str], policy: bytes, wall: float, now: float
    ) -> Caller:
        """Verify the signature of a form, which is over its policy; times as above."""
        if self._open_to is not None:
            return Caller(self._open_to)
        if set(FORM_FIELDS) - set(fields) or fields["q-sign-algorithm"] != "sha1":
            raise CosError("AccessDenied", "The form has no COS signature.")
        credential = self._known.get(fields["q-ak"])
        if credential is None:
            raise CosError("InvalidAccessKeyId")
        _check_token(credential, fields.get(TOKEN, ""), now)
        _check_window(fields["q-key-time"], wall)
        expected = signing.policy_signature(credential.secret_key, fields["q-key-time"], policy)
        if not hmac.compare_digest(expected.encode(), fields["q-signature"].encode()):
            raise CosError("SignatureDoesNotMatch")
        return Caller(credential.owner, credential.secret_id)


def redact(pairs: Pairs) -> Pairs:
    """The same without the values of secrets."""
    return [(name, BLOT if name.lower() in _SECRET_NAMES else value) for name, value in pairs]


def _fields(target: Target, headers: Mapping[str, str]) -> dict[str, str]:
    authorization = headers.get("authorization", "")
    if authorization:
        pairs = [part.partition("=") for part in authorization.strip().split("&")]
        found = {name: value for name, _, value in pairs}
    elif "q-signature" in target.params:
        found = {name: target.params[name] for name in FIELDS if name in target.params}
    else:
        return {}
    if set(FIELDS) - set(found) or found["q-sign-algorithm"] != "sha1":
        raise CosError("AccessDenied", "The Authorization is not a COS signature.")
    return found


def _check_token(credential: Credential, token: str, now: float) -> None:
    if not hmac.compare_digest(token.encode(), credential.token.encode()):
        raise CosError("InvalidAccessKeyId", "The security token does not go with this key.")
    if credential.expires is not None and now >= credential.expires:
        raise CosError("ExpiredToken")


def _check_window(text: str, wall: float) -> None:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise CosError("AccessDenied", "The time of the signature is not valid.")
    start, end = int(match[1]), int(match[2])
    if start - wall > SKEW_LIMIT_S:
        raise CosError("RequestTimeTooSkewed")
    if not start <= wall <= end:
        raise CosError("AccessDenied", "Request has expired")


def _check_signature(
    credential: Credential, fields: Mapping[str, str], target: Target, headers: Mapping[str, str]
) -> None:
    given = fields["q-signature"].encode()
    for path, host in _readings(target, headers):
        text = _http_string(fields, target, path, {**headers, "host": host})
        to_sign = signing.string_to_sign(fields["q-sign-time"], text)
        expected = signing.signature(credential.secret_key, fields["q-key-time"], to_sign)
        if text and hmac.compare_digest(expected.encode(), given):
            return
    path, host = next(_readings(target, headers))
    full = {**headers, "host": host}
    text = _http_string(fields, target, path, full, strict=False)
    blotted = dict(redact(list(full.items())))
    shown = _http_string(fields, target, path, blotted, query=redact(target.query), strict=False)
    details = {
        "StringToSign": signing.string_to_sign(fields["q-sign-time"], text),
        "FormatString": shown,
    }
    raise CosError("SignatureDoesNotMatch", details=details)


def _readings(target: Target, headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The texts a client may have taken for path and host.

    A client that is given an address signs the path with or without the bucket in it; the
    port belongs to the Host header but not to the host that some clients sign.
    """
    host = headers.get("host", target.host)
    hosts = dict.fromkeys(
        variant for name in (host, target.host) for variant in (name, without_port(name))
    )
    hosts.update(dict.fromkeys([name.lower() for name in hosts]))
    for path in dict.fromkeys((target.path, f"/{target.key}")):
        for name in hosts:
            yield path, name


def _http_string(
    fields: Mapping[str, str],
    target: Target,
    path: str,
    headers: Mapping[str, str],
    *,
    query: Pairs | None = None,
    strict: bool = True,
) -> str:
    """The text of the request as the signature's lists select it.

    When strict, empty if not each listed name came once: then nothing can match.
    """
    selected = []
    for listed, pairs in (
        (fields["q-url-param-list"], query or target.query),
        (fields["q-header-list"], list(headers.items())),
    ):
        names = set(filter(None, listed.split(";")))
        chosen = {name: value for name, value in pairs if _listed_name(name) in names}
        canonical = signing.canonical(chosen.items())
        # Two spellings of one name would let an unsigned value pass behind a signed one.
        if strict and len(chosen) != len(names):
            return ""
        selected.append(canonical)
    return signing.http_string(target.method, path, selected[0], selected[1])


def _listed_name(name: str) -> str:
    return quote(name, safe="-_.~").lower()

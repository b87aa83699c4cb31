"""Who calls STS: verify the signature of Tencent Cloud's API.

In: a request as it came, the keys this server knows, the time. Out: the credential that
signed it, or the refusal the API would give.

Source: Tencent Cloud API documentation, "Signature v3" and its common error codes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from .auth import Credential

SKEW_LIMIT_S = 300

_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256\s+"
    r"Credential=(?P<id>[^/,\s]+)/(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})/(?P<service>\w+)/tc3_request,"
    r"\s*SignedHeaders=(?P<names>[a-z0-9;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)


class ApiError(Exception):
    """A refusal of the API, by its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Asked(NamedTuple):
    """One request to the API; names of headers are in lower case."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def verify(
    asked: Asked, find: Callable[[str], Credential | None], *, wall: float, now: float
) -> Credential:
    """Return who signed; ``wall`` judges the signature's time, ``now`` its token."""
    match = _AUTHORIZATION.fullmatch(asked.headers.get("authorization", ""))
    if match is None:
        raise ApiError("AuthFailure.InvalidAuthorization", "The Authorization is not TC3.")
    names = match["names"].split(";")
    if names != sorted(names) or not {"content-type", "host"} <= set(names):
        raise ApiError("AuthFailure.SignatureFailure", "content-type and host must be signed.")
    timestamp = asked.headers.get("x-tc-timestamp", "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise ApiError("MissingParameter", "X-TC-Timestamp is missing.")
    if abs(int(timestamp) - wall) > SKEW_LIMIT_S:
        raise ApiError("AuthFailure.SignatureExpire", "The time of the signature is too far off.")
    day = datetime.fromtimestamp(int(timestamp), UTC).date().isoformat()
    if match["date"] != day or match["service"] != "sts":
        raise ApiError("AuthFailure.SignatureFailure", "The scope of the signature is another.")
    known = find(match["id"])
    if known is None:
        raise ApiError("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    _check_token(known, asked.headers.get("x-tc-token", ""), now)
    expected = _signature(asked, names, match, timestamp, known.secret_key)
    if not hmac.compare_digest(expected, match["signature"]):
        raise ApiError("AuthFailure.SignatureFailure", "The provided credentials do not match.")
    return known


def _check_token(known: Credential, token: str, now: float) -> None:
    ended = known.expires is not None and now >= known.expires
    if ended or not hmac.compare_digest(token.encode(), known.token.encode()):
        raise ApiError("AuthFailure.TokenFailure", "The token is wrong or has ended.")


def _signature(
    asked: Asked, names: list[str], match: re.Match[str], timestamp: str, secret_key: str
) -> str:
    """What the documentation's four steps come to."""
    hashed_body = hashlib.sha256(asked.body).hexdigest()
    canonical = [asked.method, "/", asked.query]
    canonical += [f"{name}:{asked.headers.get(name, '').strip().lower()}" for name in names]
    canonical += ["", ";".join(names), hashed_body]
    request = "\n".join(canonical)

    scope = f"{match['date']}/{match['service']}/tc3_request"
    hashed_request = hashlib.sha256(request.encode()).hexdigest()
    string_to_sign = "\n".join(["TC3-HMAC-SHA256", timestamp, scope, hashed_request])

    secret_date = _hmac(f"TC3{secret_key}".encode(), match["date"])
    secret_service = _hmac(secret_date, match["service"])
    secret_signing = _hmac(secret_service, "tc3_request")
    return _hmac(secret_signing, string_to_sign).hex()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()

"""Sign requests to Tencent Cloud's API, which STS is part of: TC3-HMAC-SHA256.

In: key id and key, the service, the headers to sign, the body, a time. Out: the value of
the ``Authorization`` header. No I/O and no clock.

Source: Tencent Cloud API documentation, "Signature v3".
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final

ALGORITHM: Final = "TC3-HMAC-SHA256"
_TERMINATOR: Final = "tc3_request"


def authorization(
    secret_id: str,
    secret_key: str,
    *,
    service: str,
    headers: Mapping[str, str],
    body: bytes,
    timestamp: int,
) -> str:
    """Return the ``Authorization`` of a POST to ``/`` that has these headers.

    ``headers`` must have Content-Type and Host. ``timestamp`` is Unix time, and must be what
    ``X-TC-Timestamp`` says.
    """
    lines = sorted((name.lower(), value.strip().lower()) for name, value in headers.items())
    signed_names = ";".join(name for name, _ in lines)
    canonical_headers = "".join(f"{name}:{value}\n" for name, value in lines)
    digest = hashlib.sha256(body).hexdigest()
    request = f"POST\n/\n\n{canonical_headers}\n{signed_names}\n{digest}"
    # The date is that of UTC, whatever the machine's zone: it is part of the key.
    date = time.strftime("%Y-%m-%d", time.gmtime(timestamp))
    scope = f"{date}/{service}/{_TERMINATOR}"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}"
    key = f"TC3{secret_key}".encode()
    for part in (date, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return (
        f"{ALGORITHM} Credential={secret_id}/{scope}, "
        f"SignedHeaders={signed_names}, Signature={signature}"
    )

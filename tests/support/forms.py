"""Forms as a browser sends them, their policies, and the one that the API document shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

BOUNDARY = "----WebKitFormBoundaryZBPbaoYE2gqeB21N"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


# The example of the API document "POST Object", "Signature protection use cases".
DOCUMENTED = {
    "key": "folder/subfolder/${filename}",
    "acl": "default",
    "Content-Type": "image/jpeg",
    "success_action_redirect": "https://my.website/upload_success.html",
    "x-cos-server-side-encryption": "AES256",
    "policy": (
        "ewogICAgImV4cGlyYXRpb24iOiAiMjAxOS0wOC0zMFQwOTozODoxMi40MTRaIiwKICAgICJjb25kaXRpb25zIjog"
        "WwogICAgICAgIHsgImFjbCI6ICJkZWZhdWx0IiB9LAogICAgICAgIHsgImJ1Y2tldCI6ICJleGFtcGxlYnVja2V0"
        "LTEyNTAwMDAwMDAiIH0sCiAgICAgICAgWyAic3RhcnRzLXdpdGgiLCAiJGtleSIsICJmb2xkZXIvc3ViZm9sZGVy"
        "LyIgXSwKICAgICAgICBbICJzdGFydHMtd2l0aCIsICIkQ29udGVudC1UeXBlIiwgImltYWdlLyIgXSwKICAgICAg"
        "ICBbICJzdGFydHMtd2l0aCIsICIkc3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiLCAiaHR0cHM6Ly9teS53ZWJzaXRl"
        "LyIgXSwKICAgICAgICBbICJlcSIsICIkeC1jb3Mtc2VydmVyLXNpZGUtZW5jcnlwdGlvbiIsICJBRVMyNTYiIF0s"
        "CiAgICAgICAgeyAicS1zaWduLWFsZ29yaXRobSI6ICJzaGExIiB9LAogICAgICAgIHsgInEtYWsiOiAiQUtJRFFq"
        "ejNsdG9tcFZqQm5pNUxpdGtXSEZsRnB3a245VTVxIiB9LAogICAgICAgIHsgInEtc2lnbi10aW1lIjogIjE1Njcx"
        "NTA2OTI7MTU2NzE1Nzg5MiIgfQogICAgXQp9"
    ),
    "q-sign-algorithm": "sha1",
    "q-ak": "AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q",
    "q-key-time": "1567150692;1567157892",
    "q-signature": "7758dc9a832e9d301dca704cacbf9d9f8172fdef",
}
DOCUMENTED_KEY = "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz"
DOCUMENTED_TIME = 1567150692
DOCUMENTED_END = datetime(2019, 8, 30, 9, 38, 12, 414000, UTC).timestamp()


def form(
    fields: Mapping[str, str] | Sequence[tuple[str, str]],
    content: bytes | None = b"hello",
    filename: str = "photo.jpg",
) -> bytes:
    """The body of a form whose last field is the file."""
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    parts = [f'form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in pairs]
    if content is not None:
        head = f'form-data; name="file"; filename="{filename}"\r\nContent-Type: image/jpeg\r\n\r\n'
        parts.append(head.encode() + content)
    mark = f"--{BOUNDARY}".encode()
    body = b"".join(mark + b"\r\nContent-Disposition: " + part + b"\r\n" for part in parts)
    return body + mark + b"--\r\n"


def signed_policy(
    secret_id: str, secret_key: str, now: int, conditions: Sequence[Any], expires: str
) -> dict[str, str]:
    """The fields of a signed policy, step by step as the document has it."""
    window = f"{now};{now + 600}"
    policy = json.dumps(
        {
            "expiration": expires,
            "conditions": [
                *conditions,
                {"q-sign-algorithm": "sha1"},
                {"q-ak": secret_id},
                {"q-sign-time": window},
            ],
        }
    ).encode()
    sign_key = hmac.new(secret_key.encode(), window.encode(), hashlib.sha1).hexdigest()
    digest = hashlib.sha1(policy).hexdigest()
    return {
        "policy": base64.b64encode(policy).decode(),
        "q-sign-algorithm": "sha1",
        "q-ak": secret_id,
        "q-key-time": window,
        "q-signature": hmac.new(sign_key.encode(), digest.encode(), hashlib.sha1).hexdigest(),
    }

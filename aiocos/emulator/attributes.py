"""What request headers say about an object, and what answers say about it again.

In: the headers of a writing request, or a stored version. Out: ``Attributes`` to keep, or
response headers. A customer's key is never kept: a salted hash tells whether the same key
is shown again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from functools import lru_cache

from . import acls, tags
from .clock import http_date
from .errors import CosError
from .records import Attributes, Restore, Version
from .wire import Call
from .xml import parse

STORED_HEADERS = {
    name.lower(): name
    for name in (
        "Cache-Control",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Type",
        "Expires",
    )
}
META = "x-cos-meta-"
_KNOWN_CLASSES = """
STANDARD STANDARD_IA INTELLIGENT_TIERING ARCHIVE DEEP_ARCHIVE COLD ONEZONE_STANDARD_IA
MAZ_STANDARD MAZ_STANDARD_IA MAZ_INTELLIGENT_TIERING MAZ_COLD MAZ_ARCHIVE
"""
STORAGE_CLASSES = frozenset(_KNOWN_CLASSES.split())
ARCHIVED = frozenset({"ARCHIVE", "DEEP_ARCHIVE", "MAZ_ARCHIVE"})

_SSE = "x-cos-server-side-encryption"
_CUSTOMER = "server-side-encryption-customer-"


def from_headers(call: Call) -> Attributes:
    """The attributes a PUT, POST or copy gives to an object."""
    headers = call.headers
    storage_class = headers.get("x-cos-storage-class") or "STANDARD"
    if storage_class not in STORAGE_CLASSES:
        raise CosError("NotSupportedStorageClass")
    customer = customer_key(headers)
    encryption = _encryption(headers)
    if not encryption and not customer:
        encryption = _usual_encryption(call)
    return Attributes(
        headers=_kept(call),
        storage_class=storage_class,
        acl=acls.from_headers(headers, call.bucket().owner, acls.DEFAULT),
        encryption=encryption,
        customer_key=_salted(customer, os.urandom(16)) if customer else "",
        tagging=tags.from_header(headers.get("x-cos-tagging", "")),
    )


def _kept(call: Call) -> dict[str, str]:
    kept = {
        STORED_HEADERS[name]: call.headers[name] for name in STORED_HEADERS if name in call.headers
    }
    meta = {name: value for name, value in call.headers.items() if name.startswith(META)}
    size = sum(len(name) - len(META) + len(value.encode()) for name, value in meta.items())
    if size > call.services.limits.max_metadata_size:
        raise CosError("InvalidArgument", "The user metadata is too large.")
    return kept | meta


def _encryption(headers: Mapping[str, str]) -> dict[str, str]:
    kind = headers.get(_SSE, "")
    if not kind:
        return {}
    # SM4 is what an object tells that a bucket's default encrypted; a copy has to be able to ask.
    if kind not in ("AES256", "SM4", "cos/kms"):
        raise CosError("InvalidArgument", f"{_SSE} must be AES256, SM4 or cos/kms.")
    told = {_SSE: kind}
    if kind == "cos/kms" and headers.get(f"{_SSE}-cos-kms-key-id"):
        told[f"{_SSE}-cos-kms-key-id"] = headers[f"{_SSE}-cos-kms-key-id"]
    return told


def _usual_encryption(call: Call) -> dict[str, str]:
    """What the bucket asks for when the request does not say."""
    stored = call.services.configurations.get(call.target.bucket, "BucketEncryption")
    return {} if stored is None else dict(_told_by(stored))


@lru_cache(maxsize=64)
def _told_by(stored: bytes) -> Mapping[str, str]:
    path = "Rule/ApplyServerSideEncryptionByDefault"
    usual = parse(stored, "ServerSideEncryptionConfiguration").at(path)[0]
    algorithm, key = usual.text("SSEAlgorithm") or "", usual.text("KMSMasterKeyID")
    if algorithm != "KMS":
        return {_SSE: algorithm}
    return {_SSE: "cos/kms"} | ({f"{_SSE}-cos-kms-key-id": key} if key else {})


def customer_key(headers: Mapping[str, str], prefix: str = "x-cos-") -> str:
    """The MD5 of the key that came along, empty without one."""
    name = prefix + _CUSTOMER
    algorithm, key, md5 = (headers.get(name + part, "") for part in ("algorithm", "key", "key-md5"))
    if not (algorithm or key or md5):
        return ""
    try:
        raw = base64.b64decode(key, validate=True)
    except binascii.Error:
        raw = b""
    digest = base64.b64encode(hashlib.md5(raw, usedforsecurity=False).digest())
    if algorithm != "AES256":
        raise CosError("InvalidArgument", f"{name}algorithm must be AES256.")
    if len(raw) != 32:
        raise CosError("InvalidArgument", f"{name}key must be 32 bytes in base64.")
    if not hmac.compare_digest(digest, md5.encode()):
        raise CosError("InvalidArgument", f"{name}key-MD5 is not the MD5 of the key.")
    return md5


def check_customer_key(
    attributes: Attributes, headers: Mapping[str, str], prefix: str = "x-cos-"
) -> dict[str, str]:
    """Refuse who does not show the object's key; the headers that tell of it."""
    shown = customer_key(headers, prefix)
    if not attributes.customer_key:
        if shown:
            raise CosError("InvalidRequest", "The object is not encrypted with a customer's key.")
        return {}
    if not shown:
        raise CosError("InvalidRequest", "The object is encrypted with a customer's key: show it.")
    salt = bytes.fromhex(attributes.customer_key.partition("$")[0])
    if not hmac.compare_digest(attributes.customer_key, _salted(shown, salt)):
        raise CosError("AccessDenied", "The object is encrypted with another key.")
    return customer_headers(shown)


def customer_headers(md5: str) -> dict[str, str]:
    """How an answer tells that a customer's key was used."""
    if not md5:
        return {}
    return {f"x-cos-{_CUSTOMER}algorithm": "AES256", f"x-cos-{_CUSTOMER}key-MD5": md5}


def _salted(md5: str, salt: bytes) -> str:
    return f"{salt.hex()}${hashlib.sha256(salt + md5.encode()).hexdigest()}"


def describe(version: Version, now: float, *, versioned: bool) -> dict[str, str]:
    """The headers of an object, as GET and HEAD send them."""
    attributes = version.attributes
    told = {
        "Content-Type": "application/octet-stream",
        **attributes.headers,
        "ETag": f'"{version.etag}"',
        "Last-Modified": http_date(version.modified),
        "Accept-Ranges": "bytes",
        "x-cos-hash-crc64ecma": str(version.crc),
        **attributes.encryption,
    }
    if attributes.storage_class != "STANDARD":
        told["x-cos-storage-class"] = attributes.storage_class
    if attributes.kind == "appendable":
        told["x-cos-object-type"] = "appendable"
        told["x-cos-next-append-position"] = str(version.size)
    if attributes.tagging:
        told["x-cos-tagging-count"] = str(len(tags.read(attributes.tagging)))
    if versioned:
        told["x-cos-version-id"] = version.version
    if attributes.restore is not None:
        told |= _restore_headers(attributes.restore, now)
    return told


def _restore_headers(restore: Restore, now: float) -> dict[str, str]:
    if now < restore.ready:
        requested = http_date(restore.requested)
        return {
            "x-cos-restore": 'ongoing-request="true"',
            "x-cos-restore-status": f'tier="{restore.tier}"; request-date="{requested}"',
        }
    if now < restore.expires:
        until = http_date(restore.expires)
        return {"x-cos-restore": f'ongoing-request="false", expiry-date="{until}"'}
    return {}


def is_readable(version: Version, now: float) -> bool:
    """Whether the content is at hand: not archived, or restored."""
    restore = version.attributes.restore
    if version.attributes.storage_class not in ARCHIVED:
        return True
    return restore is not None and restore.ready <= now < restore.expires

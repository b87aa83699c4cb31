"""Format 2, written a second time from its description, to check the client against.

In: a master key and what is stored. Out: data keys, segments and envelopes, as
``aiocos/crypto/format.md`` has them; nothing here comes from the client.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ENVELOPE = "x-cos-meta-aiocos-encryption"
SEGMENT = 65_536
WIRE = SEGMENT + 16
_PURPOSE = b"aiocos client-side encryption 2: "


def derived(key: bytes, purpose: str) -> bytes:
    """HKDF-SHA256 of one block, by its definition."""
    pseudo_random = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(pseudo_random, _PURPOSE + purpose.encode() + b"\1", "sha256")


def fields(header: str) -> dict[str, str]:
    """The fields of an envelope."""
    return dict(field.split("=", 1) for field in header.split(";"))


def wrapped(master: bytes, data_key: bytes, nonce: bytes) -> str:
    """A data key under an AES master key."""
    sealed = AESGCM(derived(master, "wrapping")).encrypt(nonce, data_key, _PURPOSE + b"data key")
    return base64.b64encode(nonce + sealed).decode()


def unwrapped(master: bytes, header: str) -> bytes:
    """The data key of an envelope."""
    key = base64.b64decode(fields(header)["key"])
    cipher = AESGCM(derived(master, "wrapping"))
    return cipher.decrypt(key[:12], key[12:], _PURPOSE + b"data key")


def _prefixed(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


def mac(data_key: bytes, text: str, metadata: Mapping[str, str]) -> str:
    """The ``mac`` of fields and metadata; names in lower case, values as on the wire."""
    told = b"".join(
        _prefixed(name.encode()) + _prefixed(metadata[name].encode()) for name in sorted(metadata)
    )
    message = _prefixed(text.encode()) + _prefixed(told)
    return base64.b64encode(hmac.digest(derived(data_key, "envelope"), message, "sha256")).decode()


def envelope(
    master: bytes, data_key: bytes, name: str, size: int | None, metadata: Mapping[str, str]
) -> str:
    """The envelope of an object."""
    told = hmac.digest(derived(data_key, "name"), name.encode(), "sha256")[:16]
    length = "" if size is None else f"len={size};"
    kid = derived(master, "key id")[:8].hex()
    text = (
        f"v=2;seg=65536;{length}name={base64.b64encode(told).decode()};wrap=AES-GCM;"
        f"kid={kid};key={wrapped(master, data_key, bytes(12))}"
    )
    return f"{text};mac={mac(data_key, text, metadata)}"


def segment(data_key: bytes, index: int, content: bytes, *, ends: bool) -> bytes:
    """One segment as it is stored."""
    nonce = index.to_bytes(11, "big") + (b"\1" if ends else b"\0")
    return AESGCM(derived(data_key, "content")).encrypt(nonce, content, None)


def sealed(data_key: bytes, content: bytes, *, empty_end: bool = False) -> bytes:
    """An object as it is stored; ``empty_end``: with an empty segment behind whole ones."""
    cuts = [content[at : at + SEGMENT] for at in range(0, len(content), SEGMENT)]
    if empty_end or not cuts:
        cuts.append(b"")
    last = len(cuts) - 1
    return b"".join(
        segment(data_key, index, cut, ends=index == last) for index, cut in enumerate(cuts)
    )


def segments(stored: bytes) -> list[bytes]:
    """The segments of what is stored, cut at their edges."""
    return [stored[at : at + WIRE] for at in range(0, len(stored), WIRE)]


def opened(master: bytes, headers: Mapping[str, str], stored: bytes) -> bytes:
    """The content of an object, all of it checked."""
    header = headers[ENVELOPE]
    data_key = unwrapped(master, header)
    text, _, told = header.rpartition(";mac=")
    others = {n: v for n, v in headers.items() if n.startswith("x-cos-meta-") and n != ENVELOPE}
    assert mac(data_key, text, others) == told
    cipher = AESGCM(derived(data_key, "content"))
    pieces = segments(stored)
    last = len(pieces) - 1
    content = b"".join(
        cipher.decrypt(index.to_bytes(11, "big") + bytes([index == last]), piece, None)
        for index, piece in enumerate(pieces)
    )
    size = re.search(r";len=(\d+);", header)
    assert size is None or int(size[1]) == len(content)
    return content

"""A second reader and writer of encrypted objects, format 2, written from its description alone.

Pure functions on bytes and dicts of headers: no network, and nothing of the library. AES-GCM and
RSA-OAEP are pycryptodome's. `encryption_v2.json`, the objects to be read and those to be refused,
comes from `encryption_cases.py`, always the same, by

    python -m tests.vectors.encryption_reader > tests/vectors/encryption_v2.json

and `python -m tests.vectors.encryption_reader --check` holds this reader against it.
"""

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterator, Mapping

from Crypto.Cipher import AES, PKCS1_OAEP
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA

SEGMENT = 65536
TAG = 16
WIRE = SEGMENT + TAG  # a whole segment in the object
META = "x-cos-meta-"
ENVELOPE = "x-cos-meta-aiocos-encryption"
INFO = b"aiocos client-side encryption 2: "
MasterKey = bytes | RSA.RsaKey
Headers = Mapping[str, str]
_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_FORM = re.compile(
    r"(?P<fields>v=2;seg=65536(?:;len=(?P<len>0|[1-9][0-9]{0,18}))?"
    rf";name=(?P<name>{_BASE64})"
    r";wrap=(?P<wrap>[A-Za-z0-9._-]{1,32});kid=(?P<kid>[A-Za-z0-9._:/-]{0,128})"
    rf";key=(?P<key>{_BASE64}));mac=(?P<mac>{_BASE64})"
)


class Refused(Exception):
    """The object is not given out: the step it failed at, and why."""


def hkdf(secret: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256 with an empty salt: one block, so one round of expansion."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, INFO + info + b"\x01", "sha256")


def pack(data: bytes) -> bytes:
    """P(x): the length in 4 bytes, and x."""
    return len(data).to_bytes(4, "big") + data


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def identify(master_key: MasterKey) -> tuple[str, str]:
    """`wrap` and `kid` of a master key."""
    if isinstance(master_key, bytes):
        if len(master_key) not in (16, 24, 32):
            raise Refused("key", "an AES master key has 16, 24 or 32 bytes")
        return "AES-GCM", hkdf(master_key, b"key id")[:8].hex()
    if master_key.size_in_bits() < 2048:
        raise Refused("key", "an RSA master key has 2,048 bits or more")
    public = master_key.public_key().export_key("DER")
    return "RSA-OAEP-SHA256", hashlib.sha256(public).hexdigest()[:16]


def gcm(secret: bytes, purpose: bytes, nonce: bytes, additional: bytes = b""):
    return AES.new(hkdf(secret, purpose), AES.MODE_GCM, nonce=nonce).update(additional)


def wrap(data_key: bytes, master_key: MasterKey, random: Callable = os.urandom) -> bytes:
    if isinstance(master_key, bytes):
        nonce = random(12)
        cipher = gcm(master_key, b"wrapping", nonce, INFO + b"data key")
        return nonce + b"".join(cipher.encrypt_and_digest(data_key))
    return PKCS1_OAEP.new(master_key, hashAlgo=SHA256, randfunc=random).encrypt(data_key)


def unwrap(wrapped: bytes, master_key: MasterKey) -> bytes:
    try:
        if isinstance(master_key, bytes):
            cipher = gcm(master_key, b"wrapping", wrapped[:12], INFO + b"data key")
            data_key = cipher.decrypt_and_verify(wrapped[12:-TAG], wrapped[-TAG:])
        else:
            data_key = PKCS1_OAEP.new(master_key, hashAlgo=SHA256).decrypt(wrapped)
    except ValueError as error:
        raise Refused("key", "the data key does not unwrap") from error
    if len(data_key) != 32:
        raise Refused("key", "a data key has 32 bytes")
    return data_key


def compute_name(data_key: bytes, name: str) -> bytes:
    """The field `name`, of the object's key as COS stores it: no slash is taken off."""
    return hmac.digest(hkdf(data_key, b"name"), name.encode(), "sha256")[:16]


def compute_mac(data_key: bytes, fields: str, headers: Headers) -> bytes:
    """The mac of an envelope. Header values are text here: UTF-8 of it is what is on the wire."""
    lowered = [(key.lower(), value.strip(" \t")) for key, value in headers.items()]
    metadata = sorted(pair for pair in lowered if pair[0].startswith(META) and pair[0] != ENVELOPE)
    if len({key for key, _ in metadata}) != len(metadata):
        raise Refused("mac", "two headers of one name")
    packed = b"".join(pack(key.encode()) + pack(value.encode()) for key, value in metadata)
    return hmac.digest(hkdf(data_key, b"envelope"), pack(fields.encode()) + pack(packed), "sha256")


def write_fields(
    data_key: bytes, *, length: int | str | None, name: str, wrap: str, kid: str, key: bytes
) -> str:
    """An envelope as far as the mac covers it."""
    known = "" if length is None else f";len={length}"
    tag = to_base64(compute_name(data_key, name))
    return f"v=2;seg=65536{known};name={tag};wrap={wrap};kid={kid};key={to_base64(key)}"


def finish(data_key: bytes, fields: str, metadata: Headers) -> dict[str, str]:
    """The headers of an object: `metadata` and the envelope."""
    mac = to_base64(compute_mac(data_key, fields, metadata))
    return dict(metadata) | {ENVELOPE: f"{fields};mac={mac}"}


def parse(headers: Headers) -> dict:
    """The envelope's fields, and `fields`: its text as far as the mac covers it."""
    found = [value for key, value in headers.items() if key.lower() == ENVELOPE]
    form = _FORM.fullmatch(found[0]) if len(found) == 1 else None
    if form is None:
        raise Refused("envelope", "not one envelope of this form")
    raw = {field: base64.b64decode(form[field]) for field in ("name", "key", "mac")}
    if any(to_base64(raw[field]) != form[field] for field in raw):
        raise Refused("envelope", "not what an encoder makes of these bytes")
    if not 1 <= len(raw["key"]) <= 1024 or len(raw["name"]) != 16 or len(raw["mac"]) != 32:
        raise Refused("envelope", "name, key or mac of a wrong length")
    return form.groupdict() | raw


def authenticate(
    headers: Headers, name: str, master_key: MasterKey, *, renamed: bool = False
) -> tuple[dict, bytes]:
    """The envelope and the data key of an object that may be read under this name."""
    envelope = parse(headers)
    if (envelope["wrap"], envelope["kid"]) != identify(master_key):
        raise Refused("key", "wrapped with another master key")
    data_key = unwrap(envelope["key"], master_key)
    mac = compute_mac(data_key, envelope["fields"], headers)
    if not hmac.compare_digest(mac, envelope["mac"]):
        raise Refused("mac", "envelope or metadata are not the writer's")
    if not renamed and not hmac.compare_digest(compute_name(data_key, name), envelope["name"]):
        raise Refused("name", "written under another name")
    return envelope, data_key


def plaintext_length(size: int) -> int:
    """The length of the plaintext of an object of `size` bytes."""
    whole, rest = divmod(size, WIRE)
    if (rest == 0 and whole > 0) or rest >= TAG:
        return whole * SEGMENT + max(rest - TAG, 0)
    raise Refused("length", "no object has this size")


def segment_cipher(data_key: bytes, index: int, last: bool):
    return gcm(data_key, b"content", index.to_bytes(11, "big") + bytes([last]))


def seal_segment(data_key: bytes, index: int, last: bool, plaintext: bytes) -> bytes:
    return b"".join(segment_cipher(data_key, index, last).encrypt_and_digest(plaintext))


def seal_content(plaintext: bytes, data_key: bytes, *, empty_last: bool = False) -> bytes:
    """The object's bytes; with `empty_last` whole segments are followed by an empty last one."""
    cuts = [plaintext[at : at + SEGMENT] for at in range(0, len(plaintext), SEGMENT)]
    if not cuts or (empty_last and len(cuts[-1]) == SEGMENT):
        cuts.append(b"")
    return b"".join(
        seal_segment(data_key, index, index == len(cuts) - 1, cut) for index, cut in enumerate(cuts)
    )


def seal(
    plaintext: bytes,
    data_key: bytes,
    *,
    name: str,
    master_key: MasterKey,
    metadata: Headers | None = None,
    is_length_known: bool = True,
    empty_last: bool = False,
    random: Callable[[int], bytes] = os.urandom,
) -> tuple[dict[str, str], bytes]:
    """The headers, `metadata` and the envelope, and the bytes of a new object."""
    method, kid = identify(master_key)
    key = wrap(data_key, master_key, random)
    length = len(plaintext) if is_length_known else None
    fields = write_fields(data_key, length=length, name=name, wrap=method, kid=kid, key=key)
    headers = finish(data_key, fields, metadata or {})
    return headers, seal_content(plaintext, data_key, empty_last=empty_last)


def change(
    headers: Headers,
    name: str,
    master_key: MasterKey,
    *,
    new_name: str | None = None,
    metadata: Headers | None = None,
    new_master_key: MasterKey | None = None,
    random: Callable[[int], bytes] = os.urandom,
) -> dict[str, str]:
    """The headers of an object with another name, other metadata or another master key."""
    old, data_key = authenticate(headers, name, master_key)
    method, kid, key = old["wrap"], old["kid"], old["key"]
    if new_master_key is not None:
        method, kid = identify(new_master_key)
        key = wrap(data_key, new_master_key, random)
    if metadata is None:
        metadata = {key: value for key, value in headers.items() if key.lower() != ENVELOPE}
    name = name if new_name is None else new_name
    fields = write_fields(data_key, length=old["len"], name=name, wrap=method, kid=kid, key=key)
    return finish(data_key, fields, metadata)


def open_segments(
    ciphertext: bytes, headers: Headers, name: str, master_key: MasterKey, *, renamed: bool = False
) -> Iterator[bytes]:
    """The plaintext, segment by segment, each after its tag was checked.

    `name` is the object's key as COS stores it. With `renamed` an object may have been written
    under any name; everything else is checked as always.
    """
    envelope, data_key = authenticate(headers, name, master_key, renamed=renamed)
    length = plaintext_length(len(ciphertext))
    if envelope["len"] not in (None, str(length)):
        raise Refused("length", "not as long as the envelope says")
    for at in range(0, len(ciphertext), WIRE):
        cipher = segment_cipher(data_key, at // WIRE, at + WIRE >= len(ciphertext))
        sealed = ciphertext[at : at + WIRE]
        try:
            plaintext = cipher.decrypt_and_verify(sealed[:-TAG], sealed[-TAG:])
        except ValueError as error:
            raise Refused("content", f"segment {at // WIRE} is not the writer's") from error
        yield plaintext


def open_object(
    ciphertext: bytes, headers: Headers, name: str, master_key: MasterKey, *, renamed: bool = False
) -> bytes:
    return b"".join(open_segments(ciphertext, headers, name, master_key, renamed=renamed))


if __name__ == "__main__":
    from tests.vectors import encryption_cases

    encryption_cases.main()

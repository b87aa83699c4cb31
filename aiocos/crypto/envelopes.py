"""What goes with an encrypted object as metadata, in both formats.

In: headers, which anybody who may write to the bucket can have made. Out: an envelope that is
exactly of its form, or an error. No I/O.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiocos.crypto.ciphers import SEGMENT, derived
from aiocos.encoding.headers import (
    ENVELOPE_HEADER,
    META_PREFIX,
    encode_metadata,
    metadata_headers,
)
from aiocos.encoding.urls import key_path
from aiocos.errors import DecryptionError, NotEncryptedError, ParameterError

ENVELOPE: Final = ENVELOPE_HEADER
_OLD: Final = f"{META_PREFIX}client-side-encryption-"
"""So begins what the sync SDK and those of other languages set."""
LEGACY_KEY: Final = f"{_OLD}key"
LEGACY_START: Final = f"{_OLD}iv"

_FORM: Final = re.compile(
    r"(?P<fields>v=2;seg=65536;(?:len=(?P<size>0|[1-9][0-9]{0,18});)?"
    r"name=(?P<name>[A-Za-z0-9+/]{22}==);"
    r"wrap=(?P<wrap>[A-Za-z0-9._-]{1,32});kid=(?P<kid>[A-Za-z0-9._:/-]{0,128});"
    r"key=(?P<key>[A-Za-z0-9+/]{2,1366}={0,2}));mac=(?P<mac>[A-Za-z0-9+/]{43}=)"
)
_WRAP: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
_KID: Final = re.compile(r"[A-Za-z0-9._:/-]{0,128}")
_LONGEST_KEY: Final = 1024
_NAME_BYTES: Final = 16


class WrappedKey(NamedTuple):
    """A data key that only the holder of a master key can use."""

    wrap: str
    """How it is wrapped, such as ``AES-GCM``: 1 to 32 letters, digits, ``.``, ``_`` or ``-``."""
    key_id: str
    """Which master key it takes: up to 128 of these characters, ``:`` or ``/``."""
    key: bytes
    """At most 1,024 bytes."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope of format 2."""

    wrapped: WrappedKey
    size: int | None
    """Of the content, where it was known when the object was begun."""
    name: bytes
    """What tells the object's key, to whoever has the data key."""
    mac: bytes
    fields: str
    """The text that ``mac`` is of."""

    @classmethod
    def seal(
        cls,
        wrapped: WrappedKey,
        data_key: bytes,
        key: str,
        metadata: Mapping[str, str],
        size: int | None,
    ) -> Envelope:
        """Make the envelope of an object."""
        if not _has_place(wrapped):
            raise ParameterError(
                "the key provider did not give a WrappedKey that an envelope has a place for: "
                "a wrap of 1 to 32 and a key_id of up to 128 characters, and 1 to 1,024 bytes"
            )
        name = _name(data_key, key)
        length = "" if size is None else f"len={size};"
        fields = (
            f"v=2;seg={SEGMENT};{length}name={_coded(name)};"
            f"wrap={wrapped.wrap};kid={wrapped.key_id};key={_coded(wrapped.key)}"
        )
        return cls(wrapped, size, name, _mac(data_key, fields, metadata), fields)

    @classmethod
    def parse(cls, text: str) -> Envelope:
        """Read a header.

        Raises:
            DecryptionError: it is not exactly of the form.
        """
        match = _FORM.fullmatch(text)
        try:
            if match is None:
                raise ValueError("not of the form")  # noqa: TRY301 - as every other fault of it
            key = _decoded(match["key"])
            if len(key) > _LONGEST_KEY:
                raise ValueError("too long")  # noqa: TRY301
            size = None if match["size"] is None else int(match["size"])
            wrapped = WrappedKey(match["wrap"], match["kid"], key)
            name, mac = _decoded(match["name"]), _decoded(match["mac"])
            return cls(wrapped, size, name, mac, match["fields"])
        except ValueError:
            raise DecryptionError(f"the header {ENVELOPE} was changed: it makes no sense") from None

    def is_of(self, data_key: bytes, headers: Mapping[str, str]) -> bool:
        """Whether this key and this metadata belong to it."""
        try:
            mac = _mac(data_key, self.fields, headers)
        except ParameterError:  # bytes that are no text, which nobody can have sealed
            return False
        return hmac.compare_digest(mac, self.mac)

    def is_named(self, data_key: bytes, key: str) -> bool:
        """Whether it was made for an object of this name."""
        return hmac.compare_digest(_name(data_key, key), self.name)

    def __str__(self) -> str:
        return f"{self.fields};mac={_coded(self.mac)}"


class LegacyEnvelope(NamedTuple):
    """What the sync SDK writes: data key and first counter, wrapped."""

    key: bytes
    start: bytes

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> LegacyEnvelope:
        """Read the headers.

        Raises:
            NotEncryptedError: one is missing or is not base64.
        """
        try:
            return cls(_decoded(headers[LEGACY_KEY]), _decoded(headers[LEGACY_START]))
        except (KeyError, ValueError):
            raise NotEncryptedError(
                f"{LEGACY_KEY} and {LEGACY_START} are not both there, or not base64"
            ) from None

    def headers(self) -> dict[str, str]:
        """Return the headers."""
        return {
            LEGACY_KEY: _coded(self.key),
            LEGACY_START: _coded(self.start),
        }


def _has_place(wrapped: object) -> bool:
    return (
        isinstance(wrapped, WrappedKey)
        and [type(field) for field in wrapped] == [str, str, bytes]
        and _WRAP.fullmatch(wrapped.wrap) is not None
        and _KID.fullmatch(wrapped.key_id) is not None
        and 0 < len(wrapped.key) <= _LONGEST_KEY
    )


def own_metadata(metadata: object) -> dict[str, str]:
    """Return the caller's metadata, without what encryption sets: it may be that of a read."""
    given = metadata_headers(metadata)
    old = old_envelope(given)
    return {k: text for k, text in given.items() if k.lower() != ENVELOPE and k not in old}


def old_envelope(headers: Mapping[str, str]) -> dict[str, str]:
    """Return all that it takes to read what another client has encrypted."""
    return {name: text for name, text in headers.items() if name.lower().startswith(_OLD)}


def _name(data_key: bytes, key: str) -> bytes:
    name = key_path(key).removeprefix("/").encode()
    return hmac.digest(derived(data_key, "name"), name, "sha256")[:_NAME_BYTES]


def _mac(data_key: bytes, fields: str, headers: Mapping[str, str]) -> bytes:
    metadata = b"".join(
        _long(name.encode()) + _long(encode_metadata(value).encode())
        for name, value in sorted((name.lower(), value) for name, value in headers.items())
        if name.startswith(META_PREFIX) and name != ENVELOPE
    )
    text = _long(fields.encode()) + _long(metadata)
    return hmac.digest(derived(data_key, "envelope"), text, "sha256")


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _long(text: bytes) -> bytes:
    return len(text).to_bytes(4) + text


def _decoded(text: str) -> bytes:
    """Decode base64, and nothing that only nearly is.

    Raises:
        ValueError: it is not.
    """
    try:
        content = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if base64.b64encode(content).decode() != text:
        raise ValueError("base64 with stray bits")
    return content

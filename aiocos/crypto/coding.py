"""From a provider of master keys to the codec of each object.

In: an object's name and metadata. Out: its codec, when the envelope was found to be right, or
a typed error. Nothing is kept between two calls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Final, Literal, cast, get_args

from aiocos.crypto.ciphers import KEY_BYTES, CounterCodec, SegmentCodec
from aiocos.crypto.envelopes import (
    ENVELOPE,
    LEGACY_KEY,
    LEGACY_START,
    Envelope,
    LegacyEnvelope,
    old_envelope,
    own_metadata,
)
from aiocos.crypto.keys import START_BYTES, KeyProvider, LegacyProvider, check_provider
from aiocos.encoding.headers import META_PREFIX, user_metadata
from aiocos.errors import DecryptionError, NotEncryptedError, ParameterError
from aiocos.transfer.coding import Codec, Coding

Legacy = Literal["refuse", "read", "write"]
Renamed = Literal["refuse", "read"]
OTHER_SDKS: Final = f"{META_PREFIX}client-side-encryption-cek-alg"


class EnvelopeCoding(Coding):
    """Encrypts in format 2, or, with ``Legacy="write"``, in that of the sync SDK."""

    def __init__(self, provider: KeyProvider, legacy: Legacy, renamed: Renamed) -> None:
        check_provider(provider)
        if legacy not in get_args(Legacy):
            raise ParameterError(f"Legacy is {legacy!r}, and must be refuse, read or write")
        if renamed not in get_args(Renamed):
            raise ParameterError(f"Renamed is {renamed!r}, and must be refuse or read")
        if legacy != "refuse" and not isinstance(provider, LegacyProvider):
            raise ParameterError(f"Legacy={legacy!r} needs an AESProvider or an RSAProvider")
        self.provider = provider
        self._legacy = legacy
        self._renamed = renamed
        self.codec = CounterCodec if legacy == "write" else SegmentCodec

    async def begin(
        self, key: str, metadata: Mapping[str, str], size: int | None
    ) -> tuple[Codec, dict[str, str]]:
        """Return the codec of a new object, with a data key of its own, and its metadata."""
        given = own_metadata(metadata)
        data_key = os.urandom(KEY_BYTES)
        if self._legacy == "write":
            start = os.urandom(START_BYTES)
            wrapped = self._legacy_provider.wrap_legacy(data_key, start)
            return CounterCodec(data_key, start), {**given, **wrapped.headers()}
        envelope = Envelope.seal(await self.provider.wrap(data_key), data_key, key, given, size)
        return SegmentCodec(data_key, size), {**given, ENVELOPE: str(envelope)}

    async def open(self, key: str, headers: Mapping[str, str]) -> Codec:
        """Return the codec of an object that is there.

        Raises:
            NotEncryptedError: it is not encrypted, or in a format that is not read.
            DecryptionError: the key is another one, or what is there was edited.
        """
        if ENVELOPE not in headers:
            return await self._open_legacy(headers)
        envelope, data_key = await self._opened(key, headers)
        return SegmentCodec(data_key, envelope.size)

    async def _opened(self, key: str, headers: Mapping[str, str]) -> tuple[Envelope, bytes]:
        """Return an envelope that was found to be right, and the data key in it."""
        envelope = Envelope.parse(headers[ENVELOPE])
        data_key = await self._data_key(envelope)
        if not envelope.is_of(data_key, headers):
            raise DecryptionError(
                f"the metadata of {key!r} was changed by somebody without the key: what begins "
                f"with {META_PREFIX} is part of an encrypted object"
            )
        if self._renamed == "refuse" and not envelope.is_named(data_key, key):
            raise DecryptionError(
                f"what is at {key!r} was encrypted under another name: it was moved or copied by "
                f"somebody without the key, or {key!r} is a symbolic link "
                "(CosEncryptionClient(..., Renamed='read') reads it)"
            )
        return envelope, data_key

    async def _data_key(self, envelope: Envelope) -> bytes:
        data_key: object = await self.provider.unwrap(envelope.wrapped)
        if not isinstance(data_key, bytes) or len(data_key) != KEY_BYTES:
            raise DecryptionError("the key provider did not give a data key of 32 bytes")
        return data_key

    @property
    def _legacy_provider(self) -> LegacyProvider:
        return cast(LegacyProvider, self.provider)  # the constructor refuses others

    async def _open_legacy(self, headers: Mapping[str, str]) -> Codec:
        if OTHER_SDKS in headers:
            raise NotEncryptedError(
                f"{OTHER_SDKS} tells of the format of another SDK, which is not read here"
            )
        if LEGACY_KEY not in headers and LEGACY_START not in headers:
            raise NotEncryptedError(
                "the object is not encrypted: read it with a CosS3Client, if you trust its bytes"
            )
        envelope = LegacyEnvelope.of(headers)
        if self._legacy == "refuse":
            raise NotEncryptedError(
                "the object is encrypted as the sync SDK does it, so that nothing tells whether "
                "its bytes were changed; CosEncryptionClient(..., Legacy='read') reads it"
            )
        opened = await asyncio.to_thread(self._legacy_provider.unwrap_legacy, envelope)
        return CounterCodec(*opened)

    async def renamed(
        self, key: str, headers: Mapping[str, str], new_key: str, metadata: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the metadata of a copy under another name, or with other metadata.

        The data key stays, and how it is wrapped. A copy of what is not encrypted is not either.
        """
        given = own_metadata(metadata)
        if ENVELOPE not in headers:
            return {**given, **old_envelope(headers)}
        old, data_key = await self._opened(key, headers)
        new = Envelope.seal(old.wrapped, data_key, new_key, given, old.size)
        return {**given, ENVELOPE: str(new)}

    def kind(self, metadata: Mapping[str, str]) -> str:
        """Return which master key an object takes."""
        if ENVELOPE not in metadata:
            return ""
        wrapped = Envelope.parse(metadata[ENVELOPE]).wrapped
        return f"{wrapped.wrap} {wrapped.key_id}"

    async def rewrapped(
        self, key: str, headers: Mapping[str, str], provider: KeyProvider
    ) -> dict[str, str]:
        """Return the metadata of an object, with its data key wrapped by another master key.

        Raises:
            NotEncryptedError: it is not encrypted in format 2.
        """
        if ENVELOPE not in headers:
            raise NotEncryptedError(
                f"{key!r} is not encrypted in format 2, so there is nothing to wrap anew: read it "
                "and write it again"
            )
        old, data_key = await self._opened(key, headers)
        metadata = own_metadata(user_metadata(headers))
        new = Envelope.seal(await provider.wrap(data_key), data_key, key, metadata, old.size)
        return {**metadata, ENVELOPE: str(new)}

"""What may be done with objects that are encrypted already: a new master key, and an audit.

In: keys of objects. Out: the same content under another master key, without reading it; and a
list of what is encrypted how.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final, Literal, NamedTuple, Unpack

from aiocos.client import CosS3Client
from aiocos.crypto.ciphers import KEY_BYTES
from aiocos.crypto.coding import OTHER_SDKS, EnvelopeCoding
from aiocos.crypto.envelopes import (
    ENVELOPE,
    LEGACY_KEY,
    LEGACY_START,
    Envelope,
    LegacyEnvelope,
)
from aiocos.crypto.keys import START_BYTES, KeyProvider, check_provider
from aiocos.errors import (
    DecryptionError,
    NotEncryptedError,
    NotFoundError,
    ObjectChangedError,
    PreconditionError,
)
from aiocos.operations.results import CopyFileResult, CopySource
from aiocos.operations.settings.rewriting import acl_options
from aiocos.transfer.coding import Codec, Coding
from aiocos.transfer.options import ResumeOptions
from aiocos.transfer.progress import cancellations, flat
from aiocos.transfer.trees import addressed

State = Literal["format-2", "constant-stream", "sync-sdk-rsa", "other-sdk", "damaged", "plain"]
_AT_ONCE: Final = 16


class Audited(NamedTuple):
    """How one object is encrypted."""

    Key: str
    State: State
    """``format-2``: as this client writes. ``constant-stream``: by the sync SDK with an AES master
    key; who knows one data key of such a master key knows all. ``sync-sdk-rsa``: by the sync SDK
    with RSA. ``other-sdk``: by the SDK of another language. ``damaged``: its envelope makes no
    sense. ``plain``: not encrypted on the client."""
    KeyId: str | None
    """The master key, where the object tells it."""


class KeyUpkeep(CosS3Client):
    """The upkeep of encrypted objects."""

    _coding: EnvelopeCoding

    async def content_size(self, Key: str, head: Mapping[str, Any]) -> int:
        """Return how many bytes of content an encrypted object has; nothing is sent.

        ``head`` is what ``head_object`` told of it, whose ``Content-Length`` is that of what is
        stored. Where the object was stored without its length, a cut end shows only when it is
        read.

        Raises:
            NotEncryptedError: it is not encrypted.
            DecryptionError: the key is another one, or the metadata was changed.
        """
        headers = {name: text for name, text in head.items() if isinstance(text, str)}
        codec = await self._coding.open(Key, headers)
        return codec.size(await super().content_size(Key, head))

    async def rewrap(
        self, Bucket: str, Key: str, provider: KeyProvider, **options: Unpack[ResumeOptions]
    ) -> CopyFileResult:
        """Wrap an object's data key with another master key; its content is not touched.

        COS copies the object onto itself with a new envelope, pinned to the object that was
        looked at, whatever its size; headers, metadata, storage class, access control list and
        the encryption of the server stay. In a bucket with versions that makes a new version.
        ``provider`` is the new master key; read the object with a client of it from then on.

        Raises:
            NotEncryptedError: it is not encrypted in format 2: download it and upload it again.
            DecryptionError: this client's master key is not the one that it has.
            ObjectChangedError: the object was replaced meanwhile, twice.

        Options: ``aiocos.types.ResumeOptions``.
        """
        check_provider(provider)
        with contextlib.suppress(PreconditionError):  # replaced meanwhile: once more
            return await self._rewrap(Bucket, Key, provider, options)
        try:
            return await self._rewrap(Bucket, Key, provider, options)
        except PreconditionError as error:
            raise ObjectChangedError(
                f"{Key!r} was replaced again while it was rewrapped"
            ) from error

    async def _rewrap(
        self, Bucket: str, Key: str, provider: KeyProvider, options: ResumeOptions
    ) -> CopyFileResult:
        head = await self.head_object(Bucket, Key)
        endpoint = (await self._ready()).config.endpoint
        source: CopySource = {"Bucket": Bucket, "Key": Key, "Endpoint": endpoint}
        kept = {
            "StorageClass": head.get("x-cos-storage-class"),
            "ServerSideEncryption": head.get("x-cos-server-side-encryption"),
            "SSEKMSKeyId": head.get("x-cos-server-side-encryption-cos-kms-key-id"),
            "CopySourceIfMatch": head["ETag"],
        }
        kept |= acl_options(await self.get_object_acl(Bucket, Key))
        given: Any = {**{name: text for name, text in kept.items() if text}, **options}
        job = self._copy(Bucket, Key, source, "Copy", None, None, None, given)
        job.coding = _Rewrapping(self._coding, provider)
        result: Any = await job.run()
        return result  # type: ignore[no-any-return]

    async def audit_encryption(
        self, Bucket: str, Prefix: str = "", *, exposed_only: bool = True
    ) -> AsyncIterator[Audited]:
        """Look at every object that begins with ``Prefix``, and tell how it is encrypted.

        ``exposed_only`` gives those whose data key was wrapped with the sync SDK's constant key
        stream, and no others. It takes a HEAD for each object, 16 at a time.
        """
        batch: list[str] = []
        async with aclosing(self.iter_objects(Bucket, Prefix=Prefix)) as listing:
            async for item in listing:
                batch.append(item["Key"])
                if len(batch) == _AT_ONCE:
                    for audited in await self._audited(Bucket, batch):
                        if not exposed_only or audited.State == "constant-stream":
                            yield audited
                    batch = []
        for audited in await self._audited(Bucket, batch):
            if not exposed_only or audited.State == "constant-stream":
                yield audited

    async def _audited(self, bucket: str, keys: list[str]) -> list[Audited]:
        asked = cancellations()
        try:
            async with asyncio.TaskGroup() as group:
                looks = [group.create_task(self._look_at(bucket, key)) for key in keys]
                if looks:
                    # Here, not behind the block: a TaskGroup counts a failure there as a
                    # cancellation.
                    await asyncio.wait(looks)
        except BaseExceptionGroup as errors:
            failed = next(flat(errors))
            raise asyncio.CancelledError if cancellations() > asked else failed from None
        return [audited for look in looks if (audited := look.result()) is not None]

    async def _look_at(self, bucket: str, key: str) -> Audited | None:
        try:
            head: Mapping[str, Any] = await self.head_object(bucket, addressed(key))
        except NotFoundError:
            return None  # deleted since it was listed
        return Audited(key, *_state(head))


class _Rewrapping(Coding):
    """Gives a copy the envelope of another master key."""

    def __init__(self, coding: EnvelopeCoding, provider: KeyProvider) -> None:
        self.codec = coding.codec
        self._coding = coding
        self._provider = provider

    async def begin(
        self, key: str, metadata: Mapping[str, str], size: int | None
    ) -> tuple[Codec, dict[str, str]]:
        """Do not: nothing is encrypted here."""
        raise NotImplementedError

    async def open(self, key: str, headers: Mapping[str, str]) -> Codec:
        """Return the codec of an object under its old master key."""
        return await self._coding.open(key, headers)

    async def renamed(
        self, key: str, headers: Mapping[str, str], new_key: str, metadata: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the metadata of the object, wrapped anew."""
        return await self._coding.rewrapped(key, headers, self._provider)

    def kind(self, metadata: Mapping[str, str]) -> str:
        """Return which master key a copy has."""
        return self._coding.kind(metadata)


def _state(head: Mapping[str, Any]) -> tuple[State, str | None]:
    try:
        if ENVELOPE in head:
            return "format-2", Envelope.parse(head[ENVELOPE]).wrapped.key_id
        if OTHER_SDKS in head:
            return "other-sdk", None
        if LEGACY_KEY not in head and LEGACY_START not in head:
            return "plain", None
        envelope = LegacyEnvelope.of(head)
    except (DecryptionError, NotEncryptedError):
        return "damaged", None
    lengths = len(envelope.key), len(envelope.start)
    return ("constant-stream" if lengths == (KEY_BYTES, START_BYTES) else "sync-sdk-rsa"), None

"""The client that encrypts before anything leaves, and decrypts what comes back.

In: what ``CosS3Client`` takes, and a provider of master keys. Out: the same methods. What can
be done without the content stays as it is; what would store or give out bytes in the clear, or
join what does not belong together, is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn, Unpack

from aiocos.body import BodyLike
from aiocos.config import CosConfig
from aiocos.crypto.bodies import OpenedBody, SealedBody, Window, range_of
from aiocos.crypto.coding import EnvelopeCoding, Legacy, Renamed
from aiocos.crypto.keyless import KeylessOperations
from aiocos.crypto.keys import KeyProvider
from aiocos.crypto.upkeep import KeyUpkeep
from aiocos.crypto.uploads import OpenUploads, PartPlaces
from aiocos.encoding.headers import number
from aiocos.errors import (
    ObjectChangedError,
    ParameterError,
    PreconditionError,
    ResponseParseError,
)
from aiocos.operations.checks import MAX_PUT_BYTES, upload_body
from aiocos.operations.multipart import MultipartUpload, parts_to_join
from aiocos.operations.objects import HEAD_OBJECT
from aiocos.operations.options import (
    AppendObjectOptions,
    CompleteMultipartUploadOptions,
    Conditions,
    CopyObjectOptions,
    CreateMultipartUploadOptions,
    GetObjectOptions,
    PutObjectOptions,
    RequestHeaders,
    UploadPartCopyOptions,
    UploadPartOptions,
)
from aiocos.operations.results import (
    AppendObjectResult,
    CompleteMultipartUploadResult,
    CopyObjectResult,
    CopySource,
    CreateMultipartUploadResult,
    GetObjectResult,
    PutObjectResult,
)
from aiocos.retry import RetryPolicy
from aiocos.stream import StreamBody
from aiocos.transfer.coding import Codec
from aiocos.transfer.copy import look_at_source, resealed
from aiocos.transfer.manager import TransferConfig, TransferManager
from aiocos.watching import Observer

_log: Final = logging.getLogger("aiocos")


class CreateEncryptedUploadOptions(CreateMultipartUploadOptions, total=False):
    """Optional keywords of ``CosEncryptionClient.create_multipart_upload``."""

    PartSize: int
    """In MiB, of every part but the last."""
    ContentLength: int
    """In bytes, of the whole, where it is known."""


class CosEncryptionClient(KeylessOperations, KeyUpkeep):
    """A client whose objects are encrypted on this side, each with a key of its own.

    ``provider`` wraps those keys: an ``AESProvider``, an ``RSAProvider``, or a key service.
    Uploads, downloads, streams and directories are as fast and as resumable as without. Sizes
    that COS tells, in listings and of ``head_object``, are those of the encrypted object, 16
    bytes more for each 64 KiB.

    ``Legacy="read"`` also reads what the sync SDK has encrypted, of which nothing can prove
    that it was not changed; ``"write"`` writes that as well, for readers that know nothing else.
    ``Renamed="read"`` reads objects that were moved or copied by a client without the key.

    Raises, from every method that reads:
        NotEncryptedError: the object is not encrypted, or in a format that is not read.
        DecryptionError: the key is another one, or the object or its metadata was changed; no
            byte that was not proven is given out.

    Source: COS SDK document, "Client-side encryption"; the format is in ``crypto/format.md``.
    """

    def __init__(
        self,
        config: CosConfig,
        provider: KeyProvider,
        retry: int | RetryPolicy | None = None,
        *,
        Legacy: Legacy = "refuse",
        Renamed: Renamed = "refuse",
        transfers: TransferConfig | TransferManager | None = None,
        telemetry: Observer | None = None,
    ) -> None:
        super().__init__(config, retry, transfers=transfers, telemetry=telemetry)
        self.coding = self._coding = EnvelopeCoding(provider, Legacy, Renamed)
        self._uploads = OpenUploads(self._coding)
        if Legacy == "write":
            _log.warning(
                "Legacy='write' encrypts as the sync SDK does: nothing will tell whether an "
                "object was changed, and an AES master key gives every object the same key stream"
            )

    # -- one object ----------------------------------------------------------

    async def put_object(
        self,
        Bucket: str,
        Body: BodyLike,
        Key: str,
        *,
        EnableMD5: bool = False,
        ContentLength: int | str | None = None,
        **options: Unpack[PutObjectOptions],
    ) -> PutObjectResult:
        """Encrypt and store an object; otherwise as ``CosS3Client.put_object``."""
        content = upload_body(Body, ContentLength)
        _refuse_md5(options)
        codec, metadata = await self._coding.begin(Key, options.get("Metadata") or {}, content.size)
        sealed = SealedBody(content, codec)
        if sealed.size is not None and sealed.size > MAX_PUT_BYTES:
            raise ParameterError(
                f"Body has {content.size} bytes, which are more than one request takes when they "
                "are encrypted: upload it in parts"
            )
        given: Any = {**options, "Metadata": metadata}
        return await self._put(Bucket, sealed, Key, given, EnableMD5)

    async def get_object(
        self,
        Bucket: str,
        Key: str,
        *,
        KeySimplifyCheck: bool = True,
        **options: Unpack[GetObjectOptions],
    ) -> GetObjectResult:
        """Return an object's headers, and its content, decrypted while it is read.

        As ``CosS3Client.get_object``; ``Content-Length`` and ``Content-Range`` are those of the
        content. A ``Range`` takes a HEAD first, and reads whole segments of 64 KiB.
        """
        wanted = options.pop("Range", None)
        if wanted is not None:
            try:
                return await self._get_range(Bucket, Key, wanted, KeySimplifyCheck, options)
            except ObjectChangedError:  # replaced behind the HEAD
                return await self._get_range(Bucket, Key, wanted, KeySimplifyCheck, options)
        result = await super().get_object(Bucket, Key, KeySimplifyCheck=KeySimplifyCheck, **options)
        try:
            codec = await self._coding.open(Key, _texts(result))
            window = Window(0, 0, None, is_end=True)
            told = number(result.get("Content-Length", ""))
            if told is not None:
                window = window._replace(size=codec.size(told))
        except BaseException:
            result["Body"].close()
            raise
        pinned: Any = _pinned(options, result)
        return await self._opened(result, codec, window, (Bucket, Key, KeySimplifyCheck, pinned))

    async def _get_range(
        self, bucket: str, key: str, wanted: str, checks_key: bool, options: GetObjectOptions
    ) -> GetObjectResult:
        """Read the segments around a range, of the object that a HEAD saw."""
        asked: Any = {**options, "Range": wanted}
        self._get_request(await self._ready(), bucket, key, checks_key, asked)
        given: Any = {k: v for k, v in options.items() if k in HEAD_OBJECT.accepts}
        head = await self.head_object(bucket, key, **given)
        codec = await self._coding.open(key, _texts(head))
        wire_size = number(head["Content-Length"])
        if wire_size is None:
            raise ResponseParseError("the answer to a HEAD has no Content-Length")
        size = codec.size(wire_size)
        first, last = range_of(wanted, size)
        pinned: Any = _pinned(options, head)
        if first > last:
            await self._prove_end(bucket, key, codec, wire_size, pinned)
            # COS is to say so itself: no byte of the object is behind its end.
            pinned["Range"] = f"bytes={wire_size + first - size}-"
            await self._get_seen(bucket, key, checks_key, pinned)
            raise ResponseParseError(f"asked for {wanted} of {size} bytes, and got an answer")
        wire_first, wire_last, offset = codec.wire_range(first, last, wire_size)
        pinned["Range"] = f"bytes={wire_first}-{wire_last}"
        result = await self._get_seen(bucket, key, checks_key, pinned)
        result["Content-Range"] = f"bytes {first}-{last}/{size}"
        window = Window(offset, first - offset, last - first + 1, is_end=wire_last == wire_size - 1)
        return await self._opened(result, codec, window, (bucket, key, checks_key, pinned))

    async def _get_seen(
        self, bucket: str, key: str, checks_key: bool, pinned: Any
    ) -> GetObjectResult:
        """Ask for the very object whose headers were seen."""
        try:
            return await super().get_object(bucket, key, KeySimplifyCheck=checks_key, **pinned)
        except PreconditionError as error:
            raise ObjectChangedError(
                f"{key!r} was replaced while it was being read: read it again"
            ) from error

    async def _prove_end(
        self, bucket: str, key: str, codec: Codec, wire_size: int, pinned: Mapping[str, Any]
    ) -> None:
        """Open the last step of an object: a cut one tells a size that it never had."""
        if not codec.proves:
            return
        steps = (wire_size - 1) // codec.wire_step
        given: Any = {**pinned, "Range": f"bytes={steps * codec.wire_step}-{wire_size - 1}"}
        result = await self._get_seen(bucket, key, False, given)
        async with result["Body"] as body:
            codec.decode(await body.read(), steps * codec.step, is_last=True)

    async def _opened(
        self,
        result: GetObjectResult,
        codec: Codec,
        window: Window,
        request: tuple[str, str, bool, Any],
    ) -> GetObjectResult:
        """Return an answer as if COS had the content."""
        bucket, key, checks_key, options = request

        async def again() -> StreamBody:
            return (await self._get_seen(bucket, key, checks_key, options))["Body"]

        session = await self._ready()
        result["Body"] = OpenedBody(session, result["Body"], codec, window, again)
        if window.size is not None:
            result["Content-Length"] = str(window.size)
        return result

    # -- single steps of an upload in parts ----------------------------------

    # It takes two keywords more, which pyright holds against it.
    async def create_multipart_upload(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        Bucket: str,
        Key: str,
        **options: Unpack[CreateEncryptedUploadOptions],
    ) -> CreateMultipartUploadResult:
        """Begin an upload in parts, whose data key this client keeps until it is completed.

        With ``PartSize``, in MiB, every part but the last has that size, and parts may be sent
        in any order and at once. Without it they are sent in order, each of 1 MiB or more and a
        multiple of 64 KiB but for the last. ``ContentLength`` promises the bytes of the whole,
        which is then checked and written down with the object.

        A cut object is always found out: with ``ContentLength`` before its first byte is read,
        without by whoever reads to its end, where the last segment is marked. The mark goes with
        the last part where that can be told from its length or ``ContentLength``, and otherwise in
        a part of its own that ``complete_multipart_upload`` adds.
        """
        sent: Any = {**options}
        place = PartPlaces.of(sent.pop("PartSize", None), sent.pop("ContentLength", None))
        given = options.get("Metadata") or {}
        codec, sent["Metadata"] = await self._coding.begin(Key, given, place.size)
        result = await super().create_multipart_upload(Bucket, Key, **sent)
        self._uploads.add(result["UploadId"], codec, place)
        return result

    async def upload_part(
        self,
        Bucket: str,
        Key: str,
        Body: BodyLike,
        PartNumber: int,
        UploadId: str,
        *,
        EnableMD5: bool = False,
        ContentLength: int | str | None = None,
        **options: Unpack[UploadPartOptions],
    ) -> PutObjectResult:
        """Encrypt and upload one part of an upload that this client has begun.

        Raises:
            ParameterError: where the part belongs cannot be told, or its length is not right.
            SourceChangedError: the part was sent before, with other bytes.
        """
        content = upload_body(Body, ContentLength)
        _refuse_md5(options)
        sealed = self._uploads.sealed(UploadId, PartNumber, content)
        return await self._upload_part(
            Bucket, Key, sealed, PartNumber, UploadId, EnableMD5, options
        )

    async def upload_part_copy(
        self,
        Bucket: str,
        Key: str,
        PartNumber: int,
        UploadId: str,
        CopySource: CopySource,
        CopySourceRange: str = "",
        **options: Unpack[UploadPartCopyOptions],
    ) -> CopyObjectResult:
        """Refuse: what another key has encrypted cannot be a part of this object."""
        _refuse("upload_part_copy", "copy copies whole objects")

    async def complete_multipart_upload(
        self,
        Bucket: str,
        Key: str,
        UploadId: str,
        MultipartUpload: MultipartUpload | None = None,
        **options: Unpack[CompleteMultipartUploadOptions],
    ) -> CompleteMultipartUploadResult:
        """Join the parts, and mark the end of the object where no part has done so.

        Raises:
            ParameterError: a part is missing, or they do not make what was promised.
        """
        parts = self._uploads.of_content(UploadId, parts_to_join(MultipartUpload))
        end = self._uploads.end(UploadId, [part["PartNumber"] for part in parts])
        if end is not None:
            number = len(parts) + 1
            stored = await self._upload_part(Bucket, Key, end, number, UploadId, False, {})
            parts.append({"PartNumber": number, "ETag": stored["ETag"]})
        result = await self._complete(Bucket, Key, UploadId, parts, options)
        self._uploads.forget(UploadId)
        return result

    async def abort_multipart_upload(
        self, Bucket: str, Key: str, UploadId: str, **options: Unpack[RequestHeaders]
    ) -> None:
        """Give up an upload, delete its parts and forget its key."""
        await super().abort_multipart_upload(Bucket, Key, UploadId, **options)
        self._uploads.forget(UploadId)

    async def append_object(
        self,
        Bucket: str,
        Key: str,
        Position: int,
        Data: BodyLike,
        *,
        ContentLength: int | str | None = None,
        **options: Unpack[AppendObjectOptions],
    ) -> AppendObjectResult:
        """Refuse: an encrypted object has a marked end."""
        _refuse("append_object", "put_object writes the whole again")

    # -- copies --------------------------------------------------------------

    async def copy_object(
        self,
        Bucket: str,
        Key: str,
        CopySource: CopySource,
        CopyStatus: Literal["Copy", "Replaced"] = "Copy",
        **options: Unpack[CopyObjectOptions],
    ) -> CopyObjectResult:
        """Copy an object inside COS, with an envelope for its new name.

        As ``CosS3Client.copy_object``; the content is neither read nor encrypted again. The copy
        of an object that is not encrypted is not either.
        """
        if CopyStatus not in {"Copy", "Replaced"}:
            raise ParameterError(f"CopyStatus is {CopyStatus!r}, and must be Copy or Replaced")
        head = await look_at_source(self, Bucket, CopySource, options)
        given: Any = await resealed(self._coding, Key, CopySource, CopyStatus, head, options)
        return await super().copy_object(Bucket, Key, CopySource, "Replaced", **given)

    async def _metadata_to_store(
        self, Key: str, head: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Return other metadata, proven with the object."""
        return await self._coding.renamed(Key, _texts(head), Key, metadata)


def _refuse(method: str, instead: str) -> NoReturn:
    raise ParameterError(f"CosEncryptionClient has no {method}: {instead}")


def _refuse_md5(options: Mapping[str, Any]) -> None:
    if "ContentMD5" in options:
        raise ParameterError("ContentMD5 would be of what is sent: give EnableMD5 instead")


def _texts(result: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in result.items() if isinstance(value, str)}


def _pinned(options: Mapping[str, Any], headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that ask for the very object that these headers are of."""
    kept = {
        name: value for name, value in options.items() if name not in Conditions.__annotations__
    }
    pin = {"IfMatch": headers["ETag"]} if "ETag" in headers else {}
    version = headers.get("x-cos-version-id")
    return {**kept, **pin, **({"VersionId": version} if version not in {None, "null"} else {})}

"""The transfers of a client: upload, download, copy; awaited, or started and watched."""

from __future__ import annotations

import os
from typing import Any, Literal, Unpack

from aiocos.body import BodyLike
from aiocos.errors import ParameterError
from aiocos.operations.checks import whole_number
from aiocos.operations.results import (
    CopyFileResult,
    CopySource,
    DownloadFileResult,
    UploadFileResult,
)
from aiocos.transfer.copy import ObjectCopy
from aiocos.transfer.download import FileDownload
from aiocos.transfer.handle import Transfer
from aiocos.transfer.job import Operator, Terms
from aiocos.transfer.options import (
    CopyOptions,
    DownloadFileOptions,
    UploadFileOptions,
    UploadStreamOptions,
)
from aiocos.transfer.progress import ProgressCallback
from aiocos.transfer.streaming import StreamUpload
from aiocos.transfer.upload import FileUpload

_MOST_AT_ONCE = 1000


class TransferOperations(Operator):
    """Whole files and objects, of any size."""

    _running: set[Transfer[Any]]
    """Transfers that were started and have not ended."""

    # -- upload --------------------------------------------------------------

    async def upload_file(
        self,
        Bucket: str,
        Key: str,
        LocalFilePath: str | os.PathLike[str],
        PartSize: int | None = None,
        MAXThread: int | None = None,
        EnableMD5: bool = False,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[UploadFileOptions],
    ) -> UploadFileResult:
        """Upload a file of any size; a call that ended early goes on where it was.

        Up to 20 MiB go in one request, more in parts of ``PartSize`` MiB (1 unless given;
        more where 10,000 parts would not do), ``MAXThread`` at a time: not given, 5 and up
        to 32 while that moves more bytes. CRC-64 of every part and of the whole is compared
        with what COS has; ``verified`` in the result says how. ``EnableMD5`` reads each part
        once more, for COS to compare. ``progress_callback(consumed_bytes, total_bytes)`` is
        called from 0 to the total; a plain function runs in a thread. ``ContentType`` is
        guessed from the file's name where it is not given.

        Raises:
            ParameterError: an argument cannot be right, or the file cannot be read.
            TransferError: parts failed: ``failures`` says why, the same call goes on.
            SourceChangedError: the file was written to meanwhile; nothing was completed.
            IntegrityError: COS stored something else, also when it was sent again.
            JournalLockedError: the same upload is under way, and ``WhenLocked`` is ``fail``.

        Options: ``aiocos.types.UploadFileOptions``.

        Source: COS SDK document, "Uploading an object (checkpoint restart)".
        """
        job = self._upload(
            Bucket, Key, LocalFilePath, PartSize, MAXThread, EnableMD5, progress_callback, options
        )
        result: Any = await job.run()
        return result  # type: ignore[no-any-return]

    def start_upload(
        self,
        Bucket: str,
        Key: str,
        LocalFilePath: str | os.PathLike[str],
        PartSize: int | None = None,
        MAXThread: int | None = None,
        EnableMD5: bool = False,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[UploadFileOptions],
    ) -> Transfer[UploadFileResult]:
        """Start what ``upload_file`` does, and return a handle to watch, pause and await it."""
        job: Any = self._upload(
            Bucket, Key, LocalFilePath, PartSize, MAXThread, EnableMD5, progress_callback, options
        )
        return Transfer(job, self._running)

    def _upload(
        self,
        bucket: str,
        key: str,
        path: str | os.PathLike[str],
        part_size: int | None,
        threads: int | None,
        enable_md5: bool,
        callback: ProgressCallback | None,
        options: UploadFileOptions,
    ) -> FileUpload:
        terms, headers = Terms.split(options, UploadFileOptions.__annotations__, "upload_file")
        return FileUpload(
            self,
            bucket,
            key,
            path,
            PartSize=part_size,
            MAXThread=_threads(threads),
            EnableMD5=enable_md5,
            progress_callback=callback,
            terms=terms,
            options=headers,
        )

    async def upload_stream(
        self,
        Bucket: str,
        Key: str,
        Body: BodyLike,
        PartSize: int | None = None,
        MAXThread: int | None = None,
        EnableMD5: bool = False,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[UploadStreamOptions],
    ) -> UploadFileResult:
        """Upload whatever ``put_object`` takes as a body, of any length, known or not.

        Parts of ``PartSize`` MiB (10 unless given) are filled up however little the stream
        gives at a time, ``MAXThread`` of them are under way at once (5 unless given), and no
        more are held in memory. From the 5,001st part on their size doubles every thousand.
        What is shorter than one part goes in one request. A stream cannot be read twice: nothing
        is resumed, and on failure the upload is aborted.

        Raises:
            ParameterError: an argument cannot be right.
            TransferError: parts failed: ``failures`` says why.
            IntegrityError: COS stored something else, or the stream broke its promise.

        Options: ``aiocos.types.UploadStreamOptions``.
        """
        terms, headers = Terms.split(options, UploadStreamOptions.__annotations__, "upload_stream")
        job = StreamUpload(
            self,
            Bucket,
            Key,
            Body,
            PartSize=PartSize,
            MAXThread=_threads(MAXThread) or 5,
            EnableMD5=EnableMD5,
            progress_callback=progress_callback,
            terms=terms,
            options=headers,
        )
        result: Any = await job.run()
        return result  # type: ignore[no-any-return]

    async def upload_file_from_buffer(
        self,
        Bucket: str,
        Key: str,
        Body: BodyLike,
        MaxBufferSize: int = 100,
        PartSize: int = 10,
        MAXThread: int = 5,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[UploadStreamOptions],
    ) -> UploadFileResult:
        """Do what ``upload_stream`` does, under the sync SDK's name.

        At most ``MaxBufferSize`` MiB are held in memory, or one part where that is more.

        Source: COS SDK for Python, ``upload_file_from_buffer``.
        """
        held = whole_number(MaxBufferSize, "MaxBufferSize", 1)
        size = whole_number(PartSize, "PartSize", 1)
        threads = min(whole_number(MAXThread, "MAXThread", 1, _MOST_AT_ONCE), max(1, held // size))
        return await self.upload_stream(
            Bucket, Key, Body, size, threads, progress_callback=progress_callback, **options
        )

    # -- download ------------------------------------------------------------

    async def download_file(
        self,
        Bucket: str,
        Key: str,
        DestFilePath: str | os.PathLike[str],
        PartSize: int | None = None,
        MAXThread: int | None = None,
        EnableCRC: bool = False,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[DownloadFileOptions],
    ) -> DownloadFileResult:
        """Download an object of any size; a call that ended early goes on where it was.

        Up to 20 MiB come in one request, more in parts of ``PartSize`` MiB (20 unless
        given), ``MAXThread`` at a time: not given, 5 and up to 32 while that moves more
        bytes. The file is there complete or not at all: bytes go to a temporary file beside
        it, CRC-64 of the whole is compared with COS's, the file is forced to disk and
        renamed. All bytes are of one version of the object. ``EnableCRC`` reads the file back
        from disk once more before that. ``progress_callback`` is as in ``upload_file``.

        Returns the object's headers, and under ``verified`` how the bytes were proven.

        Raises:
            NotFoundError: there is no such object or version.
            NotModifiedError, PreconditionError: a condition is not met.
            TransferError: parts failed: ``failures`` says why, the same call goes on.
            ObjectChangedError: the object was replaced meanwhile, twice.
            IntegrityError: bytes were lost or changed on the way, twice.
            JournalLockedError: a download to the same file is under way, and ``WhenLocked``
                is ``fail``.
            CosClientError: the file cannot be written.

        Options: ``aiocos.types.DownloadFileOptions``.

        Source: COS SDK document, "Downloading an object (checkpoint restart)".
        """
        job = self._download(
            Bucket, Key, DestFilePath, PartSize, MAXThread, EnableCRC, progress_callback, options
        )
        result: Any = await job.run()
        return result  # type: ignore[no-any-return]

    def start_download(
        self,
        Bucket: str,
        Key: str,
        DestFilePath: str | os.PathLike[str],
        PartSize: int | None = None,
        MAXThread: int | None = None,
        EnableCRC: bool = False,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[DownloadFileOptions],
    ) -> Transfer[DownloadFileResult]:
        """Start what ``download_file`` does, and return a handle to watch, pause and await it."""
        job: Any = self._download(
            Bucket, Key, DestFilePath, PartSize, MAXThread, EnableCRC, progress_callback, options
        )
        return Transfer(job, self._running)

    def _download(
        self,
        bucket: str,
        key: str,
        path: str | os.PathLike[str],
        part_size: int | None,
        threads: int | None,
        enable_crc: bool,
        callback: ProgressCallback | None,
        options: DownloadFileOptions,
    ) -> FileDownload:
        given: dict[str, Any] = {**options}
        if "Range" in given:
            raise ParameterError("download_file takes no Range: get_object does")
        record_dir = given.pop("DumpRecordDir", None)
        given["JournalDir"] = given.get("JournalDir") or record_dir
        terms, headers = Terms.split(given, DownloadFileOptions.__annotations__, "download_file")
        return FileDownload(
            self,
            bucket,
            key,
            path,
            PartSize=part_size,
            MAXThread=_threads(threads),
            EnableCRC=enable_crc,
            progress_callback=callback,
            terms=terms,
            options=headers,
        )

    # -- copy ----------------------------------------------------------------

    async def copy(
        self,
        Bucket: str,
        Key: str,
        CopySource: CopySource,
        CopyStatus: Literal["Copy", "Replaced"] = "Copy",
        PartSize: int | None = None,
        MAXThread: int | None = None,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[CopyOptions],
    ) -> CopyFileResult:
        """Copy an object of any size inside COS; a call that ended early goes on.

        Below 5 GiB in one request, otherwise in parts of ``PartSize`` MiB (10 unless given),
        ``MAXThread`` at a time, as in ``upload_file``. ``CopyStatus='Copy'`` takes the
        source's metadata along, also in parts; keywords that are given win there.
        ``'Replaced'`` sets what the keywords say. All parts are of one version of the source,
        and COS's checksum of the copy is compared with the source's.

        Raises:
            NotFoundError: there is no such source.
            PreconditionError: a ``CopySourceIf...`` condition is not met.
            TransferError: parts failed: ``failures`` says why, the same call goes on.
            ObjectChangedError: the source was replaced meanwhile, twice.
            IntegrityError: the copy is not what the source is; it was deleted again.

        Options: ``aiocos.types.CopyOptions``.

        Source: COS SDK document, "Copying an object" (advanced).
        """
        job = self._copy(
            Bucket, Key, CopySource, CopyStatus, PartSize, MAXThread, progress_callback, options
        )
        result: Any = await job.run()
        return result  # type: ignore[no-any-return]

    def start_copy(
        self,
        Bucket: str,
        Key: str,
        CopySource: CopySource,
        CopyStatus: Literal["Copy", "Replaced"] = "Copy",
        PartSize: int | None = None,
        MAXThread: int | None = None,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[CopyOptions],
    ) -> Transfer[CopyFileResult]:
        """Start what ``copy`` does, and return a handle to watch, pause and await it."""
        job: Any = self._copy(
            Bucket, Key, CopySource, CopyStatus, PartSize, MAXThread, progress_callback, options
        )
        return Transfer(job, self._running)

    def _copy(
        self,
        bucket: str,
        key: str,
        source: CopySource,
        status: Literal["Copy", "Replaced"],
        part_size: int | None,
        threads: int | None,
        callback: ProgressCallback | None,
        options: CopyOptions,
    ) -> ObjectCopy:
        terms, headers = Terms.split(options, CopyOptions.__annotations__, "copy")
        return ObjectCopy(
            self,
            bucket,
            key,
            source,
            CopyStatus=status,
            PartSize=part_size,
            MAXThread=_threads(threads),
            progress_callback=callback,
            terms=terms,
            options=headers,
        )


def _threads(MAXThread: int | None) -> int | None:
    """Return how many parts are to travel at once; None lets the transfer find out."""
    if MAXThread is None:
        return None
    return whole_number(MAXThread, "MAXThread", 1, _MOST_AT_ONCE)

"""The keywords of transfers: what the requests of each may carry, and what we consume."""

# Annotations stay values here, as in ``operations.options``.
import os
from typing import Literal, TypedDict

from aiocos.operations.options import (
    AccessOptions,
    BodyChecks,
    CallbackOptions,
    Conditions,
    CopyObjectOptions,
    CustomerKey,
    ObjectHeaders,
    OverwriteOption,
    RequestHeaders,
    RequestLimits,
    ResponseHeaders,
    ServerEncryption,
    VersionOption,
)
from aiocos.transfer.journal import WhenLocked
from aiocos.transfer.limits import Priority


class PriorityOption(TypedDict, total=False):
    """Who goes first."""

    Priority: Priority
    """``high``, ``normal`` (default) or ``low``, among the transfers of one manager."""


class ResumeOptions(PriorityOption, total=False):
    """How a transfer that ended early goes on."""

    JournalDir: str | os.PathLike[str]
    """Where its journal is kept; the user's state directory by default."""
    Resume: bool
    """False keeps no journal and goes on with none: what is unfinished is removed."""
    WhenLocked: WhenLocked
    """``wait`` (default) for a transfer of the same that is under way, here or in another
    process, or ``fail`` with JournalLockedError."""


class AbortOption(TypedDict, total=False):
    """What becomes of the parts that COS has."""

    abort_on_error: bool
    """True gives the upload up when it fails; otherwise the next call goes on with it."""


class UploadHeaders(
    RequestHeaders,
    RequestLimits,
    ObjectHeaders,
    AccessOptions,
    ServerEncryption,
    CustomerKey,
    BodyChecks,
    CallbackOptions,
    OverwriteOption,
    total=False,
):
    """What the requests of an upload carry.

    No ``IfMatch`` and its kin: an upload in parts cannot keep them. ``ForbidOverwrite`` it can.
    """

    ContentLength: int | str
    """Refused where it is not the length of the file."""


class UploadFileOptions(UploadHeaders, ResumeOptions, AbortOption, total=False):
    """Optional keywords of ``upload_file``."""


class UploadStreamOptions(UploadHeaders, PriorityOption, total=False):
    """Optional keywords of ``upload_stream``."""


class DownloadFileOptions(
    RequestHeaders,
    RequestLimits,
    VersionOption,
    Conditions,
    CustomerKey,
    ResponseHeaders,
    ResumeOptions,
    total=False,
):
    """Optional keywords of ``download_file``."""

    DumpRecordDir: str | os.PathLike[str]
    """The sync SDK's name of ``JournalDir``."""
    DisableTempDestFilePath: Literal[False]
    """True is refused: the file would have its name before it is whole."""
    hedge: bool
    """Whether to ask a second time where an answer is late; ``TransferConfig.hedge`` unless
    given."""
    KeySimplifyCheck: bool
    """False permits keys such as ``a/..``."""
    MaxPartCount: int
    """Parts are doubled in size until so many of them do; 10000 by default."""


class CopyOptions(CopyObjectOptions, ResumeOptions, AbortOption, total=False):
    """Optional keywords of ``copy``."""

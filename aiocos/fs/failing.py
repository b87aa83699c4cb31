"""Errors as code that knows files expects them.

In: what COS or the client said. Out: the OSError of the nearest kind, FileNotFoundError or
PermissionError among them, with the error it stands for as its cause and the request's id in its
text. A wrong argument stays the ValueError it is.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiocos.errors import (
    AccessDeniedError,
    ClientStateError,
    CosException,
    CosServiceError,
    CredentialsError,
    NotFoundError,
    ObjectChangedError,
    ParameterError,
    PreconditionError,
    ThrottledError,
    TransferError,
    TransportError,
)

_KINDS: Final[tuple[tuple[type[CosException], int], ...]] = (
    (NotFoundError, errno.ENOENT),
    (AccessDeniedError, errno.EACCES),
    (CredentialsError, errno.EACCES),
    (ThrottledError, errno.EBUSY),
    (ObjectChangedError, errno.ESTALE),
)
_CODES: Final = {
    "BucketAlreadyExists": errno.EEXIST,
    "BucketAlreadyOwnedByYou": errno.EEXIST,
    "BucketNotEmpty": errno.ENOTEMPTY,
}


@contextmanager
def as_os_errors(path: str, *, precondition: int = errno.EBUSY) -> Iterator[None]:
    """Raise what fails inside the block as an OSError about ``path``.

    ``precondition`` is the errno that an unmet condition stands for.
    """
    try:
        yield
    except (ParameterError, ClientStateError):
        raise
    except CosException as error:
        raise _os_error(error, path, precondition) from error


def _os_error(error: CosException, path: str, precondition: int) -> OSError:
    """Make the OSError; the number chooses its class."""
    message = str(error)
    if isinstance(error, CosServiceError) and error.request_id not in message:
        message += f" [request {error.request_id}]"
    return OSError(_number(error, precondition), message, path)


def _number(error: BaseException | None, precondition: int) -> int:
    if isinstance(error, TransferError) and error.failures:
        return _number(error.failures[0].error, precondition)
    if isinstance(error, CosServiceError) and error.code in _CODES:
        return _CODES[error.code]
    if isinstance(error, PreconditionError):
        return precondition
    if isinstance(error, TransportError):
        return errno.ETIMEDOUT if error.timed_out else errno.ECONNABORTED
    for kind, number in _KINDS:
        if isinstance(error, kind):
            return number
    cause = error if isinstance(error, OSError) else getattr(error, "__cause__", None)
    return (cause.errno if isinstance(cause, OSError) else None) or errno.EIO


def not_found(path: str) -> FileNotFoundError:
    """Return the error of a path with nothing at it."""
    return FileNotFoundError(errno.ENOENT, "no object, and no keys that begin with it", path)


def is_directory(path: str) -> IsADirectoryError:
    """Return the error of a path that names no object."""
    return IsADirectoryError(errno.EISDIR, "a bucket or a prefix, where an object is needed", path)


def exists(path: str) -> FileExistsError:
    """Return the error of what is there already."""
    return FileExistsError(errno.EEXIST, "it is there already, and was not to be replaced", path)


def changed(path: str) -> OSError:
    """Return the error of an object that was replaced while it was being read."""
    told = "the object was replaced while it was being read: open it again"
    return OSError(errno.ESTALE, told, path)

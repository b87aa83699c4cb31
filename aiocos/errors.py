"""Every error aiocos raises.

CosException
  CosClientError            no usable answer
    ParameterError          a bad argument, nothing sent (also a ValueError)
    ClientStateError        the client is closed, or used in another event loop or process
    CredentialsError        there are no credentials, or their source does not work
    TransportError          connect, timeout, reset; .sent: had the request left us?
    ResponseParseError      the answer is not what COS sends
    IntegrityError          length or checksum disagrees
      DamagedUploadError    COS stored other bytes than were sent
      ObjectChangedError    the object was replaced while it was being read
      SourceChangedError    the file was written to while it was being uploaded
      DecryptionError       another key, or what was encrypted is not what is there
    NotEncryptedError       the object is not encrypted in a format that is read here
    AmbiguousResultError    the request may or may not have been carried out
    TransferError           parts or files failed: .failures says why, .journal resumes
    PlanError               the file is no plan of a sync, or not as it was written
    JournalLockedError      another transfer is at work on the same journal or file
  CosServiceError           COS refused: .status .code .message .request_id .trace_id .resource
    NotFoundError           404
    AccessDeniedError       403; SignatureError and ExpiredTokenError say more
    PreconditionError       409 and 412: the state is not the one the request asked for
    NotModifiedError        304
    RedirectError           another 3xx, never followed: .location
    ThrottledError          429, 503: .retry_after_s

A class means what the caller does next; one table maps codes to classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

UNKNOWN = "Unknown"


class CosException(Exception):  # noqa: N818 - the document's name
    """Root of everything aiocos raises on purpose. No getter ever raises."""

    def get_origin_msg(self) -> str:
        """Return the answer's body as text, or the message when there was no answer."""
        return str(self)

    def get_digest_msg(self) -> dict[str, str]:
        """Return what is known of the failure as code, message, resource and ids."""
        return {
            "code": self.get_error_code(),
            "message": self.get_error_msg(),
            "resource": self.get_resource_location(),
            "requestid": self.get_request_id(),
            "traceid": self.get_trace_id(),
        }

    def get_status_code(self) -> int | str:
        """Return the HTTP status, or ``"Unknown"`` when there was no answer."""
        return UNKNOWN

    def get_error_code(self) -> str:
        """Return the code COS gave, such as ``NoSuchKey``."""
        return UNKNOWN

    def get_error_msg(self) -> str:
        """Return the message COS gave, or the error's own text."""
        return str(self)

    def get_resource_location(self) -> str:
        """Return the address of the bucket or object concerned."""
        return UNKNOWN

    def get_trace_id(self) -> str:
        """Return ``x-cos-trace-id``, which Tencent's support asks for."""
        return UNKNOWN

    def get_request_id(self) -> str:
        """Return ``x-cos-request-id``, which Tencent's support asks for."""
        return UNKNOWN


class CosClientError(CosException):
    """No usable answer: a bad argument, a broken connection, a wrong byte."""


class ParameterError(CosClientError, ValueError):
    """An argument cannot be right. Nothing was sent."""


class ClientStateError(CosClientError, RuntimeError):
    """The client is closed, or belongs to another event loop or process."""


class CredentialsError(CosClientError):
    """There are no usable credentials: none, half a pair, expired, or a source that fails.

    ``is_missing`` where something is to be set, rather than to be put right elsewhere.
    ``sent`` is always False: nothing went to COS.
    """

    sent = False

    def __init__(self, message: str, *, is_missing: bool = False) -> None:
        super().__init__(message)
        self.is_missing = is_missing


class TransportError(CosClientError):
    """The connection could not be made, or broke, or was too slow.

    ``sent`` is False when it is certain that no byte of the request had left; ``is_stale``
    when the server hung up on a connection that had been used before.
    """

    def __init__(
        self,
        message: str,
        *,
        sent: bool = True,
        retryable: bool = True,
        timed_out: bool = False,
        is_stale: bool = False,
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.retryable = retryable
        self.timed_out = timed_out
        self.is_stale = is_stale


class ResponseParseError(CosClientError):
    """An answer with a success status that is not what COS sends.

    A captive portal's page, a cut document, a document that is too large or too deep.
    """

    def __init__(
        self, message: str, *, status: int = 0, request_id: str = UNKNOWN, head: bytes = b""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.head = head

    def get_status_code(self) -> int | str:
        """Return the HTTP status of the answer."""
        return self.status or UNKNOWN

    def get_request_id(self) -> str:
        """Return the answer's ``x-cos-request-id``, if it had one."""
        return self.request_id


class IntegrityError(CosClientError):
    """Bytes were lost or changed on the way: length or checksum disagrees."""


class DamagedUploadError(IntegrityError):
    """COS stored other bytes than were sent; ``headers`` are those of its answer."""

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})


class ObjectChangedError(IntegrityError):
    """The object was replaced while it was being read: its bytes would have been mixed."""


class SourceChangedError(IntegrityError):
    """The file was written to while it was being uploaded: the object would be a mixture."""


class DecryptionError(IntegrityError):
    """The key is another one, or the object or its metadata was changed; nothing was released."""


class NotEncryptedError(CosClientError):
    """The object is not encrypted in a format that this client reads: use a plain client."""


class AmbiguousResultError(CosClientError):
    """The answer was lost and it cannot be told whether the request was carried out.

    ``next_position`` is the object's present length, where an append was ambiguous.
    """

    def __init__(self, message: str, *, next_position: int | None = None) -> None:
        super().__init__(message)
        self.next_position = next_position


class Failure(NamedTuple):
    """One part, file or object that failed, and why."""

    name: str
    error: Exception

    def __str__(self) -> str:
        return f"{self.name}: {str(self.error) or type(self.error).__name__}"


_TOLD_FAILURES = 5


class TransferError(CosClientError):
    """Parts or files failed; what succeeded is kept.

    ``failures`` has all of them with their causes and request ids. Where ``journal`` is not
    None, the same call goes on from there. The getters answer for the first failure.
    """

    def __init__(
        self, message: str, *, failures: Sequence[Failure] = (), journal: Path | None = None
    ) -> None:
        told = "; ".join(str(failure) for failure in failures[:_TOLD_FAILURES])
        more = len(failures) - _TOLD_FAILURES
        told += f"; and {more} more" if more > 0 else ""
        super().__init__(f"{message}: {told}" if told else message)
        self.failures = tuple(failures)
        self.journal = journal

    def __reduce__(self) -> tuple[object, ...]:
        return _remade, (type(self), self.args, self.__dict__)

    @property
    def _first(self) -> CosException | None:
        errors = (failure.error for failure in self.failures)
        return next((error for error in errors if isinstance(error, CosException)), None)

    def get_status_code(self) -> int | str:
        """Return the HTTP status of the first failure."""
        return self._first.get_status_code() if self._first else UNKNOWN

    def get_error_code(self) -> str:
        """Return the code COS gave for the first failure."""
        return self._first.get_error_code() if self._first else UNKNOWN

    def get_resource_location(self) -> str:
        """Return the address that the first failure is about."""
        return self._first.get_resource_location() if self._first else UNKNOWN

    def get_trace_id(self) -> str:
        """Return the first failure's ``x-cos-trace-id``."""
        return self._first.get_trace_id() if self._first else UNKNOWN

    def get_request_id(self) -> str:
        """Return the first failure's ``x-cos-request-id``."""
        return self._first.get_request_id() if self._first else UNKNOWN


def _remade(
    kind: type[TransferError], args: tuple[object, ...], facts: dict[str, object]
) -> TransferError:
    """Make an error again from its pickle, with the message it had."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class JournalLockedError(CosClientError):
    """Another transfer, here or in another process, is at work on this journal or file."""


class PlanError(CosClientError):
    """The file is no plan of a sync, or not as it was written: make the plan again."""


@dataclass(frozen=True, slots=True)
class ServiceFailure:
    """What an answer said about the failure; unknown fields are ``"Unknown"``."""

    status: int
    code: str = UNKNOWN
    message: str = UNKNOWN
    resource: str = UNKNOWN
    request_id: str = UNKNOWN
    trace_id: str = UNKNOWN
    origin: str = ""
    method: str = ""
    location: str = ""
    retry_after_s: float | None = None
    date: str = ""
    hint: str = ""
    """What this client found out about the cause, in a sentence."""


class CosServiceError(CosException):
    """COS answered, and refused."""

    def __init__(self, failure: ServiceFailure) -> None:
        super().__init__(failure)
        self.failure = failure
        self.status = failure.status
        self.code = failure.code
        self.message = failure.message
        self.resource = failure.resource
        self.request_id = failure.request_id
        self.trace_id = failure.trace_id

    def __str__(self) -> str:
        told = f"{self.code} (HTTP {self.status}): {self.message}"
        if self.failure.hint:
            told += f"{'' if told.endswith(('.', '!', '?')) else '.'} {self.failure.hint}"
        return f"{told} [resource {self.resource}, request {self.request_id}]"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def get_origin_msg(self) -> str:
        """Return the answer's body as text; empty when it had none."""
        return self.failure.origin

    def get_status_code(self) -> int:
        """Return the HTTP status."""
        return self.status

    def get_error_code(self) -> str:
        """Return the code COS gave, such as ``NoSuchKey``."""
        return self.code

    def get_error_msg(self) -> str:
        """Return the message COS gave."""
        return self.message

    def get_resource_location(self) -> str:
        """Return the address of the bucket or object concerned."""
        return self.resource

    def get_trace_id(self) -> str:
        """Return ``x-cos-trace-id``, which Tencent's support asks for."""
        return self.trace_id

    def get_request_id(self) -> str:
        """Return ``x-cos-request-id``, which Tencent's support asks for."""
        return self.request_id


class NotFoundError(CosServiceError):
    """There is no such bucket, object, version or upload, or no such setting."""


class AccessDeniedError(CosServiceError):
    """These credentials may not do this."""


class SignatureError(AccessDeniedError):
    """COS computed another signature; the message says where the two part."""


class ExpiredTokenError(AccessDeniedError):
    """The temporary credentials have run out: get new ones."""


class PreconditionError(CosServiceError):
    """The bucket or object is not in the state that the request asked for."""


class NotModifiedError(CosServiceError):
    """The object has not changed (304): use the copy you have."""


class RedirectError(CosServiceError):
    """COS pointed elsewhere. Nothing was stored, deleted or read; never followed."""

    @property
    def location(self) -> str:
        """Where the answer pointed, without its query."""
        return self.failure.location


class ThrottledError(CosServiceError):
    """COS asked for fewer requests; ``retry_after_s`` when it said for how long."""

    @property
    def retry_after_s(self) -> float | None:
        """Seconds COS asked to wait, if it did."""
        return self.failure.retry_after_s


_NOTHING_SET = (
    "NoSuchBucketPolicy",
    "NoSuchCORSConfiguration",
    "NoSuchConfiguration",
    "NoSuchDomainCertificate",
    "NoSuchDomainConfiguration",
    "NoSuchEncryptionConfiguration",
    "NoSuchLifecycleConfiguration",
    "NoSuchOriginConfiguration",
    "NoSuchTagSet",
    "NoSuchWebsiteConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "ReplicationConfigurationNotFoundError",
)
"""Codes of a setting that is not set: not found, whatever the status."""
_BY_CODE: dict[str, type[CosServiceError]] = {
    **dict.fromkeys(_NOTHING_SET, NotFoundError),
    "SignatureDoesNotMatch": SignatureError,
    "ExpiredToken": ExpiredTokenError,
    "InvalidToken": ExpiredTokenError,
    "SlowDown": ThrottledError,
    "RequestLimitExceeded": ThrottledError,
}
_BY_STATUS: dict[int, type[CosServiceError]] = {
    304: NotModifiedError,
    403: AccessDeniedError,
    404: NotFoundError,
    409: PreconditionError,
    412: PreconditionError,
    429: ThrottledError,
    503: ThrottledError,
}


def service_error(failure: ServiceFailure) -> CosServiceError:
    """Make the error whose class says what to do next."""
    if 300 <= failure.status < 400:
        return _BY_STATUS.get(failure.status, RedirectError)(failure)
    kind = _BY_CODE.get(failure.code) or _BY_STATUS.get(failure.status, CosServiceError)
    return kind(failure)

"""Who looks on while a client works: what is told of calls, attempts and transfers.

In: what the session and the transfers do. Out: one DEBUG line for each attempt on the logger
``aiocos``, and calls of an Observer where the client has one. Nothing here changes what is
sent, and nothing that is told holds a secret: no header but ids, no query, no body.
"""

from __future__ import annotations

import logging
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from aiocos.call import Call
from aiocos.errors import UNKNOWN, CosException
from aiocos.request import Request

T = TypeVar("T")

log: Final = logging.getLogger("aiocos")
log.addHandler(logging.NullHandler())

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")

EventKind = Literal[
    "started", "waiting", "resumed", "part", "retried", "throttled", "hedged", "verified", "done"
]


@dataclass(frozen=True, slots=True)
class TransferEvent:
    """Something that a transfer did.

    ``started``; ``waiting`` for another transfer of the same; ``resumed`` with ``consumed``
    bytes done before; ``part`` done, with its ``size``; ``retried`` with the ``cause`` and
    ``delay_s`` until the next attempt; ``throttled``: COS asked for less; ``hedged``: a
    ``part`` was asked for a second time, its answer being late; ``verified`` by ``crc64``,
    ``md5`` or ``size``; ``done``.
    """

    kind: EventKind
    consumed: int
    total: int
    """In bytes, of the whole transfer; of a stream, what is known so far."""
    part: int | None = None
    size: int = 0
    cause: CosException | None = None
    delay_s: float = 0.0
    verified: str | None = None


class Observer(ABC):
    """Looks on at a client's work; ``aiocos.telemetry.Telemetry`` is one.

    Each context manager surrounds what it is about, in the task that does it. Within an
    operation's block its Call is filled in as facts become known.
    """

    @abstractmethod
    def operation(self, call: Call) -> AbstractContextManager[None]:
        """Surround one operation, repeats and the waits between them included."""

    @abstractmethod
    def attempt(self, call: Call) -> AbstractContextManager[None]:
        """Surround one attempt: signature, connection, request, answer."""

    @abstractmethod
    def repeating(self, operation: str, error: CosException, delay_s: float) -> None:
        """Hear that an attempt, or a body, is tried once more in so many seconds."""

    @abstractmethod
    def batch(self, operation: str, bucket: str) -> AbstractContextManager[None]:
        """Surround the transfers, or the deletions, of a whole directory."""

    @abstractmethod
    def transfer(
        self, operation: str, bucket: str, key: str
    ) -> AbstractContextManager[Callable[[TransferEvent], None]]:
        """Surround one transfer; what the block gets is told of its events."""


async def watched(observer: Observer | None, call: Call, attempt: Awaitable[T]) -> T:
    """Await an attempt, log one line of it, and let the observer look on."""
    begun = time.perf_counter()
    call.status, call.headers, call.earlier = None, None, call.upload
    how = "stopped"
    try:
        with nullcontext() if observer is None else observer.attempt(call):
            result = await attempt
        how = "done"
    except CosException as error:
        how = outcome(error)
        raise
    finally:
        if log.isEnabledFor(logging.DEBUG):
            _log_attempt(call, how, time.perf_counter() - begun)
    return result


@contextmanager
def transferring(
    observer: Observer | None, operation: str, bucket: str, key: str
) -> Iterator[Callable[[TransferEvent], None] | None]:
    """Surround a transfer, where somebody looks on; give what is to be told of its events."""
    if observer is None:
        yield None
    else:
        with observer.transfer(operation, bucket, key) as hear:
            yield hear


def outcome(error: BaseException) -> str:
    """Return a failure as one word: COS's code, or the class. Messages may quote keys."""
    code = error.get_error_code() if isinstance(error, CosException) else UNKNOWN
    is_word = code != UNKNOWN and _WORD.fullmatch(code)  # it is what a server says
    return code if is_word else type(error).__name__


def plain(told: object) -> str:
    """Return a text for a line of a log: what a server says may hold line breaks and worse."""
    text = str(told)
    return text if text.isprintable() else repr(text)[1:-1]


def _log_attempt(call: Call, how: str, seconds: float) -> None:
    request, received = call.request, call.announced_bytes
    log.debug(
        "%s %s: %s, HTTP %s in %.3f s, attempt %d, %d bytes sent, %s announced, request %s",
        request.operation,
        place(request),
        how,
        call.status or "-",
        seconds,
        call.attempts.made,
        call.sent_bytes,
        "none" if received is None else received,
        plain(call.request_id or "-"),
    )


def place(request: Request) -> str:
    """Return what a request is about, on one line: host or bucket, and key."""
    key = request.path[1:]
    where = request.bucket or request.target.host
    return f"{where} {key!r}" if key else where

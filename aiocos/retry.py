"""Decide what follows a failed attempt.

In: a policy and the facts of the failure. Out: seconds to wait, a repair to make first,
or stop. No I/O, no clock and no randomness of its own. Facts are statuses, codes and
classes, never the words of a message, with one exception that COS forces (see
``is_clock_skew``).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from aiocos.errors import (
    UNKNOWN,
    CosException,
    CosServiceError,
    ExpiredTokenError,
    IntegrityError,
    ObjectChangedError,
    ParameterError,
    ResponseParseError,
    SourceChangedError,
    TransportError,
)
from aiocos.request import Repeat

_NOT_DONE_STATUSES: Final = frozenset({408, 429, 503})
_NOT_DONE_CODES: Final = frozenset({"SlowDown", "RequestLimitExceeded", "RequestTimeout"})
_AMBIGUOUS_CODES: Final = frozenset({"InternalError", "ServiceUnavailable"})
_SKEW_TOLERATED_S: Final = 300
_SKEW_BELIEVED_S: Final = 7 * 86400


class Trouble(enum.Enum):
    """What kind of failure an attempt ended in."""

    NOT_SENT = enum.auto()
    """No byte of the request had left."""
    NOT_DONE = enum.auto()
    """The server says it has not carried the request out: busy."""
    UNKNOWN = enum.auto()
    """It may have been carried out: 5xx, or the connection broke."""
    DAMAGED = enum.auto()
    """A checksum or length disagrees."""
    UNREADABLE = enum.auto()
    """A success whose body cannot be read."""
    CLOCK = enum.auto()
    TOKEN = enum.auto()
    FINAL = enum.auto()
    """A repeat would end the same way."""


class Step(enum.Enum):
    """What to do next."""

    RAISE = enum.auto()
    RAISE_AMBIGUOUS = enum.auto()
    RETRY = enum.auto()
    RECONCILE = enum.auto()
    """Look whether it was carried out; repeat it if not."""
    LOOK = enum.auto()
    """Look whether it was carried out; raise if not."""
    FIX_CLOCK = enum.auto()
    REFRESH_TOKEN = enum.auto()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast to try again. Times are seconds.

    The wait before attempt n+1 is drawn from 0 to ``base * factor**(n-1)``, at most
    ``cap``; ``throttle_base`` takes the place of ``base`` where COS asked for fewer
    requests. ``Retry-After`` is obeyed up to ``retry_after_max``. ``deadline`` bounds a
    call with its waits; a body that keeps moving extends it. ``budget`` is shared by a
    client's calls: a retry takes ``cost`` (``cost_timeout`` after a timeout) and gives it
    back when it succeeds, each success at once adds ``refund_success``; with none left,
    failures are raised at once.
    """

    max_attempts: int = 5
    base: float = 0.1
    throttle_base: float = 1.0
    factor: float = 2.0
    cap: float = 20.0
    retry_after_max: float = 60.0
    deadline: float | None = 120.0
    budget: int = 500
    cost: int = 5
    cost_timeout: int = 10
    refund_success: int = 1

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ParameterError("RetryPolicy(max_attempts=) must be 1 or more")


class RetryBudget:
    """What a client may still spend on retries: stops a storm from feeding itself."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self.left = policy.budget

    def take(self, cost: int) -> bool:
        """Spend ``cost`` if there is as much."""
        if self.left < cost:
            return False
        self.left -= cost
        return True

    def give_back(self, amount: int) -> None:
        """Return what a success earns."""
        self.left = min(self._policy.budget, self.left + amount)


@dataclass(slots=True)
class Attempts:
    """What has been tried for one call, so far."""

    made: int = 0
    clock_fixed: bool = False
    token_refreshed: bool = False
    resent_for: set[Trouble] | None = None
    """Troubles that are worth one more attempt and no second."""
    spent: int = 0
    repaired: int = 0
    """Repeats after a repair, which do not count."""
    in_doubt: bool = False
    """Whether an earlier attempt may have been carried out."""

    @property
    def counted(self) -> int:
        """Attempts that the policy's limit is about."""
        return self.made - self.repaired

    @property
    def is_repeat(self) -> bool:
        """Whether an attempt went before the present one."""
        return self.made > 1


def trouble_of(  # noqa: PLR0911 - a table
    error: CosException, ahead_s: float | None, corrected_s: float = 0.0
) -> Trouble:
    """Return which kind of failure an error is.

    ``ahead_s`` is how far the answer's ``Date`` is ahead of our clock, None if it had none;
    ``corrected_s`` is what of this the request took into account.
    """
    if isinstance(error, TransportError):
        if not error.retryable:
            return Trouble.FINAL
        return Trouble.UNKNOWN if error.sent else Trouble.NOT_SENT
    if isinstance(error, SourceChangedError | ObjectChangedError):
        return Trouble.FINAL
    if isinstance(error, IntegrityError):
        return Trouble.DAMAGED
    if isinstance(error, ResponseParseError):
        return Trouble.UNREADABLE
    if not isinstance(error, CosServiceError) or 300 <= error.status < 400:
        return Trouble.FINAL
    if error.status in _NOT_DONE_STATUSES or error.code in _NOT_DONE_CODES:
        return Trouble.NOT_DONE
    if is_clock_skew(error, ahead_s, corrected_s):
        return Trouble.CLOCK
    # An answer to HEAD has no body, so no code: of the reasons for a 400 this one can pass.
    is_untold = error.code == UNKNOWN and error.failure.method == "HEAD"
    if isinstance(error, ExpiredTokenError) or (is_untold and error.status == 400):
        return Trouble.TOKEN
    if error.code in _AMBIGUOUS_CODES or (error.status >= 500 and error.status != 501):
        return Trouble.UNKNOWN
    return Trouble.FINAL


def is_clock_skew(error: CosServiceError, ahead_s: float | None, corrected_s: float) -> bool:
    """Whether COS refused because our clock is wrong, by an amount worth believing."""
    if ahead_s is None or abs(ahead_s) > _SKEW_BELIEVED_S:
        return False
    if error.code == "RequestTimeTooSkewed":
        return True
    # COS gives an expired signature the general code; only its message tells it apart, and
    # an answer to HEAD has neither.
    is_expired = error.code == "AccessDenied" and "request has expired" in error.message.lower()
    is_untold = error.code == UNKNOWN and error.status == 403
    return (is_expired or is_untold) and abs(ahead_s - corrected_s) > _SKEW_TOLERATED_S


def seconds_ahead(date: str, now: float) -> float | None:
    """Return how far a ``Date`` header is ahead of ``now``; None if it cannot be read."""
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, OverflowError, TypeError):
        return None


def decide(  # noqa: PLR0911 - one line for each row of the table
    policy: RetryPolicy,
    trouble: Trouble,
    repeat: Repeat,
    attempts: Attempts,
    *,
    replayable: bool,
    refreshable: bool,
) -> Step:
    """Return the next step; the waiting time comes from ``backoff``."""
    if trouble is Trouble.CLOCK:
        return Step.RAISE if attempts.clock_fixed else Step.FIX_CLOCK
    if trouble is Trouble.TOKEN:
        repaired = attempts.token_refreshed or not refreshable
        return Step.RAISE if repaired else Step.REFRESH_TOKEN
    if trouble is Trouble.FINAL:
        return Step.RAISE
    is_open = trouble in {Trouble.UNKNOWN, Trouble.UNREADABLE}
    if is_open and repeat is Repeat.NEVER:
        return Step.RAISE_AMBIGUOUS
    if trouble is Trouble.DAMAGED and repeat is not Repeat.SAFE:
        # It was carried out, so that a repeat would be refused and hide the damage.
        return Step.RAISE
    is_to_look = is_open and repeat is Repeat.RECONCILE
    if attempts.counted >= policy.max_attempts or not replayable:
        return Step.LOOK if is_to_look else Step.RAISE
    if trouble in {Trouble.DAMAGED, Trouble.UNREADABLE}:
        tried = attempts.resent_for or set()
        if trouble in tried:
            return Step.LOOK if is_to_look else Step.RAISE
        attempts.resent_for = tried | {trouble}
    return Step.RECONCILE if is_to_look else Step.RETRY


def backoff(
    policy: RetryPolicy,
    trouble: Trouble,
    attempts: Attempts,
    retry_after_s: float | None,
    uniform: Callable[[float, float], float],
) -> float | None:
    """Return how long to wait, or None when COS asked for longer than is allowed."""
    base = policy.throttle_base if trouble is Trouble.NOT_DONE else policy.base
    span = min(policy.cap, base * policy.factor ** (attempts.counted - 1))
    delay = uniform(0.0, span)
    if retry_after_s is None:
        return delay
    if retry_after_s > policy.retry_after_max:
        return None
    return retry_after_s + uniform(0.0, min(span, 1.0))


def parse_retry_after(value: str, now: float) -> float | None:
    """Return the seconds of a ``Retry-After``, which is a number or a date."""
    try:
        seconds = float(value)
    except ValueError:
        ahead = seconds_ahead(value, now)
        if ahead is None:
            return None
        seconds = ahead
    return max(0.0, seconds) if math.isfinite(seconds) else None

"""One call of the session: what it is and how far it has got.

In: a Request, and what each attempt brings. Out: how long the next may wait, and the error
that ends it. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiocos.config import Timeouts
from aiocos.credentials import Credentials
from aiocos.encoding.headers import number
from aiocos.encoding.urls import Target
from aiocos.errors import CosException
from aiocos.pace import Wait
from aiocos.request import Request
from aiocos.retry import Attempts

if TYPE_CHECKING:  # the help of the command line has no use for the network's libraries
    from aiocos.outgoing import Upload


@dataclass(slots=True)
class Call:
    """One call of ``Session.send``: what it is and how far it has got."""

    request: Request
    target: Target
    now: float
    """When the attempt began, by the loop's clock."""
    deadline: float | None
    """When no further attempt may begin, by the same clock."""
    attempts: Attempts = field(default_factory=Attempts)
    upload: Upload | None = None
    skew_s: float = 0.0
    """How far COS's clock was thought to be ahead when the last attempt was signed."""
    credentials: Credentials | None = field(default=None, repr=False)
    """What the last attempt signed with."""
    refused: Credentials | None = field(default=None, repr=False)
    """Credentials that COS took for expired."""
    wants_new_connection: bool = False
    earlier: Upload | None = None
    """The body as the attempt before the present one sent it."""
    status: int | None = None
    """Of the answer to the last attempt; None: there was none."""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """Of the same answer."""
    failure: CosException | None = None
    """Why the present attempt is not the first."""
    delay_s: float = 0.0
    """Seconds waited before the present attempt."""

    @property
    def can_replay(self) -> bool:
        """Whether the body can be sent once more."""
        return self.upload is None or not self.upload.is_consumed

    def is_late(self, now: float, delay_s: float) -> bool:
        """Whether an attempt so many seconds from now would begin too late."""
        return self.deadline is not None and now + delay_s > self.deadline

    def wait(self, timeouts: Timeouts) -> Wait:
        """Return how long the present attempt may wait for what."""
        request = self.request
        head_s = timeouts.complete if request.is_slow else timeouts.response_header
        if self.deadline is None:
            return Wait(head_s, None, counts_rate=not request.is_slow)
        left_s = max(0.001, self.deadline - self.now)
        head_s = left_s if head_s is None else min(head_s, left_s)
        return Wait(head_s, left_s, counts_rate=not request.is_slow)

    def final(self, error: CosException) -> CosException:
        """Return the error that ends the call, with a note of what was tried."""
        if self.attempts.made > 1:
            error.add_note(f"aiocos made {self.attempts.made} attempts")
        if not self.can_replay:
            error.add_note(
                "not repeated, because the body is a stream that cannot be read twice: give "
                "bytes, a Path, a seekable file, or a callable that makes a new iterator"
            )
        return error

    # -- for those who look on -----------------------------------------------

    @property
    def request_id(self) -> str | None:
        """What COS calls the last attempt."""
        return self.headers.get("x-cos-request-id") if self.headers else None

    @property
    def sent_bytes(self) -> int:
        """Of the body, in the last attempt."""
        if self.upload is None or self.upload is self.earlier:
            return 0
        return self.upload.sent_bytes

    @property
    def announced_bytes(self) -> int | None:
        """What the answer said that its body has; the answer to HEAD has none."""
        if self.headers is None or self.request.method == "HEAD":
            return None
        return number(self.headers.get("Content-Length", ""))

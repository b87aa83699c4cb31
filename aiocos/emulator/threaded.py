"""A local server in a thread, for code that has no event loop, or many.

In: what a ``CosEmulator`` is made of. Out: the same server, whose methods may be called from
any thread and return when they are done.

    with CosEmulator.in_thread() as server:
        client = CosS3Client(CosConfig(**server.settings()))
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .clients import WithClient
from .faults import Fault, FaultRule
from .identity import IdentityEmulator
from .journal import Requests
from .seeding import Seed
from .snapshots import START
from .stored import BucketState

if TYPE_CHECKING:
    from .server import CosEmulator

T = TypeVar("T")


class ThreadedClock:
    """The clock of a server in a thread, whose face is that of ``Clock``."""

    def __init__(self, server: ThreadedEmulator) -> None:
        self._server = server

    def now(self) -> float:
        """The time by which objects are dated, as Unix time."""
        return self._server.now

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move the calendar of stored things ahead.

        Raises ValueError for a time before 1970 or after the year 9000.
        """
        self._server.advance(days=days, hours=hours, minutes=minutes, seconds=seconds)

    def set(self, moment: datetime | float) -> None:
        """Set the calendar of stored things to a time with a time zone, or to Unix time."""
        self._server.set_time(moment)

    def skew(self, seconds: float) -> None:
        """Set the wall clock wrong by this much, positive for ahead; 0 repairs it."""
        self._server.skew(seconds)

    def reset(self) -> None:
        """Set both right, or to the time the server began at."""
        self._server.reset_clock()


class ThreadedEmulator(WithClient):
    """A server in a thread of its own; see ``CosEmulator`` for what the methods do.

    It begins and ends with the ``with`` block, or with ``start()`` and ``close()``.
    """

    def __init__(self, server: CosEmulator) -> None:
        self._server = server
        self._is_open = False
        self._pid = os.getpid()
        self._ending = threading.Lock()
        self._handing = threading.Lock()
        """Held while work is handed over: none comes after the end, where nobody would do it."""

    # -- life

    def start(self) -> Self:
        if self._is_open:
            raise RuntimeError("this server runs already")
        self._pid, self._loop, self._over = os.getpid(), asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="cos-emulator", daemon=True)
        self._thread.start()
        self._is_open = True
        try:
            self._wait(self._server.start())
        except BaseException:
            self._end()
            raise
        return self

    def close(self) -> None:
        """End the server, and its thread. May be called more than once, from any thread.

        In a process that was forked it does nothing: the server is the parent's.
        """
        if self._pid != os.getpid():
            return
        with self._ending:
            if self._is_open:
                try:
                    self._wait(self._server.close())
                finally:
                    self._end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._over.wait())

    def _end(self) -> None:
        with self._handing:
            self._is_open = False
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        with self._handing:
            hindrance = self._hindrance()
            if hindrance is not None:
                work.close()
                raise RuntimeError(hindrance)
            done = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return done.result()
        except CancelledError:
            raise RuntimeError("the server was closed meanwhile") from None

    def _hindrance(self) -> str | None:
        if self._pid != os.getpid():
            return "this server runs in the parent process: steer it from there"
        if not self._is_open:
            return "this server does not run: use 'with CosEmulator.in_thread(...)'"
        if threading.current_thread() is self._thread:
            return "the server's own thread would wait for itself"
        return None

    def _do(self, act: Callable[[], T]) -> T:
        """Do something in the server's own thread."""

        async def done() -> T:
            return act()

        return self._wait(done())

    # -- how to reach it

    @property
    def endpoint(self) -> str:
        """Address and port, as a client on this machine reaches them."""
        return self._server.endpoint

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def region(self) -> str:
        return self._server.region

    @property
    def appid(self) -> str:
        return self._server.appid

    @property
    def secret_id(self) -> str:
        return self._server.secret_id

    @property
    def secret_key(self) -> str:
        return self._server.secret_key

    def settings(self) -> dict[str, Any]:
        """Keywords for a client's ``CosConfig``."""
        return self._server.settings()

    def add_credentials(
        self,
        secret_id: str,
        secret_key: str,
        token: str | None = None,
        expires: float | None = None,
        appid: str | None = None,
    ) -> None:
        """Accept one more key pair."""
        server = self._server
        self._do(lambda: server.add_credentials(secret_id, secret_key, token, expires, appid))

    @contextmanager
    def identity(self, **options: Any) -> Iterator[IdentityEmulator]:
        """STS and a metadata service whose keys this server accepts, during a ``with`` block.

        ``options`` are those of ``IdentityEmulator``.
        """
        identity = IdentityEmulator(self._server, **options)
        self._wait(identity.start())
        try:
            yield identity
        finally:
            self._wait(identity.close())

    # -- time

    @property
    def clock(self) -> ThreadedClock:
        """The server's clock, as ``CosEmulator`` has it: to be read, moved ahead and set wrong."""
        return ThreadedClock(self)

    @property
    def now(self) -> float:
        """The time by which objects are dated, as Unix time."""
        return self._do(self._server.clock.now)

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move the calendar of stored things ahead."""
        clock = self._server.clock
        self._do(lambda: clock.advance(days=days, hours=hours, minutes=minutes, seconds=seconds))

    def set_time(self, moment: datetime | float) -> None:
        """Set the calendar of stored things to a time with a time zone, or to Unix time."""
        self._do(lambda: self._server.clock.set(moment))

    def skew(self, seconds: float) -> None:
        """Set the wall clock wrong by this much, positive for ahead; 0 repairs it."""
        self._do(lambda: self._server.clock.skew(seconds))

    def reset_clock(self) -> None:
        """Set both right, or to the time the server began at."""
        self._do(self._server.clock.reset)

    # -- faults

    def add_fault(self, rule: FaultRule) -> Fault:
        """Put a rule in force; what is returned counts how often it fired."""
        return self._do(lambda: self._server.add_fault(rule))

    def fail(self, operation: str = "*", **rule: Any) -> Fault:
        """Put a rule in force that answers 500, unless told otherwise."""
        return self._do(lambda: self._server.fail(operation, **rule))

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The rules in force and how often they fired."""
        return self._do(lambda: self._server.faults)

    def drop_fault(self, fault: Fault) -> None:
        """Drop one rule; what was counted stays in it."""
        self._do(lambda: self._server.drop_fault(fault))

    def heal(self) -> None:
        """Drop all rules."""
        self._do(self._server.heal)

    # -- what happened

    @property
    def requests(self) -> Requests:
        """The requests so far, oldest first, to be looked at and counted."""
        return self._server.requests

    def count(self, operation: str, status: int | None = None) -> int:
        """How many requests there were, or how many were answered with this status."""
        return self._server.count(operation, status)

    def wait_for(
        self, operation: str, number: int = 1, *, status: int | None = None, timeout_s: float = 5
    ) -> None:
        """Wait until there were so many requests, or so many answered with this status."""
        self._wait(self._server.wait_for(operation, number, status=status, timeout_s=timeout_s))

    def forget_requests(self) -> None:
        self._do(self._server.forget_requests)

    # -- what is stored

    def create_bucket(self, name: str, *, acl: str = "private") -> None:
        """Make sure there is such a bucket, of this server's own account."""
        self._wait(self._server.create_bucket(name, acl=acl))

    def drop_bucket(self, name: str) -> None:
        """Remove a bucket and all that is in it, if there is one."""
        self._wait(self._server.drop_bucket(name))

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object."""
        self._wait(self._server.put(bucket, key, content))

    def read(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        return self._wait(self._server.read(bucket, key))

    def uploads(self, bucket: str) -> list[tuple[str, str]]:
        """Key and id of each multipart upload under way, oldest first."""
        return self._wait(self._server.uploads(bucket))

    def state(self) -> list[BucketState]:
        """What each bucket holds."""
        return self._wait(self._server.state())

    def seed(self, seed: Seed) -> None:
        """Store what a folder or a mapping holds."""
        self._wait(self._server.seed(seed))

    def snapshot(self, name: str = START) -> None:
        """Keep what is stored now, and the calendar, under a name until the server ends."""
        self._wait(self._server.snapshot(name))

    def restore(self, name: str = START) -> None:
        """Bring back what was stored when the snapshot was taken, and the calendar."""
        self._wait(self._server.restore(name))

    def reset(self, *, faults: bool = True, requests: bool = True, clock: bool = True) -> None:
        """Go back to the beginning, or to the last ``snapshot()`` that had no other name."""
        self._wait(self._server.reset(faults=faults, requests=requests, clock=clock))

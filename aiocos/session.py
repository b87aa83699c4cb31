"""The send loop: credentials, signature, attempt, and what follows a failure.

In: a Request, and a function that receives the answer. Out: what that function returns,
or a typed error. Each attempt asks for the credentials and signs anew, because a signature
ages and a token may be replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from aiocos import retry
from aiocos.call import Call
from aiocos.config import CosConfig
from aiocos.encoding.urls import Endpoints, query_string, switched
from aiocos.errors import (
    UNKNOWN,
    AmbiguousResultError,
    ClientStateError,
    CosException,
    CosServiceError,
    IntegrityError,
    RedirectError,
    TransportError,
)
from aiocos.failures import read_failure
from aiocos.offload import Threads
from aiocos.outgoing import Upload
from aiocos.request import Repeat, Request
from aiocos.retry import Attempts, RetryBudget, RetryPolicy, Step, Trouble
from aiocos.signer import Signer
from aiocos.transport import Exchange, Transport
from aiocos.units import MIB
from aiocos.watching import Observer, log, place, plain, watched

T = TypeVar("T")

_forks = 0
"""How many forks lie between the first process and this one."""


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a process has one history
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


@dataclass(frozen=True, slots=True)
class Settled(Generic[T]):
    """The result of a request that turned out to have been carried out."""

    value: T


Receive = Callable[[Exchange], Awaitable[T]]
Reconcile = Callable[[CosException], Awaitable[Settled[T] | None]]
"""Looks whether a request in doubt was carried out; None: it was not."""


class Session:
    """Connections, credentials and retries of one client, in one event loop.

    ``clock`` gives Unix time; ``sleep`` and ``uniform`` are asyncio's and random's.
    """

    def __init__(
        self,
        config: CosConfig,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float] = lambda: time.time(),  # noqa: PLW0108 - looked up each time
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        observer: Observer | None = None,
    ) -> None:
        self.config = config
        self.observer = observer
        self.endpoints = Endpoints(config)
        self.executor = Threads()
        self.retries = 0
        self._policy = policy
        self._budget = RetryBudget(policy)
        self.signer = Signer(config, clock)
        self._sleep, self._uniform = sleep, uniform
        self._forks = _forks
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: Transport | None = None
        self._is_closed = False

    # -- life ----------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there are connections to close."""
        return self._transport is not None and not self._is_closed

    def check(self) -> None:
        """Refuse use after the end, in another event loop, or in another process."""
        loop = asyncio.get_running_loop()
        if self._is_closed or self._forks != _forks or self._loop not in {None, loop}:
            self._refuse_use()

    def transport(self) -> Transport:
        """Return the connections, made at first use in the event loop that runs now."""
        self.check()
        if self._transport is None:
            self._loop = asyncio.get_running_loop()
            self._transport = Transport(self.config)
        return self._transport

    def _refuse_use(self) -> NoReturn:
        if self._forks != _forks:
            raise ClientStateError(
                "this client was made before a fork, and processes cannot share its "
                "connections: make a client in the child, the CosConfig may be the same"
            )
        if self._is_closed:
            raise ClientStateError("this client is closed: make a new one from its CosConfig")
        raise ClientStateError(
            "this client was opened in another event loop: make one client for each loop, "
            "the CosConfig may be the same"
        )

    async def close(self) -> None:
        """Close every connection. A body that is still being read then fails."""
        self._is_closed = True
        try:
            await self.signer.close()
        finally:
            if self._transport is not None and self._loop is asyncio.get_running_loop():
                await self._transport.close()
            self.executor.end()

    # -- one call ------------------------------------------------------------

    async def send(
        self, request: Request, receive: Receive[T], reconcile: Reconcile[T] | None = None
    ) -> T:
        """Send a request until an answer is received, or no further attempt is allowed.

        Raises:
            CosServiceError: COS refused.
            TransportError: there was no answer.
            AmbiguousResultError: it cannot be told whether the request was carried out.
        """
        transport = self.transport()
        now = transport.time()
        patience = request.patience
        allowed_s = self._policy.deadline if patience is None else patience.allowed_s
        if allowed_s is not None and request.is_slow:
            allowed_s = max(allowed_s, self.config.Timeouts.complete or 0.0)
        call = Call(request, request.target, now, None if allowed_s is None else now + allowed_s)
        if self.observer is None:
            return await self._until_settled(transport, call, receive, reconcile)
        with self.observer.operation(call):
            return await self._until_settled(transport, call, receive, reconcile)

    async def _until_settled(
        self,
        transport: Transport,
        call: Call,
        receive: Receive[T],
        reconcile: Reconcile[T] | None,
    ) -> T:
        while True:
            call.attempts.made += 1
            try:
                result = await self._attempt(transport, call, receive)
            except CosException as error:
                settled = await self._after(error, call, reconcile)
                if settled is not None:
                    return settled.value
            else:
                self._budget.give_back(call.attempts.spent or self._policy.refund_success)
                return result

    def _attempt(self, transport: Transport, call: Call, receive: Receive[T]) -> Awaitable[T]:
        attempt = self._once(transport, call, receive)
        is_watched = self.observer is not None or log.isEnabledFor(logging.DEBUG)
        return watched(self.observer, call, attempt) if is_watched else attempt

    async def _once(self, transport: Transport, call: Call, receive: Receive[T]) -> T:
        request = call.request
        call.skew_s = self.signer.skew_s
        signed = await self.signer.sign(
            request,
            call.target,
            is_repeat=call.attempts.is_repeat,
            refused=call.refused,
        )
        call.credentials = signed.credentials
        query = f"?{query_string(request.query)}" if request.query else ""
        call.upload = Upload(request.body, self.executor)
        exchange = await transport.exchange(
            request.method,
            call.target.origin,
            f"{request.raw_path}{query}",
            signed.headers,
            call.upload,
            call.wait(self.config.Timeouts),
            new_connection=call.wants_new_connection,
        )
        call.status, call.headers = exchange.status, exchange.headers
        try:
            if exchange.status >= 300:
                reply = await exchange.reply(MIB)
                raise read_failure(request, reply, signed.http_string)  # noqa: TRY301
            if not call.upload.is_complete:
                raise IntegrityError(  # noqa: TRY301
                    f"{request.operation}: HTTP {exchange.status} came before the whole body was "
                    f"sent ({call.upload.sent_bytes} bytes)"
                )
            return await receive(exchange)
        except BaseException:
            exchange.close()
            raise

    # -- failures ------------------------------------------------------------

    async def _after(
        self, error: CosException, call: Call, reconcile: Reconcile[T] | None
    ) -> Settled[T] | None:
        """Make the next attempt possible and return None, or settle the call, or raise."""
        request, attempts = call.request, call.attempts
        ahead_s = self._seconds_ahead(error)
        trouble = retry.trouble_of(error, ahead_s, call.skew_s)
        if attempts.in_doubt and reconcile and error.get_error_code() in request.doubtful_codes:
            return await self._reconcile(error, call, reconcile, Step.LOOK, trouble)
        if self._is_stale_connection(error, call):
            call.wants_new_connection = attempts.in_doubt = True
            self._repair(error, call, "an idle connection had been closed")
            return None
        if self._switched_at_once(error, call):
            await self._repeat(error, call, trouble, delay_s=0.0)
            return None
        step = retry.decide(
            self._policy,
            trouble,
            request.repeat,
            attempts,
            replayable=call.can_replay,
            refreshable=self.signer.is_refreshable,
        )
        if step in {Step.RECONCILE, Step.LOOK} and reconcile is not None:
            return await self._reconcile(error, call, reconcile, step, trouble)
        if step is Step.RETRY:
            await self._repeat(error, call, trouble)
        elif step is Step.FIX_CLOCK and ahead_s is not None:
            self.signer.skew_s = ahead_s
            attempts.clock_fixed = True
            self._repair(error, call, f"COS's clock is {ahead_s:+.0f} s ahead of ours")
        elif step is Step.REFRESH_TOKEN:
            attempts.token_refreshed = True
            call.refused = call.credentials
            self._repair(error, call, "the token had expired")
        elif step is Step.RAISE_AMBIGUOUS:
            raise AmbiguousResultError(
                f"{request.operation}: the answer was lost, so it may or may not have been "
                f"carried out; look before you repeat it ({error})"
            ) from error
        else:
            raise call.final(error)
        return None

    async def before_resume(
        self, error: CosException, attempts: Attempts, operation: str = "GetObject"
    ) -> None:
        """Wait before a body that broke off is asked for again, or raise ``error``."""
        policy = self._policy
        trouble = retry.trouble_of(error, None)
        step = retry.decide(
            policy, trouble, Repeat.SAFE, attempts, replayable=True, refreshable=False
        )
        if step is not Step.RETRY:
            if not isinstance(error, CosServiceError):
                error.add_note(f"the body broke off {attempts.made} times in a row")
            raise error
        delay_s = retry.backoff(policy, trouble, attempts, None, self._uniform)
        if delay_s is None or not self._budget.take(policy.cost):
            raise error
        attempts.made += 1
        attempts.spent += policy.cost
        self.retries += 1
        told = (operation, plain(error), delay_s)
        log.warning("%s: the body broke off (%s), resuming in %.2f s", *told)
        if self.observer is not None:
            self.observer.repeating(operation, error, delay_s)
        await self._sleep(delay_s)

    def after_resume(self, attempts: Attempts | None) -> None:
        """Take back what resuming a body cost: it went on."""
        if attempts is not None:
            self._budget.give_back(attempts.spent)
            attempts.spent = 0

    async def _reconcile(
        self, error: CosException, call: Call, reconcile: Reconcile[T], step: Step, trouble: Trouble
    ) -> Settled[T] | None:
        try:
            settled = await reconcile(error)
        except CosException as failure:
            if isinstance(failure, AmbiguousResultError):
                raise
            raise AmbiguousResultError(
                f"{call.request.operation}: the answer was lost ({error}), and looking whether it "
                f"was carried out failed: {failure}"
            ) from error
        if settled is not None:
            return settled
        if step is Step.LOOK:
            raise call.final(error)
        await self._repeat(error, call, trouble)
        return None

    def _repair(self, error: CosException, call: Call, why: str) -> None:
        """Repeat at once, after a repair; the attempt is not counted."""
        if not call.can_replay:
            raise call.final(error)
        call.attempts.repaired += 1
        log.warning("%s %s: %s, repeating", call.request.operation, place(call.request), why)
        self._tell_of_repeat(error, call, 0.0)

    async def _repeat(
        self, error: CosException, call: Call, trouble: Trouble, delay_s: float | None = None
    ) -> None:
        attempts, policy = call.attempts, self._policy
        asked_s = error.failure.retry_after_s if isinstance(error, CosServiceError) else None
        if delay_s is None:
            delay_s = retry.backoff(policy, trouble, attempts, asked_s, self._uniform)
        is_timeout = isinstance(error, TransportError) and error.timed_out
        cost = policy.cost_timeout if is_timeout else policy.cost
        if (
            delay_s is None
            or call.is_late(self.transport().time(), delay_s)
            or not self._budget.take(cost)
        ):
            raise call.final(error)
        attempts.spent = cost
        attempts.in_doubt |= trouble in {Trouble.UNKNOWN, Trouble.UNREADABLE}
        call.wants_new_connection = isinstance(error, TransportError)
        self._switch_before_last(error, call)
        self.retries += 1
        told = (call.request.operation, place(call.request), attempts.made, plain(error), delay_s)
        log.warning("%s %s: attempt %d failed (%s), next in %.2f s", *told)
        self._tell_of_repeat(error, call, delay_s)
        await self._sleep(delay_s)
        call.now = self.transport().time()

    def _tell_of_repeat(self, error: CosException, call: Call, delay_s: float) -> None:
        call.failure, call.delay_s = error, delay_s
        if self.observer is not None:
            self.observer.repeating(call.request.operation, error, delay_s)
        if patience := call.request.patience:
            patience.on_repeat(error, delay_s)

    def _seconds_ahead(self, error: CosException) -> float | None:
        if not isinstance(error, CosServiceError) or not error.failure.date:
            return None
        return self.signer.seconds_ahead(error.failure.date)

    def _is_stale_connection(self, error: CosException, call: Call) -> bool:
        """Whether the server had hung up on a pooled connection before it saw the request."""
        return (
            isinstance(error, TransportError)
            and error.is_stale
            and not call.attempts.repaired
            and call.request.repeat is Repeat.SAFE
        )

    def _switched_at_once(self, error: CosException, call: Call) -> bool:
        """Move to the other domain where a redirect came that no COS server sent."""
        is_due = isinstance(error, RedirectError) and error.status in {301, 302, 307}
        if not is_due or call.attempts.counted >= self._policy.max_attempts:
            return False
        return self._switch_domain(error, call)

    def _switch_before_last(self, error: CosException, call: Call) -> None:
        is_ours = isinstance(error, TransportError) or error.get_status_code() in range(500, 600)
        if is_ours and call.attempts.counted == self._policy.max_attempts - 1:
            self._switch_domain(error, call)

    def _switch_domain(self, error: CosException, call: Call) -> bool:
        is_cos = error.get_request_id() != UNKNOWN
        if not self.config.AutoSwitchDomainOnRetry or is_cos or not call.can_replay:
            return False
        other = switched(call.target)
        call.target = other or call.target
        return other is not None

"""From a method's arguments to its result: what every operation has in common.

In: an Operation and the keywords of a call. Out: the decoded result. The session sends;
this module says how the answer is received and checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar, cast

from aiocos.body import Body
from aiocos.encoding.urls import Target, key_path, raw_path
from aiocos.errors import ParameterError, ResponseParseError
from aiocos.failures import read_failure, without_secrets
from aiocos.operations.decode import EmbeddedError
from aiocos.operations.spec import Operation
from aiocos.request import Patience, Repeat, Reply, Request
from aiocos.session import Reconcile, Session
from aiocos.transport import Exchange

R = TypeVar("R")
Check = Callable[[Reply, Exchange], Awaitable[None]]
"""Looks at an answer before it is decoded, and may add to its headers."""

_peek: ContextVar[Callable[[Reply], None] | None] = ContextVar("aiocos_peek", default=None)


@contextmanager
def peek_at_reply(peek: Callable[[Reply], None]) -> Iterator[None]:
    """Let ``peek`` see each answer of the calls made inside before it is decoded."""
    token = _peek.set(peek)
    try:
        yield
    finally:
        _peek.reset(token)


class Operations:
    """Base of the operation groups: builds, sends, receives."""

    _session: Session

    async def _invoke(
        self,
        operation: Operation[R],
        options: Mapping[str, object],
        *,
        Bucket: str | None = None,
        Key: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        check: Check | None = None,
        reconcile: Reconcile[R] | None = None,
        repeat: Repeat | None = None,
        patience: Patience | None = None,
        target: Target | None = None,
    ) -> R:
        """Send one operation and return its result.

        ``repeat`` overrides the table's, ``target`` the place that ``Bucket`` has.
        """
        session = self._session if self._is_ready else await self._ready()
        request = self._request(
            session, operation, options, Bucket, Key, query, headers, body, repeat
        )
        request.patience = patience
        request.target = target or request.target
        receive = partial(_decoded, session, operation, request, check)
        return await session.send(request, receive, reconcile)

    @property
    def _is_ready(self) -> bool:
        """Whether ``_ready`` has nothing to start."""
        return True

    async def _ready(self) -> Session:
        """Return the session; a client with a server of its own starts it here first."""
        return self._session

    def _request(
        self,
        session: Session,
        operation: Operation[Any],
        options: Mapping[str, object],
        bucket: str | None,
        key: str | None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        repeat: Repeat | None = None,
    ) -> Request:
        """Build the request of one operation, every argument checked."""
        all_headers = dict(headers) if headers else {}
        all_query = {**operation.query, **query} if query else dict(operation.query)
        if options:
            operation.place(options, all_headers, all_query)
        path = "/" if operation.scope != "object" else key_path(key)
        if operation.scope == "service":
            target = session.endpoints.service()
        elif bucket is None:
            raise ParameterError("Bucket is required")
        else:
            target = session.endpoints.bucket(bucket)
        return Request(
            operation=operation.name,
            method=operation.method,
            target=target,
            path=path,
            raw_path=raw_path(path),
            query=all_query,
            headers=all_headers,
            body=body,
            repeat=repeat or operation.repeat,
            doubtful_codes=operation.doubtful_codes,
            is_slow=operation.is_slow,
            signs_query=operation.signs_query,
            body_limit=operation.body_limit,
            bucket=bucket,
        )


async def _decoded(
    session: Session,
    operation: Operation[R],
    request: Request,
    check: Check | None,
    exchange: Exchange,
) -> R:
    """Read an answer, check it and decode it; large documents are decoded in a thread."""
    reply = None
    try:
        reply = await exchange.reply(request.body_limit)
        if peek := _peek.get():
            peek(reply)
        if len(reply.body) <= operation.inline_limit:
            result = operation.decode(reply)
        else:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(session.executor, operation.decode, reply)
        if check is not None:
            await check(reply, exchange)
    except EmbeddedError:
        # COS may answer 200 before the work is done: a failure then comes as <Error>
        # inside a success, so the body decides, not the status.
        raise read_failure(request, cast(Reply, reply)) from None
    except ResponseParseError as error:
        raise _explained(error, request, exchange, reply) from error
    return result


def _explained(
    error: ResponseParseError, request: Request, exchange: Exchange, reply: Reply | None
) -> ResponseParseError:
    head = without_secrets(reply.body[:4096])[:200] if reply is not None else b""
    return ResponseParseError(
        f"{request.operation} to {request.target.host}: {error} (HTTP {exchange.status}, "
        f"request {exchange.headers.get('x-cos-request-id', 'without id')}, begins {head!r})",
        status=exchange.status,
        request_id=exchange.headers.get("x-cos-request-id", "Unknown"),
        head=head,
    )

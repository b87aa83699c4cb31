"""The door of the server: who is let in, and where to.

In: every request. Out: the answer of whoever it is for. The door can be closed for a moment:
those inside are sent away, those outside wait, and what is stored can be exchanged meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_PATIENCE_S = 30.0


class Aside(Protocol):
    """Answers requests that are none to COS."""

    def concerns(self, request: web.BaseRequest) -> bool: ...

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse: ...


class Front:
    """Lets requests in to COS, except those that ``aside`` are for."""

    def __init__(self, cos: Answering, *aside: Aside) -> None:
        self._cos = cos
        self._aside = aside
        self._inside: dict[asyncio.Task[None] | None, web.BaseRequest] = {}
        self._is_empty = asyncio.Event()
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._one_at_a_time = asyncio.Lock()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        for aside in self._aside:
            if aside.concerns(request):
                return await aside.answer(request)
        await self._is_open.wait()
        task = asyncio.current_task()
        self._inside[task] = request
        try:
            return await self._cos(request)
        finally:
            del self._inside[task]
            if not self._inside:
                self._is_empty.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Nobody is inside during the block: who was there loses the connection.

        Raises RuntimeError if somebody does not go.
        """
        async with self._one_at_a_time:
            self._is_open.clear()
            try:
                await self._send_away()
                yield
            finally:
                self._is_open.set()

    async def _send_away(self) -> None:
        self._is_empty.clear()
        for task, request in self._inside.items():
            if request.transport is not None:
                request.transport.abort()
            if task is not None:
                task.cancel()
        if not self._inside:
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._is_empty.wait()
        except TimeoutError:
            raise RuntimeError(f"{len(self._inside)} requests under way do not end") from None

"""The clients of a filesystem: one for each event loop that uses it.

In: how to make one. Out: the client of the loop that runs now, opened by its first use. It is
closed with its loop, with its filesystem or with the process, whichever ends first; a process
that was forked begins anew and leaves its parent's connections alone.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from aiocos.client import CosS3Client
from aiocos.fs import local

_EXIT_S: Final = 5.0
_log: Final = logging.getLogger("aiocos")


class _Kept(NamedTuple):
    client: CosS3Client
    keeper: AsyncGenerator[None, None]


_Clients = WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept]


class Clients:
    """Opens a client for each event loop."""

    def __init__(self, make: Callable[[], Awaitable[CosS3Client]]) -> None:
        self._make = make
        self.kept: _Clients = WeakKeyDictionary()
        _live.add(self)

    async def get(self) -> CosS3Client:
        """Return the client of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self.kept:
            client = await self._make()
            if loop not in self.kept:  # another task may have made one meanwhile
                kept = self.kept[loop] = _Kept(client, _closing(client))
                _remember(client, loop)
                # It does not wait. From here on the loop closes the generator, and so the
                # client, at the loop's end or when nobody has the generator any more.
                await anext(kept.keeper)
        return self.kept[loop].client

    async def close(self) -> None:
        """Close the client of the running loop; the next use opens another."""
        kept = self.kept.pop(asyncio.get_running_loop(), None)
        if kept is not None:
            await kept.keeper.aclose()


async def _closing(client: CosS3Client) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.aclose()
        _open.pop(client, None)


_live: Final[WeakSet[Clients]] = WeakSet()
_open: Final[dict[CosS3Client, asyncio.AbstractEventLoop]] = {}
"""What is to be closed at the process's end; here, no collection of garbage finds it open."""
_parents: Final[list[Any]] = []
"""What a child must neither use nor collect: the parent's sockets and selectors."""


def _remember(client: CosS3Client, loop: asyncio.AbstractEventLoop) -> None:
    for known, home in list(_open.items()):
        if home.is_closed():  # without closing its generators, so its client is lost
            del _open[known]
    _open[client] = loop


def _before_fork() -> None:
    _parents.append([dict(_open), *(dict(clients.kept) for clients in _live)])


def _after_fork_in_parent() -> None:
    _parents.pop()


def _after_fork_in_child() -> None:
    for clients in _live:
        clients.kept = WeakKeyDictionary()
    _open.clear()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)


def _close_all() -> None:
    """Close what is open in loops that still run, such as fsspec's, at the process's end."""
    for client, loop in list(_open.items()):
        if loop.is_running():
            closing = asyncio.run_coroutine_threadsafe(client.aclose(), loop)
            try:
                closing.result(_EXIT_S)
            except TimeoutError:
                _log.warning("a client could not be closed: its event loop does not answer")
    local.close_all(_EXIT_S)


# An ordinary exit function runs when threads can no longer be used, and closing needs them.
getattr(threading, "_register_atexit", atexit.register)(_close_all)

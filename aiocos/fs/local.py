"""The servers behind ``local=DIR``: one for each directory, for all filesystems of the process.

In: a directory. Out: settings of a server that runs over it in fsspec's own thread, as long as
some filesystem wants it. A process that was forked uses its parent's.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final

from aiocos.client import _start_server
from aiocos.fs.untyped import get_loop


class _Shared:
    """One server, and how many filesystems want it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wanted = 0
        self.pid = os.getpid()
        self.loop = get_loop()
        self._lock = asyncio.Lock()
        self._server: Any = None
        self._settings: dict[str, Any] | None = None

    async def settings(self) -> dict[str, Any]:
        """Return what a client needs to reach the server, started if it is not; in any loop."""
        if self._settings is None:
            return dict(await _in_loop(self._start(), self.loop))
        return self._settings

    async def _start(self) -> dict[str, Any]:
        async with self._lock:
            if self._server is None:
                self._server = await _start_server(self.directory)
                self._settings = self._server.settings()
            return dict(self._settings or {})

    @property
    def is_lost(self) -> bool:
        """Whether it was to be started by the process that this one was forked from."""
        return self.pid != os.getpid() and self._settings is None

    async def close(self, *, unless_wanted: bool = True) -> None:
        """Stop the server, in its own loop."""
        async with self._lock:
            if self._server is None or (self.wanted and unless_wanted):
                return
            server, self._server, self._settings = self._server, None, None
            await server.close()


_servers: Final[dict[Path, _Shared]] = {}


def _shared(directory: Path) -> _Shared:
    known = _servers.get(directory)
    if known is None or known.is_lost:
        known = _servers[directory] = _Shared(directory)
    return known


async def _in_loop(coroutine: Any, loop: asyncio.AbstractEventLoop) -> Any:
    if asyncio.get_running_loop() is loop:
        return await coroutine
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


class Lease:
    """One filesystem's wish for a server."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._shared = _shared(Path(directory).resolve())
        self._shared.wanted += 1

    async def settings(self) -> dict[str, Any]:
        """Return keywords for ``CosConfig``."""
        if self._shared.is_lost:
            self._shared = _shared(self._shared.directory)
            self._shared.wanted += 1
        return await self._shared.settings()

    def __del__(self) -> None:
        shared: _Shared | None = getattr(self, "_shared", None)
        if shared is None:
            return
        shared.wanted -= 1
        if not shared.wanted and shared.pid == os.getpid() and not shared.loop.is_closed():
            asyncio.run_coroutine_threadsafe(shared.close(), shared.loop)


def close_all(timeout_s: float) -> None:
    """Stop every server of this process, for its end."""
    for shared in _servers.values():
        if shared.pid == os.getpid() and shared.loop.is_running():
            closing = shared.close(unless_wanted=False)
            asyncio.run_coroutine_threadsafe(closing, shared.loop).result(timeout_s)

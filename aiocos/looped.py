"""A client that is closed by the event loop it was used in.

In: a configuration. Out: a client nobody has to close. It is for tests, where the loop that
made the connections may be gone before anybody could await their end, and belongs to a plugin
that is not known here. Closing hangs on an asynchronous generator: whoever ends a loop properly,
as ``asyncio.run`` and all test plugins do, lets every generator of it finish first. In a loop
that comes after, the client begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from aiocos.client import CosS3Client
from aiocos.session import Session


class LoopedClient(CosS3Client):
    """Closes with the loop it is used in; a loop that comes after the end of that is the next."""

    _keeper: AsyncGenerator[None] | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def _is_ready(self) -> bool:
        return self._keeper is not None and not self._is_orphan and super()._is_ready

    @property
    def _is_orphan(self) -> bool:
        return self._loop is not None and self._loop.is_closed()

    async def _ready(self) -> Session:
        if self._is_orphan:
            self._session = Session(self._config, self._policy)
            self._keeper = None
        session = await super()._ready()
        if self._keeper is None:
            self._loop = asyncio.get_running_loop()
            self._keeper = self._keep()
            await anext(self._keeper)
        return session

    async def _keep(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self.aclose()

    def close_now(self) -> None:
        """Close it if its loop is there and rests; else the loop does so in the end."""
        if self._loop is None or self._loop.is_closed() or self._loop.is_running():
            return
        if self._keeper is not None:
            self._loop.run_until_complete(self._keeper.aclose())

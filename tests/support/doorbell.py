"""A listener that counts who comes to the door, and lets nobody in.

In: connections. Out: how many there were. It shows that a call was refused before a
connection was opened, which a log of requests cannot show.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self


class Doorbell:
    """Listens on a free port of 127.0.0.1 while it is entered."""

    rings = 0
    port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._ring, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _ring(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.rings += 1
        writer.transport.abort()

    def settings(self) -> dict[str, Any]:
        """Keywords for a ``CosConfig`` whose every request comes here."""
        return {
            "Region": "ap-guangzhou",
            "SecretId": "AKIDdoorbell",
            "SecretKey": "doorbell-key",
            "Scheme": "http",
            "IP": "127.0.0.1",
            "Port": self.port,
            "ServiceDomain": f"127.0.0.1:{self.port}",
        }

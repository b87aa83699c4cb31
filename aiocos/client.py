"""The client: a session, and every operation on it.

In: a CosConfig. Out: methods to ``await``. No wire knowledge lives here.
"""

from __future__ import annotations

import asyncio
import importlib
import warnings
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiocos.config import CosConfig
from aiocos.errors import ClientStateError, ParameterError
from aiocos.operations.appending import AppendOperations, Ends
from aiocos.operations.presigning import PresigningOperations
from aiocos.operations.selecting import SelectOperations
from aiocos.operations.settings.methods import SettingsOperations
from aiocos.retry import RetryPolicy
from aiocos.session import Session
from aiocos.sync.methods import SyncOperations
from aiocos.transfer.housekeeping import HousekeepingOperations
from aiocos.transfer.manager import TransferConfig, TransferManager
from aiocos.watching import Observer

if TYPE_CHECKING:
    from aiocos.emulator import CosEmulator


class CosS3Client(
    SyncOperations,
    HousekeepingOperations,
    SettingsOperations,
    PresigningOperations,
    SelectOperations,
    AppendOperations,
):
    """Talks to COS. One client for each event loop; safe for any number of tasks.

    ``async with CosS3Client(config) as client``, or make one and ``await aclose()`` it:
    connections are opened by the first request. ``retry`` is a RetryPolicy, or, as in the
    sync SDK, the number of retries. ``transfers`` says how large and how many the parts of
    transfers are; clients that are given one TransferManager share its limits. ``telemetry``,
    an ``aiocos.telemetry.Telemetry``, makes OpenTelemetry spans and metrics of the client's work.

    Raises, from every method:
        ParameterError: an argument cannot be right; nothing was sent.
        ClientStateError: the client is closed, or used in another event loop or process.
        CosServiceError: COS refused; the class says what to do next.
        TransportError: no answer, after the attempts that ``retry`` allows.
    """

    def __init__(
        self,
        config: CosConfig,
        retry: int | RetryPolicy | None = None,
        *,
        transfers: TransferConfig | TransferManager | None = None,
        telemetry: Observer | None = None,
    ) -> None:
        if not isinstance(config, CosConfig):
            raise ParameterError(f"config must be a CosConfig, not {type(config).__name__}")
        if isinstance(retry, int):
            retry = RetryPolicy(max_attempts=retry + 1)
        if not isinstance(retry, RetryPolicy | None):
            raise ParameterError("retry must be a number of retries, or a RetryPolicy")
        if not isinstance(transfers, TransferConfig | TransferManager | None):
            raise ParameterError("transfers must be a TransferConfig, or a TransferManager")
        if not isinstance(telemetry, Observer | None):
            raise ParameterError("telemetry must be an aiocos.telemetry.Telemetry")
        if not isinstance(transfers, TransferManager):
            transfers = TransferManager(transfers)
        self.transfers = transfers
        self._running = set()
        self._ends = Ends()
        self._config = config
        self._policy = retry or RetryPolicy()
        self._session = Session(config, self._policy, observer=telemetry)
        self._local: CosEmulator | None = None
        self._starting = asyncio.Lock()

    @property
    def _is_ready(self) -> bool:
        return self._config.local_dir is None or self._local is not None

    async def _ready(self) -> Session:
        """Start the server of a ``CosConfig.local`` client before its first request."""
        self._session.check()
        if self._is_ready:
            return self._session
        async with self._starting:
            if self._local is None and self._config.local_dir is not None:
                server = await _start_server(self._config.local_dir)
                given = {**server.settings(), "Anonymous": None, "local_dir": None}
                observer = self._session.observer
                config = self._config.replace(**given)
                self._session = Session(config, self._policy, observer=observer)
                self._local = server
        return self._session

    @property
    def config(self) -> CosConfig:
        """What the client was made from."""
        return self._config

    @property
    def local_server(self) -> CosEmulator:
        """The server of a ``CosConfig.local`` client: its clock, its faults, its requests.

        It runs from ``async with``, or the first request, until the client is closed.

        Raises:
            ClientStateError: there is none, or it does not run.
        """
        if self._local is None:
            raise ClientStateError(
                "there is no local server: it takes CosConfig.local(DIR), and 'async with'"
            )
        return self._local

    async def __aenter__(self) -> Self:
        await self._ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the transfers that were started, and close all connections.

        May be called more than once.
        """
        async with asyncio.TaskGroup() as group:
            for transfer in list(self._running):
                group.create_task(transfer.cancel())
        await self._session.close()
        local, self._local = self._local, None
        if local is not None:
            await local.close()

    def get_retry_exe_times(self) -> int:
        """Return how many retries this client has made in all.

        Source: COS SDK for Python, ``get_retry_exe_times``.
        """
        return self._session.retries

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        if session is not None and session.is_open:
            warnings.warn(
                f"{type(self).__name__} was not closed: use 'async with', or await aclose()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


async def _start_server(directory: Path) -> CosEmulator:
    """Start a server over a directory; its modules are loaded in a thread, few clients use them."""
    module = await asyncio.to_thread(importlib.import_module, "aiocos.emulator")
    try:
        server: CosEmulator = module.CosEmulator(data=directory)
        return await server.start()
    except (OSError, RuntimeError) as error:
        raise ClientStateError(
            f"no local server over {directory}: {error} One client at a time may hold it; share "
            "the client, or run aiocos emulator --data and point clients at that"
        ) from error

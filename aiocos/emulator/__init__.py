"""A local server for Tencent Cloud COS, for development and tests.

In: requests of any COS client, and faults to try it with. Out: the answers COS would give.

    async with CosEmulator() as server, server.client() as client:
        await client.put_object("examplebucket-1250000000", b"hello", "a.txt")

``CosEmulator.in_thread()`` is the same for code without an event loop, ``EmulatorProcess`` a
process of its own, ``aiocos emulator`` a command; pytest finds fixtures by itself.
"""

from __future__ import annotations

from .clock import Clock
from .faults import Fault, FaultRule
from .identity import IdentityEmulator
from .journal import RequestRecord, Requests
from .process import EmulatorProcess
from .remote import RemoteEmulator
from .server import CosEmulator
from .stored import BucketState
from .threaded import ThreadedEmulator
from .wire import Limits

__all__ = [
    "BucketState",
    "Clock",
    "CosEmulator",
    "EmulatorProcess",
    "Fault",
    "FaultRule",
    "IdentityEmulator",
    "Limits",
    "RemoteEmulator",
    "RequestRecord",
    "Requests",
    "ThreadedEmulator",
]

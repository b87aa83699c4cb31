"""A local server for Tencent Cloud COS, for development and tests.

In: requests of any COS client, and faults to try it with. Out: the answers COS would give.

    async with CosEmulator() as server:
        client = CosS3Client(CosConfig(**server.settings()))
"""

from __future__ import annotations

from .clock import Clock
from .faults import Fault, FaultRule
from .identity import IdentityEmulator
from .journal import RequestRecord
from .server import CosEmulator
from .wire import Limits

__all__ = [
    "Clock",
    "CosEmulator",
    "Fault",
    "FaultRule",
    "IdentityEmulator",
    "Limits",
    "RequestRecord",
]

"""Tests that are written as the official SDK is used: blocking, beside the server's loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any


def in_thread(test: Callable[..., None]) -> Callable[..., Awaitable[None]]:
    """Run a blocking test beside the loop that serves it."""

    async def run(**fixtures: Any) -> None:
        await asyncio.to_thread(test, **fixtures)

    run.__doc__, run.__name__ = test.__doc__, test.__name__
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]  # pytest reads it
    return run

"""What a pump does with one body, without the pump's thread.

In: the steps of a body and its socket. Out: what the steps return.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


def driven(steps: Generator[int, bool, T], sock: socket.socket) -> T:
    """Take the steps of one body, waiting for its socket where they do."""
    poll = select.poll()
    try:
        events = next(steps)
        while True:
            poll.register(sock, events)
            events = steps.send(bool(poll.poll(50)) if events else True)
    except StopIteration as end:
        result: T = end.value
        return result

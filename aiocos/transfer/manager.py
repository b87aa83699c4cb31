"""The limits that transfers share, and the defaults they begin with.

In: a TransferConfig. Out: a TransferManager that one client has, or several share.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from aiocos.errors import ParameterError
from aiocos.transfer.hedging import Hedges
from aiocos.transfer.limits import Limits, Priority, Share
from aiocos.units import GIB, MIB

_MAX_PART_MIB: Final = 5 * GIB // MIB
_PRIORITIES: Final = frozenset({"high", "normal", "low"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """Limits for all transfers of a manager, and the defaults of each."""

    single_mib: int = 20
    """Up to this size, in MiB, a file goes up or comes down in one request."""
    copy_single_mib: int = 5 * 1024
    """Below this size, in MiB, COS copies an object in one request."""
    upload_part_mib: int = 1
    """``PartSize`` of an upload that names none, in MiB."""
    download_part_mib: int = 20
    copy_part_mib: int = 10
    stream_part_mib: int = 10
    requests: int = 48
    """Requests at a time that move bytes, of all transfers. A client has 64 connections, if not
    more: what is left is for its other calls."""
    held_mib: int = 256
    """Memory, in MiB, that the parts under way may hold. A stream whose source waits while others
    want memory sends what it has, or holds less than a MiB besides."""
    bytes_per_s: float | None = None
    """Bandwidth of all transfers together; None is no limit."""
    part_timeout_s: float | None = 600.0
    """How long one part may take with its repeats, in seconds."""
    abort_timeout_s: float = 30.0
    """How long a failed transfer may take to abort its upload, in seconds."""
    hedge: bool = False
    """Whether a download asks a second time for a range whose answer is late: after 20 answers,
    twice as late as 19 of 20 of them and 250 ms at the least, for at most one range in twenty,
    and not for 30 seconds after COS was busy. The later answer is dropped unread. It helps where
    few answers are late, and none because of another; MAXThread does not count it."""
    journal_dir: str | Path | None = None
    """Where journals are kept; None is the user's state directory."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.type == "int" and type(getattr(self, item.name)) is not int:
                raise ParameterError(f"TransferConfig({item.name}=) must be an int")
        for name in ("upload_part_mib", "download_part_mib", "copy_part_mib", "stream_part_mib"):
            if not 1 <= getattr(self, name) <= _MAX_PART_MIB:
                raise ParameterError(f"TransferConfig({name}=) must be 1 to {_MAX_PART_MIB} MiB")
        for name in ("single_mib", "copy_single_mib"):
            if not 0 <= getattr(self, name) <= _MAX_PART_MIB:
                raise ParameterError(f"TransferConfig({name}=) must be 0 to {_MAX_PART_MIB} MiB")
        if not isinstance(self.hedge, bool):
            raise ParameterError("TransferConfig(hedge=) must be True or False")
        for name in ("requests", "held_mib"):
            if getattr(self, name) < 1:
                raise ParameterError(f"TransferConfig({name}=) must be 1 or more")
        for name in ("bytes_per_s", "part_timeout_s", "abort_timeout_s"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise ParameterError(f"TransferConfig({name}=) must be more than 0, or None")


class TransferManager:
    """Bounds for the transfers of every client that is given it, in one event loop.

    ``CosS3Client(config, transfers=manager)``; a client that is given none has its own.
    """

    def __init__(self, config: TransferConfig | None = None) -> None:
        self.config = config or TransferConfig()
        self.hedges = Hedges()
        self._limits = Limits(
            self.config.requests, self.config.held_mib * MIB, self.config.bytes_per_s
        )

    def share(self, priority: Priority = "normal") -> Share:
        """Return a new transfer's share of the limits."""
        if priority not in _PRIORITIES:
            raise ParameterError(f"Priority is {priority!r}, and must be high, normal or low")
        return Share(self._limits, priority)

    @property
    def requests(self) -> int:
        """Requests under way."""
        return self._limits.requests.taken

    @property
    def hedged(self) -> int:
        """Second requests so far, for ranges whose answer was late."""
        return self.hedges.total

    @property
    def held_bytes(self) -> int:
        """Memory that parts under way hold, in bytes."""
        return self._limits.memory.taken

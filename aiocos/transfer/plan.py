"""Cut a transfer into parts.

In: a size in bytes and the caller's wishes. Out: a Plan of (number, offset, size). No I/O,
so each limit of COS is tested as arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aiocos.errors import ParameterError
from aiocos.operations.checks import MAX_PARTS, MAX_PUT_BYTES


class Part(NamedTuple):
    """One piece of the object, which travels in one request."""

    number: int
    """From 1 on."""
    offset: int
    size: int

    def __str__(self) -> str:
        return f"part {self.number}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Equal parts in order, but for the last one."""

    size: int
    """Of the whole, in bytes."""
    part_size: int
    count: int

    def part(self, number: int) -> Part:
        """Return one part by its number, 1 to ``count``."""
        offset = (number - 1) * self.part_size
        end = self.size if number == self.count else offset + self.part_size
        return Part(number, offset, end - offset)

    def __iter__(self) -> Iterator[Part]:
        return (self.part(number) for number in range(1, self.count + 1))


def whole(size: int) -> Plan:
    """Plan a transfer of one request."""
    return Plan(size, size, 1)


def upload_plan(size: int, part_size: int, step: int = 1) -> Plan:
    """Plan an upload or a copy: larger parts where 10,000 of this size would not do.

    Every part begins at a multiple of ``step``; where that is not 1, ``part_size`` grows to one.
    """
    part_size = -(-part_size // step) * step
    count = max(1, -(-size // part_size))
    if count > MAX_PARTS:
        count, part_size = MAX_PARTS, size // MAX_PARTS
        if size - (count - 1) * part_size > MAX_PUT_BYTES:
            part_size = -(-size // MAX_PARTS)  # the last part cannot take the whole remainder
        if step > 1:
            part_size = -(-part_size // step) * step
            count = -(-size // part_size)
    plan = Plan(size, part_size, count)
    if max(plan.part(1).size, plan.part(count).size) > MAX_PUT_BYTES:
        raise ParameterError(
            f"{size} bytes are more than {MAX_PARTS} parts of {MAX_PUT_BYTES} bytes can hold"
        )
    return plan


def download_plan(size: int, part_size: int, max_parts: int = MAX_PARTS) -> Plan:
    """Plan a download: parts are doubled until ``max_parts`` of them do."""
    while part_size * max_parts < size:
        part_size *= 2
    return Plan(size, part_size, max(1, -(-size // part_size)))

"""Whatever goes wrong at whatever moment, a transfer ends right or typed, and the next is right.

Rows 6 to 33 of the transfer manager's faults, cell by cell: ``cells.py`` is the table.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.campaigns.cells import CELLS, SAMPLE, Cell
from tests.campaigns.running import run_cell


async def _check(cell, folder, zygote, account):
    asyncio.get_running_loop().set_debug(False)  # the server's loop, which would be slower
    broken = await run_cell(cell, folder, zygote)
    account.note("fault matrix", f"{cell.moment.name}-{cell.fault.name}", cell.name, broken)


@pytest.mark.parametrize("cell", SAMPLE, ids=lambda cell: cell.name)
async def test_sample(cell: Cell, folder, zygote, account):
    """A cell drawn with a fixed seed holds every promise after its fault and one resume."""
    await _check(cell, folder, zygote, account)


@pytest.mark.campaign
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
async def test_cell(cell: Cell, folder, zygote, account):
    """Every cell holds every promise after its fault and one resume."""
    await _check(cell, folder, zygote, account)

"""Every operation meets every kind of failure, and what follows is what the table says.

Rows 20 to 24: ``retry_conformance.toml`` is the table, written by hand. Google's storage
clients are held to 315 such cases.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.campaigns.retry_calls import METHODS, method_of
from tests.campaigns.retry_running import run_cell
from tests.campaigns.retry_table import CELLS, ROWS, SAMPLE, SCENARIOS, Cell


@pytest.fixture(autouse=True)
async def _no_debug() -> None:
    """Thousands of requests: what makes every step of the loop slower is off."""
    asyncio.get_running_loop().set_debug(False)


async def _check(cell: Cell, account) -> None:
    broken = await run_cell(cell)
    account.note("retry conformance", cell.name, cell.name, broken)


def test_every_operation_has_a_row():
    """No operation of the client is without its row in the table, and no row without one."""
    assert {method_of(row) for row in ROWS} == METHODS


def test_the_table_is_whole():
    """Every scenario says what follows for every row it is for, and at least 400 cells do."""
    assert len(CELLS) >= 400
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    for scenario in SCENARIOS:
        assert scenario.expect.keys() <= {"A", "B", "C", "S", *ROWS}
        assert any(scenario.takes(row) for row in ROWS.values())
    for cell in CELLS:
        waits = cell.expected.get("waits", [])
        assert len(waits) <= 4
        assert cell.expected["attempts"] <= 6  # five, and one for a connection closed meanwhile


@pytest.mark.parametrize("cell", SAMPLE, ids=lambda cell: cell.name)
async def test_sample(cell: Cell, account):
    """Rows 20 to 24: a cell drawn with a fixed seed ends as the table says."""
    await _check(cell, account)


ALWAYS = {
    "append_object that begins: another checksum once",
    "list_objects: asked to wait past the deadline",
    "put_object of a stream: 500 InternalError",
    "complete_multipart_upload: half a document each time",
    "post_bucket_inventory: 500, and done",
}


async def test_always(account):
    """Rows 20 to 24: what would hurt most ends as the table says."""
    cells = [cell for cell in CELLS if cell.name in ALWAYS]
    assert len(cells) == len(ALWAYS)
    for cell in cells:
        await _check(cell, account)


@pytest.mark.campaign
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
async def test_cell(cell: Cell, account):
    """Rows 20 to 24: every cell ends as the table says."""
    await _check(cell, account)

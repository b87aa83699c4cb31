"""The server's calendar can be set, moved and brought back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cos_wire import BUCKET, Wire

from aiocos.emulator import Clock, CosEmulator


async def test_a_run_can_begin_at_the_same_time_each_time():
    """What is stored is dated from the start that was asked for; signatures are of today."""
    async with CosEmulator(start=datetime(2026, 1, 1, tzinfo=UTC)) as server:
        wire = Wire(server)
        for _ in range(2):
            await server.put(BUCKET, "k", b"v")
            head = await wire.ask("HEAD", "/k")
            assert head.headers["Last-Modified"].startswith("Thu, 01 Jan 2026 00:00:")
            server.clock.advance(days=3)
            await server.reset()


def test_a_clock_that_goes():
    """A clock that was set goes on, and goes back to where it was."""
    real = [1000.0]
    clock = Clock(lambda: real[0], start=500)
    real[0] += 10
    assert clock.now() == 510
    state = clock.state()
    clock.advance(hours=1)
    clock.skew(7)
    real[0] += 10
    assert (clock.now(), clock.wall()) == (4120, 1027)
    clock.go_back(state)
    assert (clock.now(), clock.wall()) == (510, 1020)
    clock.reset()
    assert clock.now() == 500


def test_a_clock_that_was_only_moved():
    """Moved ahead and back, a clock keeps pace with the real one."""
    real = [1000.0]
    clock = Clock(lambda: real[0])
    clock.advance(seconds=5)
    state = clock.state()
    clock.advance(seconds=50)
    real[0] += 10
    clock.go_back(state)
    assert clock.now() == 1015


@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), -1, 1e12, float("nan")])
def test_a_time_that_cannot_be(moment):
    """A time without a zone, or out of all calendars, is refused and changes nothing."""
    clock = Clock(lambda: 1000.0)
    with pytest.raises(ValueError, match=r"time zone|1970 to 9000"):
        clock.set(moment)
    assert clock.now() == 1000


async def test_rules_hold_after_the_calendar_went_back(server, wire):
    """What is stored after the calendar was put back expires in its own time."""
    rule = (
        b"<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix></Prefix>"
        b"</Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
    )
    await wire.ask("PUT", "/?lifecycle", {}, rule)
    server.clock.advance(days=30)
    assert (await wire.ask("GET", "/k")).status == 404
    server.clock.reset()
    await server.put(BUCKET, "k", b"v")
    assert (await wire.ask("GET", "/k")).status == 200
    server.clock.advance(days=3)
    assert (await wire.ask("GET", "/k")).status == 404

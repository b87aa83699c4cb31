"""How one cell is run: set the stage, let the fault happen, look, resume, look again.

In: a cell. Out: the promises that were broken, none as a rule.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from aiocos.emulator import FaultRule
from tests.campaigns.cells import Cell
from tests.campaigns.children import Zygote
from tests.campaigns.disk import Disk, Trap
from tests.campaigns.stage import HASTY, KEY, MIB, PATIENT, REPLACED, Ended, Stage, staged

_SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
_ENDINGS = {"cancel", "cancel twice", "timeout"}


async def run_cell(cell: Cell, folder: Path, zygote: Zygote) -> list[str]:
    """Run a cell, and return what did not hold."""
    has_old = (cell.parts, cell.workers) != (2, 4)
    async with staged(
        cell.moment.operation, cell.parts, cell.workers, folder, has_old=has_old
    ) as stage:
        stage.options.update(cell.moment.options)
        run = Run(cell, stage)
        run.arm()
        if cell.fault.kind in _SIGNALS:
            await run.in_child(zygote)
        else:
            await run.here()
        run.check_that_it_happened()
        ended = await stage.resume()
        await stage.check_after_resume(ended, bounded=run.is_bounded)
        return [f"{promise} [{run.ended}]" for promise in stage.broken]


class Run:
    """One run of one cell."""

    def __init__(self, cell: Cell, stage: Stage) -> None:
        self.cell, self.stage = cell, stage
        self.ended: Ended | None = None
        self._disk = Disk(stage.journals, stage.target.parent, stage.source)
        self._sprung = 0
        self._fault: Any = None
        self._is_held = False

    @property
    def is_bounded(self) -> bool:
        """Whether what was done before the fault is of use after it."""
        moment, fault = self.cell.moment, self.cell.fault
        if fault.kind in {"lie", "changed"} or moment.name in {"D9", "D10"}:
            return False  # D9, D10: the file has its name, and the next call brings it again
        if moment.name in {"D7", "D8"} and fault.kind != "SIGKILL":
            return False  # it gets its name all the same, or is not trusted: fsync had failed
        return not (moment.request == "HeadObject" and fault.name.startswith("F9"))

    # -- the fault -----------------------------------------------------------

    def arm(self) -> None:
        """Put the fault in place."""
        cell, stage, fault = self.cell, self.stage, self.cell.fault
        if cell.moment.name == "U10":
            # Something must have failed for good before there is an abort.
            first = {"after": cell.parts // 2, "status": 500}
            stage.emulator.add_fault(FaultRule(operation="UploadPart", **first))
        if fault.kind == "net":
            stage.relay.cuts.append(cell.cut(fault.action))
        elif fault.kind == "answer":
            self._arm_answer(dict(fault.action))
        elif fault.kind == "changed":
            self._arm_change()
        elif fault.kind == "lie":
            self._add(cell.rule(cell.lie))
        elif fault.kind == "skew":
            self._add(FaultRule(**fault.action))
        elif fault.kind == "rule":
            self._add(cell.rule(fault.action))
        elif fault.kind == "disk":
            self._set_trap(self._fail, always=fault.always)
        elif fault.kind == "short":
            self._set_trap(lambda: None, short=True)
        elif cell.moment.request:
            self._is_held = True
            stage.relay.cuts.append(cell.cut("stall"))

    def _arm_answer(self, what: dict[str, Any]) -> None:
        cell, stage = self.cell, self.stage
        if what["code"] == "NoSuchUpload" and not cell.request.endswith(("load", "Part", "Copy")):
            what["code"] = "NoSuchKey"
        if cell.moment.name == "U3":
            stage.relay.cuts.append(cell.cut(cell.early_answer(what)))
        elif cell.moment.name == "D2":
            self._arm_rest(what)
        else:
            self._add(cell.rule(what))

    def _arm_change(self) -> None:
        cell, stage = self.cell, self.stage
        if cell.moment.operation == "copy":
            self._add(cell.rule({"status": 412, "code": "PreconditionFailed"}))
            return
        rule = {"replace_object": REPLACED, "key": KEY}
        if cell.moment.name == "D2":
            self._arm_rest(rule)
        else:
            self._add(cell.rule(rule))
        stage.expected = REPLACED.encode()

    def _arm_rest(self, what: dict[str, Any]) -> None:
        """Let half of a range come, and the fault meet who asks for the rest."""
        cell = self.cell
        start = (cell.nth - 1) * MIB
        cut = cell.cut("reset")
        cut.nth, cut.times = 1, 1
        if cell.parts > 1:
            cut.request = rf"(?is)GET .*\r\nRange: bytes={start}-"
        self.stage.relay.cuts.append(cut)
        rest = f"bytes={start + cell.moment.offset}-*"
        times = None if cell.fault.always else 1
        self._add(FaultRule(operation=cell.request, range=rest, times=times, **what))

    def _add(self, rule: FaultRule) -> None:
        self._fault = self.stage.emulator.add_fault(rule)

    def _set_trap(self, action: Any, **more: Any) -> None:
        event, nth, after = self.cell.disk_event()

        def spring() -> None:
            self._sprung += 1
            action()

        self._disk.trap = Trap(event, spring, nth, after=after, **more)

    def _fail(self) -> None:
        number = self.cell.fault.action
        raise OSError(number, os.strerror(number))

    def check_that_it_happened(self) -> None:
        """A fault that never was proves nothing."""
        cuts = [cut.count for cut in self.stage.relay.cuts]
        fired = 1 if self._fault is None else self._fault.fired
        traps = 1 if self._disk.trap is None else self._sprung
        self.stage.require(all(cuts) and fired and traps, "the fault never happened")

    # -- in this process -----------------------------------------------------

    async def here(self) -> None:
        """Run the transfer with the fault in this process, and look."""
        cell, stage = self.cell, self.stage
        is_ended = cell.fault.kind in _ENDINGS
        timeouts = HASTY if cell.fault.action == "stall" else PATIENT
        async with stage.client(timeouts) as client:
            task = asyncio.create_task(stage.attempt(client))
            if is_ended and not self._is_held:
                self._set_trap(self._later(lambda: self._end(task)))
            with self._disk:
                if self._is_held:
                    await self._until_held(task)
                    self._end(task)
                self.ended = await task
            if is_ended:
                self._check_ending(task)
            if cell.recovers:
                stage.require(self.ended.error is None, "does not recover by itself")
            await stage.check_after_fault(self.ended, client)

    def _later(self, action: Any) -> Any:
        loop = asyncio.get_running_loop()
        return lambda: loop.call_soon_threadsafe(action)

    async def _until_held(self, task: asyncio.Future[Any]) -> None:
        """Wait until the connection stands still at the moment."""
        waiting = asyncio.create_task(self.stage.relay.cuts[-1].struck.wait())
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def _end(self, task: asyncio.Task[Any]) -> None:
        loop = asyncio.get_running_loop()
        self._ended_at = loop.time()
        if self.cell.fault.kind == "timeout":
            self.stage.limit.reschedule(loop.time())
            return
        task.cancel()
        if self.cell.fault.kind == "cancel twice":
            loop.call_later(0.002, task.cancel)

    def _check_ending(self, task: asyncio.Task[Any]) -> None:
        stage, ended = self.stage, self.ended
        assert ended is not None
        wanted = TimeoutError if self.cell.fault.kind == "timeout" else asyncio.CancelledError
        stage.require(isinstance(ended.error, wanted), "I6: the cancellation was swallowed")
        took_s = ended.at - self._ended_at
        stage.require(took_s < 5.0, f"I6: {took_s:.1f} s from the cancellation to the end")
        if wanted is TimeoutError:
            stage.require(not task.cancelling(), "I6: cancelling() is not what it was")

    # -- in another process --------------------------------------------------

    async def in_child(self, zygote: Zygote) -> None:
        """Run the transfer in a child, end it by a signal, and look."""
        cell, stage = self.cell, self.stage
        number = _SIGNALS[cell.fault.kind]
        trap = None
        if not self._is_held:
            event, nth, after = cell.disk_event()
            trap = {"event": event, "nth": nth, "after": after, "signal": int(number)}
        child = await zygote.spawn(stage, trap)
        if self._is_held:
            ending = asyncio.ensure_future(child.ended())
            await self._until_held(ending)
            child.kill(number)
        async with asyncio.timeout(60):
            status, told = await child.ended()
        self.ended = Ended(error=KeyboardInterrupt(told))
        if number == signal.SIGINT:
            stage.require(told.startswith("KeyboardInterrupt"), f"the child ended by {told!r}")
        else:
            stage.require(status == -number, f"the child was not killed: {status}, {told!r}")
        is_orderly = number == signal.SIGINT
        await stage.check_after_fault(self.ended if is_orderly else None, None)

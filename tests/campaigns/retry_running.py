"""How one cell of the retry table is run: prepare, let it befall the call, and look.

In: a cell. Out: what did not hold, nothing as a rule. What is counted is what came through to
the server's side, with the signatures it bore; the pauses are noted instead of slept.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import aiocos
from aiocos import CosConfig, CosS3Client, Credentials, RetryPolicy, Timeouts
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.operations.spec import Operation
from aiocos.session import Session
from tests.campaigns.retry_calls import CONTENT, OBJECT_METHODS, method_of, stored, way_of
from tests.campaigns.retry_table import Cell
from tests.conftest import BUCKET
from tests.support.faulty import Cut, FaultyRelay
from tests.support.leftovers import assert_nothing_left
from tests.test_operation_table import OTHER_NAMES
from tests.test_settings_table import operation_of

KEYS: Final = 40
_HANGS_S: Final = 300.0
_VOLATILE: Final = {"Date", "UploadId", "VersionId", "NextUploadIdMarker", "x-cos-version-id"}
_IDS: Final = re.compile(r"x-cos-(request|trace)-id|RequestId", re.IGNORECASE)
_TIMES: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|\w{3}, [0-9]{2} \w{3} [0-9: ]+GMT"
)


class Rotating:
    """A provider that has another key pair each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def get_credentials(self, *, refresh: bool = False) -> Credentials:
        self.asked += 1
        return Credentials(f"AKID{self.asked}", f"key{self.asked}")


class Heads(Cut):
    """Breaks nothing, and remembers the head of each request that came."""

    def __init__(self) -> None:
        super().__init__("", "stall")
        self.seen_heads: list[str] = []

    def is_due(self, head: str) -> bool:
        self.seen_heads.append(head)
        return False


@dataclass
class Ran:
    """What there was to see of one run."""

    before: list[list[str]]
    after: list[list[str]]
    result: Any = None
    error: BaseException | None = None
    heads: list[str] = field(default_factory=list)
    """Of the requests that came, as far as it is this operation's method."""
    asked: list[str] = field(default_factory=list)
    """The operations that the server understood."""
    naps: list[float] = field(default_factory=list)
    retries: int = 0
    leftovers: str = ""


_references: dict[str, Ran] = {}


async def run_cell(cell: Cell) -> list[str]:
    """Run a cell, and return what did not hold."""
    row = cell.row.name
    if row not in _references:
        reference = await _run(row, None)
        assert reference.error is None, f"{row} fails where nothing befalls it"
        _references[row] = reference
    return list(_broken(cell, await _run(row, cell), _references[row]))


def table_row(row: str) -> Operation[Any]:
    """The client's own entry for a row."""
    name = method_of(row)
    return OBJECT_METHODS[name] if name in OBJECT_METHODS else operation_of(name)


def _server_name(row: str) -> str:
    name = table_row(row).name
    return OTHER_NAMES.get(name, name)


def _method(row: str) -> str:
    return "PUT" if _server_name(row) != table_row(row).name else table_row(row).method


async def _run(row: str, cell: Cell | None) -> Ran:
    scenario = None if cell is None else cell.scenario
    tls = scenario is not None and "handshake" in scenario.rule
    async with CosEmulator(tls=tls) as emulator, FaultyRelay(emulator.port) as relay:
        for number in range(1, KEYS):
            emulator.add_credentials(f"AKID{number}", f"key{number}")
        await emulator.put(BUCKET, "there", CONTENT)
        way = way_of(row)
        async with CosS3Client(CosConfig(**emulator.settings())) as peaceful:
            made = None if way.prepare is None else await way.prepare(peaceful)
        before = await stored(emulator)
        emulator.forget_requests()
        stage = _Stage(row, cell, emulator, relay)
        with stage.door():
            async with stage.client() as client:
                ran = Ran(before, before)
                task = asyncio.create_task(_called(way.call(client, made), ran))
                stage.task = task
                await asyncio.wait({task}, timeout=_HANGS_S)
                assert task.done(), f"{row} hangs"
                ran.retries = client.get_retry_exe_times()
                try:
                    assert_nothing_left(client)
                except AssertionError as error:
                    ran.leftovers = str(error) or "something is left over"
        emulator.heal()
        ran.after = await stored(emulator)
        ran.naps = stage.naps
        ran.asked = [record.operation for record in emulator.requests]
        ran.heads = stage.heads()
        return ran


async def _called(call: Any, ran: Ran) -> None:
    try:
        ran.result = await call
    except (Exception, asyncio.CancelledError) as error:
        ran.error = error


class _Stage:
    """What stands between the client and the server for one run."""

    def __init__(
        self, row: str, cell: Cell | None, emulator: CosEmulator, relay: FaultyRelay
    ) -> None:
        self.row, self.cell = row, cell
        self.emulator, self.relay = emulator, relay
        self.naps: list[float] = []
        self.task: asyncio.Task[None] | None = None
        self._door: socket.socket | None = None
        self._listening: asyncio.Server | None = None
        self._heads = Heads()
        relay.cuts.append(self._heads)
        if cell is not None:
            self._arm(cell)

    @property
    def is_tls(self) -> bool:
        return self.cell is not None and "handshake" in self.cell.scenario.rule

    def _arm(self, cell: Cell) -> None:
        scenario = cell.scenario
        if scenario.rule:
            named = {} if self.is_tls else {"operation": _server_name(self.row)}
            self.emulator.add_fault(FaultRule(**(named | scenario.rule)))
        if scenario.cut:
            given = dict(scenario.cut)
            action = given.pop("answer", "").encode() or given.pop("action")
            self.relay.cuts.append(Cut(rf"{_method(self.row)} ", action, **given))

    @contextlib.contextmanager
    def door(self) -> Any:
        """A port at which nobody listens, where the scenario wants one."""
        if self.cell is None or not self.cell.scenario.event.startswith("refused"):
            yield
            return
        with socket.create_server(("127.0.0.1", 0)) as door:
            self._door = door
            self._port = door.getsockname()[1]
            door.close()
            yield
            if self._listening is not None:
                self._listening.close()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[CosS3Client]:
        scenario = None if self.cell is None else self.cell.scenario
        settings = dict(self.emulator.settings())
        if not self.is_tls:
            port = self.relay.port if self._door is None else self._port
            settings |= {"Port": port, "ServiceDomain": f"127.0.0.1:{port}"}
        if scenario is None or scenario.keys == "rotating":
            settings |= {"SecretId": None, "SecretKey": None, "CredentialInstance": Rotating()}
        timeouts = Timeouts(**(scenario.timeouts if scenario else {}))
        policy = RetryPolicy(deadline=scenario.deadline if scenario else 120.0)
        draw = min if scenario is not None and scenario.draw == "min" else max
        async with CosS3Client(CosConfig(**settings, Timeouts=timeouts), policy) as client:
            client._session = Session(client.config, policy, sleep=self._nap, uniform=draw)
            yield client

    async def _nap(self, seconds: float) -> None:
        """Note a pause, and let happen what is to happen in it."""
        self.naps.append(seconds)
        event = "" if self.cell is None else self.cell.scenario.event
        if event == "refused once" and self._listening is None:
            self._listening = await asyncio.start_server(
                self.relay._accept, "127.0.0.1", self._port
            )
        if event == "cancel in the second pause" and len(self.naps) == 2 and self.task:
            self.task.cancel()
        await asyncio.sleep(0)

    def heads(self) -> list[str]:
        """What came, by its method; over TLS, what the server noted of it."""
        method = _method(self.row)
        if not self.is_tls:
            seen = self._heads.seen_heads
            return [head for head in seen if head.startswith(f"{method} ")]
        lines = []
        for record in self.emulator.requests:
            told = "\r\n".join(f"{name}: {value}" for name, value in record.headers)
            lines.append(f"{record.method} {record.raw_path}\r\n{told}")
        return [line for line in lines if line.startswith(f"{method} ")]


# -- what must hold


def _broken(cell: Cell, ran: Ran, reference: Ran) -> Any:
    expected = cell.expected
    ended = "ok" if ran.error is None else type(ran.error).__name__
    if ended != expected["ends"]:
        yield f"ended {ended} ({ran.error}), not {expected['ends']}"
    if len(ran.heads) != expected["attempts"]:
        yield f"{len(ran.heads)} attempts came, not {expected['attempts']}: {ran.asked}"
    if ran.naps != expected.get("waits", []):
        yield f"waited {ran.naps}, not {expected.get('waits', [])}"
    if ran.retries != len(ran.naps):
        yield f"{ran.retries} retries are told, and there were {len(ran.naps)} pauses"
    if ran.leftovers:
        yield f"left over: {ran.leftovers}"
    yield from _broken_state(cell, ran, reference)
    yield from _broken_marks(cell, ran)
    yield from _broken_looks(cell, ran)
    if ran.error is None:
        yield from _broken_result(cell, ran, reference)
    else:
        yield from _broken_error(cell, ran)


def _broken_state(cell: Cell, ran: Ran, reference: Ran) -> Any:
    if cell.done == 0 and ran.after != ran.before:
        yield f"it took effect: {ran.before} became {ran.after}"
    if cell.done == 1 and ran.after != reference.after:
        yield f"the server holds {ran.after}, not {reference.after}"
    if cell.done == 2:
        grown = [len(now) - len(then) for now, then in zip(ran.after, ran.before, strict=True)]
        once = [
            len(now) - len(then)
            for now, then in zip(reference.after, reference.before, strict=True)
        ]
        if grown != [2 * more for more in once] or not any(once):
            yield f"it took effect {grown} times, and once is {once}"


def _broken_marks(cell: Cell, ran: Ran) -> Any:
    start = cell.expected.get("marked_from", cell.scenario.marked_from)
    marks = ["x-cos-sdk-retry: true" in head for head in ran.heads]
    if marks != [number >= start for number in range(len(ran.heads))]:
        yield f"marked as repeats: {marks}"
    signed = [re.search("q-ak=(AKID[0-9]+)", head) for head in ran.heads]
    if cell.scenario.keys == "rotating" and all(signed):
        names = [one[1] for one in signed if one]
        if len(set(names)) != len(names):
            yield f"not signed anew: {names}"


def _broken_looks(cell: Cell, ran: Ran) -> Any:
    if cell.row.group != "B" or "DamagedUploadError" in cell.expected["ends"]:
        return
    name = _server_name(cell.row.name)
    looked = [asked for asked in ran.asked if asked != name]
    times = cell.expected["attempts"] if cell.expected["ends"] != "ok" else 1
    expected = cell.looks * times
    if looked != expected:
        yield f"looked {looked}, not {expected}"


def _broken_result(cell: Cell, ran: Ran, reference: Ran) -> Any:
    orphans = cell.expected.get("orphans")
    if isinstance(ran.result, dict) and ran.result.get("possible_orphans") != orphans:
        yield f"possible_orphans is {ran.result.get('possible_orphans')}, not {orphans}"
    if cell.row.group == "A" and _plain(ran.result) != _plain(reference.result):
        yield f"the result is {_plain(ran.result)}, not {_plain(reference.result)}"


def _broken_error(cell: Cell, ran: Ran) -> Any:
    error, expected = ran.error, cell.expected
    for name, attribute in (
        ("status", "status"),
        ("code", "code"),
        ("retry_after", "retry_after_s"),
    ):
        if name in expected and getattr(error, attribute, None) != expected[name]:
            yield f"{name} is {getattr(error, attribute, None)}, not {expected[name]}"
    if isinstance(error, aiocos.AmbiguousResultError):
        if not isinstance(error.__cause__, aiocos.CosException):
            yield "an error in doubt without its cause"
        return
    if not isinstance(error, aiocos.CosException):
        return
    tries = expected.get("tries", expected["attempts"])
    told = [note for note in getattr(error, "__notes__", []) if "attempts" in note]
    if told != ([f"aiocos made {tries} attempts"] if tries > 1 else []):
        yield f"of {tries} attempts it tells {told}"
    notes = " ".join(getattr(error, "__notes__", []))
    if cell.row.group == "S" and not ran.naps and "cannot be read twice" not in notes:
        yield "it does not say that the body cannot be read twice"


def _plain(value: Any) -> Any:
    """A result without what chance and the hour decide."""
    if isinstance(value, dict):
        return {
            name: _plain(item)
            for name, item in value.items()
            if name not in _VOLATILE and not _IDS.fullmatch(name)
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _TIMES.sub("T", value) if isinstance(value, str) else value

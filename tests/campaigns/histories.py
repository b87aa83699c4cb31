"""Eight clients at once on a few keys, and what each one saw.

In: a server, a seed. Out: for each key the operations on it, each with when it was called, when
it returned and what it reports; ``linear`` says whether they can be explained. Values are never
written twice, so that a reader tells whose write it sees. What raised an error that leaves it
open may have taken effect, at any time after it began.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

import aiocos
from aiocos import CosConfig, CosS3Client
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.emulator.faults import Fault
from aiocos.watching import Observer
from tests.campaigns.linear import NEVER, Effect, Operation, State
from tests.campaigns.strikes import KINDS
from tests.campaigns.world import POLICY, SHORT, Ended

CLIENTS: Final = 8
REGISTERS: Final = ("r/0", "r/1")
ONCE: Final = ("once/0", "once/1")
CHAINS: Final = ("chain/0", "chain/1")
LOGS: Final = ("log/0", "log/1")
KEYS: Final = (*REGISTERS, *ONCE, *CHAINS, *LOGS)
SHARE: Final = 0.012
"""Of requests, for each kind of fault."""
PASSING: Final = tuple(kind for kind in KINDS if kind.name != "a wrong byte in the request")
"""Without damage on the way up, which others can see until it is repaired: COS stores it."""
_ANY: Final = "any value"
"""Of a copy whose answer was lost: nobody knows what it took."""
_REFUSED: Final = (aiocos.PreconditionError, aiocos.NotFoundError)


class Repeats(Observer):
    """Counts what a client repeats."""

    def __init__(self) -> None:
        self.count = 0

    def operation(self, call: object) -> Any:
        return nullcontext()

    def attempt(self, call: object) -> Any:
        return nullcontext()

    def repeating(self, operation: str, error: object, delay_s: float) -> None:
        self.count += 1

    def batch(self, operation: str, bucket: str) -> Any:
        return nullcontext()

    def transfer(self, operation: str, bucket: str, key: str) -> Any:
        return nullcontext(lambda _event: None)


class History:
    """What everybody saw, by key."""

    def __init__(self) -> None:
        self.clock = itertools.count(1)
        self.operations: dict[str, list[Operation]] = defaultdict(list)
        self.values: dict[str, bytes] = {}
        """By ETag."""
        self.errors: Counter[str] = Counter()
        self.calls = 0

    def value(self) -> bytes:
        """Bytes that were never written before."""
        made = b"value %d;" % next(self.clock)
        self.values[hashlib.md5(made).hexdigest()] = made
        return made

    def of_etag(self, etag: str) -> bytes:
        """What has this ETag; what nobody wrote is a value that nobody wrote."""
        return self.values.get(etag.strip('"'), etag.encode())


def seen(value: bytes | None) -> Effect:
    """A read of this value."""

    def effect(state: State) -> list[State]:
        if state == _ANY and value is not None:
            return [value]
        return [state] if state == value else []

    return effect


def became(value: State) -> Effect:
    """A write."""
    return lambda _state: [value]


def if_absent(value: bytes) -> Effect:
    return lambda state: [value] if state is None else []


def if_it_was(old: bytes, value: bytes) -> Effect:
    return lambda state: [value] if state == old else []


def grew(position: int, data: bytes) -> Effect:
    def effect(state: State) -> list[State]:
        content = state or b""
        assert isinstance(content, bytes)
        return [content + data] if len(content) == position else []

    return effect


def refused(effect: Effect) -> Effect:
    """It could not have happened, and left everything as it was."""
    return lambda state: [] if list(effect(state)) else [state]


def of_size(size: int) -> Effect:
    """A list told this size."""
    return lambda state: [state] if isinstance(state, bytes) and len(state) == size else []


@dataclass
class Span:
    """When a call began and ended, and how."""

    begun: int
    ended: int
    repeats: int
    how: Ended


class Client:
    """One of the eight: its own client, its own chance, one call after the other."""

    def __init__(self, emulator: CosEmulator, bucket: str, history: History, seed: str) -> None:
        self.bucket, self.history, self.name = bucket, history, seed
        self.chance = random.Random(seed)
        self.repeats = Repeats()
        config = CosConfig(**emulator.settings(), Timeouts=SHORT)
        self.cos = CosS3Client(config, POLICY, telemetry=self.repeats)
        self.latest: dict[str, bytes] = {}
        """What this client last saw under each key."""

    async def run(self, count: int) -> None:
        """Make so many calls."""
        async with self.cos:
            for _ in range(count):
                await self.act()
                await asyncio.sleep(self.chance.choice([0, 0, 0.005]))

    async def act(self) -> None:
        kind = self.chance.choice(["r", "r", "r", "once", "chain", "log", "list"])
        if kind == "list":
            await self.list()
            return
        key = f"{kind}/{self.chance.randrange(2)}"
        ways: dict[str, list[Any]] = {
            "r": [self.put, self.put, self.get, self.get, self.head, self.delete, self.copy],
            "once": [self.put_once, self.get],
            "chain": [self.exchange, self.exchange, self.get],
            "log": [self.append, self.append, self.get],
        }
        await self.chance.choice(ways[kind])(key)

    async def call(self, work: Awaitable[Any]) -> Span:
        """Make one call; only typed errors may come."""
        self.history.calls += 1
        begun, before = next(self.history.clock), self.repeats.count
        how = Ended()
        try:
            async with asyncio.timeout(300):
                how.result = await work
        except aiocos.CosException as error:
            how.error = error
            self.history.errors[type(error).__name__] += 1
        return Span(begun, next(self.history.clock), self.repeats.count - before, how)

    def note(self, key: str, name: str, span: Span, effect: Effect) -> None:
        """Write down what took effect once, between call and return."""
        told = f"{self.name} {name}"
        self.history.operations[key].append(Operation(told, span.begun, span.ended, effect))

    def maybe(self, key: str, name: str, span: Span, effect: Effect, ended: float = NEVER) -> None:
        """Write down what may have taken effect."""
        told = f"{self.name} maybe {name}"
        one = Operation(told, span.begun, ended, effect, is_certain=False)
        self.history.operations[key].append(one)

    def wrote(self, key: str, name: str, span: Span, effect: Effect, lost: Effect) -> None:
        """Write down a write that may be repeated; the last one to win is the last one sent."""
        if span.how.error is None:
            self.note(key, name, span, effect)
            for _ in range(span.repeats):
                self.maybe(key, name, span, lost, span.ended)
        else:
            for _ in range(span.repeats + span.how.is_open):
                self.maybe(key, name, span, lost)

    # -- calls

    async def put(self, key: str) -> None:
        value = self.history.value()
        span = await self.call(self.cos.put_object(self.bucket, value, key))
        self.wrote(key, f"put {value!r}", span, became(value), became(value))

    async def delete(self, key: str) -> None:
        span = await self.call(self.cos.delete_object(self.bucket, key))
        self.wrote(key, "delete", span, became(None), became(None))

    async def copy(self, key: str) -> None:
        """The source is read and the copy is written, each at some time during the call."""
        source = REGISTERS[key == REGISTERS[0]]
        origin: Any = {"Bucket": self.bucket, "Key": source, "Region": self.cos.config.Region}
        span = await self.call(self.cos.copy_object(self.bucket, key, origin))
        if isinstance(span.how.error, aiocos.NotFoundError):
            self.note(source, "copy from nothing", span, seen(None))
            for _ in range(span.repeats):
                self.maybe(key, "copy", span, became(_ANY))
            return
        value = None
        if span.how.error is None:
            value = self.history.of_etag(span.how.result["ETag"])
            self.note(source, f"copy from {value!r}", span, seen(value))
        self.wrote(key, f"copy {value!r}", span, became(value), became(_ANY))

    async def put_once(self, key: str) -> None:
        value = self.history.value()
        work = self.cos.put_object(self.bucket, value, key, IfNoneMatch="*")
        self.conditional(key, f"if absent {value!r}", await self.call(work), if_absent(value))

    async def exchange(self, key: str) -> None:
        """Replace what was last seen by something new, if it is still that."""
        old, value = self.latest.get(key), self.history.value()
        if old is None:
            await self.get(key)
            return
        etag = f'"{hashlib.md5(old).hexdigest()}"'
        work = self.cos.put_object(self.bucket, value, key, IfMatch=etag)
        span = await self.call(work)
        self.conditional(key, f"{old!r} to {value!r}", span, if_it_was(old, value))
        if span.how.error is None:
            self.latest[key] = value
        else:
            self.latest.pop(key)

    async def append(self, key: str) -> None:
        """Add to where the end was last seen."""
        position, data = len(self.latest.get(key, b"")), self.history.value()
        span = await self.call(self.cos.append_object(self.bucket, key, position, data))
        self.conditional(key, f"append at {position} {data!r}", span, grew(position, data))
        if span.how.error is None:
            self.latest[key] = self.latest.get(key, b"") + data
        else:
            await self.get(key)

    def conditional(self, key: str, name: str, span: Span, effect: Effect) -> None:
        """A write with a condition takes effect once, or is refused, or it is said to be open."""
        error = span.how.error
        if error is None:
            self.note(key, name, span, effect)
        elif isinstance(error, _REFUSED):
            self.note(key, f"refused: {name}", span, refused(effect))
        elif isinstance(error, aiocos.AmbiguousResultError):
            self.maybe(key, name, span, effect)

    async def get(self, key: str) -> None:
        span = await self.call(self._content(key))
        if span.how.error is None:
            self.latest[key] = span.how.result
            self.note(key, f"get {span.how.result!r}", span, seen(span.how.result))
        elif isinstance(span.how.error, aiocos.NotFoundError):
            self.latest.pop(key, None)
            self.note(key, "get nothing", span, seen(None))

    async def _content(self, key: str) -> bytes:
        response = await self.cos.get_object(self.bucket, key)
        async with response["Body"] as body:
            return await body.read()

    async def head(self, key: str) -> None:
        span = await self.call(self.cos.head_object(self.bucket, key))
        if span.how.error is None:
            value = self.history.of_etag(span.how.result["ETag"])
            self.note(key, f"head {value!r}", span, seen(value))
        elif isinstance(span.how.error, aiocos.NotFoundError):
            self.note(key, "head nothing", span, seen(None))

    async def list(self) -> None:
        """Each page is of one moment, so each line of it is a read of its key."""
        span = await self.call(self._listed())
        if span.how.error is not None:
            return
        for key in KEYS:
            one = span.how.result.get(key)
            if one is None:
                self.note(key, "not listed", span, seen(None))
            elif key in LOGS:
                self.note(key, "listed", span, of_size(int(one["Size"])))
            else:
                value = self.history.of_etag(one["ETag"])
                self.note(key, f"listed {value!r}", span, seen(value))

    async def _listed(self) -> dict[str, Any]:
        size = self.chance.choice([2, 3, 1000])
        listed = self.cos.iter_objects(Bucket=self.bucket, MaxKeys=size)
        return {one["Key"]: one async for one in listed}


def faults(emulator: CosEmulator, seed: int) -> dict[str, Fault]:
    """Let each kind of fault strike a small share of requests, and some be slow."""
    in_force = {}
    for number, kind in enumerate(PASSING):
        for operation in sorted(kind.only) or ["*"]:
            rule = {"probability": SHARE, "seed": seed * 100 + number, **kind.rule}
            fault = emulator.add_fault(FaultRule(operation=operation, **rule))
            in_force[f"{kind.name} {operation}"] = fault
    emulator.add_fault(FaultRule(delay_s=0.01, probability=0.2, seed=seed))
    return in_force


async def record(
    emulator: CosEmulator, bucket: str, seed: int, calls: int
) -> tuple[History, Counter[str]]:
    """Let eight clients loose on a bucket; what they saw, and how often each fault struck."""
    history = History()
    await emulator.create_bucket(bucket)
    for key in CHAINS:
        value = history.value()
        await emulator.put(bucket, key, value)
        history.operations[key].append(Operation("first", 0, 0, became(value)))
    in_force = faults(emulator, seed)
    clients = [Client(emulator, bucket, history, f"{seed}.{number}") for number in range(CLIENTS)]
    try:
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                share = calls // CLIENTS + (number < calls % CLIENTS)
                group.create_task(client.run(share))
    finally:
        emulator.heal()
        emulator.forget_requests()
    await last_look(emulator, bucket, history)
    await emulator.drop_bucket(bucket)
    fired = Counter[str]()
    for name, fault in in_force.items():
        fired[name.rpartition(" ")[0]] += fault.fired
    return history, fired


async def last_look(emulator: CosEmulator, bucket: str, history: History) -> None:
    """Once all is quiet: what is there in the end, by the server's own account."""
    client = Client(emulator, bucket, history, "last")
    async with client.cos:
        for key in KEYS:
            await client.get(key)
    emulator.forget_requests()

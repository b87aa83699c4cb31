"""Fixtures for tests of code that uses COS; pytest finds them by itself.

In: fixture names in a test's arguments, and ``@pytest.mark.cos``. Out: a local server in a thread
of its own, one for the session (and for each process of pytest-xdist), so that any event loop,
or none, can use it; what a test changes in it is gone after the test. Neither server nor client
is loaded before the first fixture is used.

    async def test_upload(cos_client, cos_bucket):
        await cos_client.put_object(cos_bucket, b"hello", "a.txt")
        assert await cos_client.object_exists(cos_bucket, "a.txt")

PYTEST_DONT_REWRITE: a filter for the warning below loads this before pytest would rewrite it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.emulator import Fault, FaultRule, IdentityEmulator, ThreadedEmulator

_MARKER: Final = """\
cos(seed=None, buckets=(), clock=None): what the local COS is like for this test. seed: {key: \
content}, or a folder, for cos_bucket; buckets: further names, or {name: {key: content}}; clock: a \
timedelta by which it moves ahead after all that is stored, which is then that old; or the \
datetime it is when that is stored."""
_WISHES: Final = frozenset({"seed", "buckets", "clock"})
_numbers: Final = count(1)


class UnfiredFaultWarning(UserWarning):
    """A fault of ``cos_faults`` never fired: the test did not see what it is about.

    ``filterwarnings = ["error::aiocos.pytest_plugin.UnfiredFaultWarning"]`` makes it an error.
    """


class CosFaults:
    """Faults of one test."""

    def __init__(self, server: ThreadedEmulator) -> None:
        self._server = server
        self.added: list[Fault] = []

    def add(self, rule: FaultRule) -> Fault:
        """Put a rule in force; what is returned counts how often it fired."""
        self.added.append(self._server.add_fault(rule))
        return self.added[-1]

    def fail(self, operation: str = "*", **rule: Any) -> Fault:
        """Put a rule in force that answers 500, unless told otherwise."""
        self.added.append(self._server.fail(operation, **rule))
        return self.added[-1]

    def heal(self) -> None:
        """Drop the rules of this test."""
        for fault in self.added:
            self._server.drop_fault(fault)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def cos_emulator_options() -> dict[str, Any]:
    """Keywords of ``CosEmulator`` for ``cos_emulator``; to be overridden."""
    return {}


@pytest.fixture(scope="session")
def cos_emulator(cos_emulator_options: Mapping[str, Any]) -> Iterator[ThreadedEmulator]:
    """A local COS in a thread, for the whole session.

    Its faults, its clock and its account of requests begin anew with each test.
    """
    from aiocos.emulator import CosEmulator  # noqa: PLC0415 - most sessions never use it

    with CosEmulator.in_thread(**cos_emulator_options) as server:
        yield server


@pytest.fixture
def cos_bucket(cos_emulator: ThreadedEmulator) -> Iterator[str]:
    """The name of a bucket of the test's own, which ends with it."""
    name = f"test{next(_numbers)}-{cos_emulator.appid}"
    cos_emulator.create_bucket(name)
    yield name
    cos_emulator.drop_bucket(name)


@pytest.fixture
def cos_client(cos_emulator: ThreadedEmulator) -> Iterator[CosS3Client]:
    """An ``aiocos`` client of ``cos_emulator``, to be used as it is; it is closed by itself.

    It repeats requests as any client, but hardly waits before.
    """
    from aiocos import CosConfig, RetryPolicy  # noqa: PLC0415 - they bring aiohttp
    from aiocos.looped import LoopedClient  # noqa: PLC0415

    policy = RetryPolicy(base=0.001, throttle_base=0.001)
    client = LoopedClient(CosConfig(**cos_emulator.settings()), retry=policy)
    yield client
    client.close_now()


@pytest.fixture
def cos_faults(cos_emulator: ThreadedEmulator) -> Iterator[CosFaults]:
    """Lets requests go wrong: ``cos_faults.fail("PutObject", times=1)``.

    The rules end with the test; one that never fired is an ``UnfiredFaultWarning``.
    """
    faults = CosFaults(cos_emulator)
    yield faults
    faults.heal()
    for fault in faults.added:
        if not fault.fired:
            told = f"this fault saw {fault.seen} requests and never fired: {fault.rule.to_dict()}"
            warnings.warn(UnfiredFaultWarning(told), stacklevel=1)


@pytest.fixture
def cos_identity(cos_emulator: ThreadedEmulator) -> Iterator[IdentityEmulator]:
    """STS and a CVM's metadata service; ``cos_emulator`` accepts the keys they give."""
    with cos_emulator.identity() as identity:
        yield identity


@pytest.fixture(autouse=True)
def _cos_for_this_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Do what the marker says, and let one test know nothing of another."""
    marker = request.node.get_closest_marker("cos")
    if marker is None and "cos_emulator" not in request.fixturenames:
        yield
        return
    server: ThreadedEmulator = request.getfixturevalue("cos_emulator")
    wishes = {} if marker is None else _wishes(marker)
    faults = set(server.faults)
    made: list[str] = []
    server.forget_requests()
    try:
        _prepare(request, server, wishes, made)
        yield
    finally:
        for name in made:
            server.drop_bucket(name)
        for fault in set(server.faults) - faults:
            server.drop_fault(fault)
        server.reset_clock()


def _wishes(marker: pytest.Mark) -> Mapping[str, Any]:
    if marker.args or not set(marker.kwargs) <= _WISHES:
        raise pytest.UsageError(f"@pytest.mark.{_MARKER}")
    return marker.kwargs


def _prepare(
    request: pytest.FixtureRequest,
    server: ThreadedEmulator,
    wishes: Mapping[str, Any],
    made: list[str],
) -> None:
    """Make the server what the test wishes; ``made`` are then the buckets that were not there."""
    clock, seed, buckets = (wishes.get(name) for name in ("clock", "seed", "buckets"))
    if isinstance(clock, datetime):
        server.set_time(clock)
    elif not isinstance(clock, timedelta | None):
        raise pytest.UsageError(f"clock={clock!r}: it is a timedelta, or a datetime with tzinfo")
    if seed is not None:
        contents = Path(seed) if isinstance(seed, str) else seed
        server.seed({request.getfixturevalue("cos_bucket"): contents})
    if buckets:
        from aiocos.emulator.seeding import bucket_name  # noqa: PLC0415 - most never use it

        names = [buckets] if isinstance(buckets, str) else list(buckets)
        known = {bucket["name"] for bucket in server.state()}
        made += {bucket_name(name, server.appid) for name in names} - known
        server.seed(buckets if isinstance(buckets, Mapping) else {name: {} for name in names})
    if isinstance(clock, timedelta):  # last: what was stored is then as old as that
        server.advance(seconds=clock.total_seconds())

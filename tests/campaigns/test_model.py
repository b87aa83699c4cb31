"""Whatever is done in whatever order, with whatever going wrong, a bucket is as a dict would be.

A step is drawn, and what goes wrong with it; the result is right, or a typed error, and the
bucket is what the model says, on the way and in the end. ``AIOCOS_CAMPAIGN_SEQUENCES`` is how
many sequences a campaign runs, fifty in each test, so that ``-n 2`` shares them out;
``AIOCOS_CAMPAIGN_SEED`` is the first test's seed. What fails tells its steps, and its seed is in
the test's name: ``AIOCOS_CAMPAIGN_SEED=17 AIOCOS_CAMPAIGN_SEQUENCES=50`` takes the same steps as
``test_sequences[seed 17]`` did.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from aiocos.emulator import CosEmulator
from tests.campaigns import reading, steps, uploading
from tests.campaigns.strikes import never_fired, numbers
from tests.campaigns.world import World
from tests.support.jumping import jumping

log = logging.getLogger("aiocos")
SEQUENCES = int(os.environ.get("AIOCOS_CAMPAIGN_SEQUENCES", "2000"))
FIRST_SEED = int(os.environ.get("AIOCOS_CAMPAIGN_SEED", "0"))
AT_ONCE = 50
STEPS = 50
CHECK_EVERY = 8

keys = st.sampled_from(["a", "a/b", "a/c/d", "b c+%2F", "e//", "é"])
# Of integers the smallest and the well known ones are drawn far more often.
strikes = st.binary(min_size=2, max_size=2).map(lambda drawn: int.from_bytes(drawn, "big"))
sizes = st.sampled_from([1, 40, 3000])
picks = st.integers(0, 5)
pages = st.integers(1, 4)


class Scene:
    """What all sequences of a run share: a loop, a server, and what was counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = jumping()
        self.numbers = itertools.count(1)
        self.fired: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.sequences = 0

    def __enter__(self) -> Scene:
        self.runner.__enter__()
        self.level = log.level
        log.setLevel(logging.CRITICAL)  # each fault is told of, which is most of the time
        self.emulator = self.runner.run(CosEmulator(min_part_size=1).start())
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.emulator.close())
        self.runner.close()
        log.setLevel(self.level)


class Machine(RuleBasedStateMachine):
    """Draws the steps."""

    scene: ClassVar[Scene]

    def __init__(self) -> None:
        super().__init__()
        self.world: World

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Take one step, and look at everything now and then."""
        self.taken += 1
        try:
            self.scene.runner.run(work)
            if self.taken % CHECK_EVERY == 0:
                self.scene.runner.run(self.world.check())
        except BaseException as error:
            error.add_note("\n".join(["steps:", *self.world.told]))
            raise

    @initialize(status=st.sampled_from(["", "", "Enabled"]))
    def begin(self, status: str) -> None:
        self.taken = 0
        scene = self.scene
        bucket = f"model{next(scene.numbers)}-1250000000"
        folder = scene.folder / bucket
        folder.mkdir()
        scene.runner.run(scene.emulator.create_bucket(bucket))
        self.world = World(scene.emulator, bucket, folder)
        if status:
            scene.runner.run(reading.versioning(self.world, status))

    def teardown(self) -> None:
        """See that everything is as it should be, and count."""
        if not hasattr(self, "world"):
            return
        world, scene = self.world, self.scene
        try:
            self.run(world.check())
        finally:
            scene.runner.run(world.client.aclose())
            scene.runner.run(scene.emulator.drop_bucket(world.bucket))
            shutil.rmtree(world.folder)
            scene.fired += world.fired
            scene.steps += world.steps
            scene.sequences += 1

    @rule(
        key=keys,
        size=sizes,
        how=st.sampled_from(["", "", "if absent", "forbid overwrite", "if match", "if other"]),
        strike=strikes,
    )
    def put(self, key: str, size: int, how: str, strike: int) -> None:
        self.run(steps.put(self.world, key, size, how, strike))

    @rule(key=keys, size=sizes, is_right=st.sampled_from([True, True, False]), strike=strikes)
    def append(self, key: str, size: int, is_right: bool, strike: int) -> None:
        self.run(steps.append(self.world, key, size, is_right, strike))

    @rule(
        source=keys,
        key=keys,
        how=st.sampled_from(["copy_object", "copy", "move"]),
        strike=strikes,
    )
    def copy(self, source: str, key: str, how: str, strike: int) -> None:
        self.run(steps.copy(self.world, source, key, how, strike))

    @rule(key=keys, which=picks, strike=strikes)
    def delete(self, key: str, which: int, strike: int) -> None:
        self.run(steps.delete(self.world, key, which, strike))

    @rule(chosen=st.lists(keys, min_size=1, max_size=3, unique=True), strike=strikes)
    def delete_many(self, chosen: list[str], strike: int) -> None:
        self.run(steps.delete_many(self.world, chosen, strike))

    @rule(key=keys, strike=strikes)
    def create(self, key: str, strike: int) -> None:
        self.run(uploading.create(self.world, key, strike))

    @rule(which=picks, number=st.integers(1, 3), size=sizes, strike=strikes)
    def part(self, which: int, number: int, size: int, strike: int) -> None:
        self.run(uploading.part(self.world, which, number, size, strike))

    @rule(which=picks, number=st.integers(1, 3), source=keys, strike=strikes)
    def part_copy(self, which: int, number: int, source: str, strike: int) -> None:
        self.run(uploading.part_copy(self.world, which, number, source, strike))

    @rule(which=picks, page=pages, strike=strikes)
    def parts(self, which: int, page: int, strike: int) -> None:
        self.run(uploading.parts(self.world, which, page, strike))

    @rule(which=picks, is_wrong=st.sampled_from([False, False, False, True]), strike=strikes)
    def complete(self, which: int, is_wrong: bool, strike: int) -> None:
        self.run(uploading.complete(self.world, which, is_wrong, strike))

    @rule(which=picks, strike=strikes)
    def abort(self, which: int, strike: int) -> None:
        self.run(uploading.abort(self.world, which, strike))

    @rule(key=keys, is_large=st.booleans(), kept=st.booleans(), strike=strikes)
    def upload_file(self, key: str, is_large: bool, kept: bool, strike: int) -> None:
        self.run(uploading.upload_file(self.world, key, is_large, kept, strike))

    @rule(key=keys, strike=strikes)
    def download_file(self, key: str, strike: int) -> None:
        self.run(uploading.download_file(self.world, key, strike))

    @rule(key=keys, first=st.sampled_from([0, 0, 1, 30]), which=picks, strike=strikes)
    def read(self, key: str, first: int, which: int, strike: int) -> None:
        self.run(reading.read(self.world, key, first, which, strike))

    @rule(key=keys, strike=strikes)
    def head(self, key: str, strike: int) -> None:
        self.run(reading.head(self.world, key, strike))

    @rule(
        prefix=st.sampled_from(["", "", "a", "a/", "é", "none"]),
        delimiter=st.sampled_from(["", "/"]),
        page=pages,
        strike=strikes,
    )
    def listing(self, prefix: str, delimiter: str, page: int, strike: int) -> None:
        self.run(reading.listing(self.world, prefix, delimiter, page, strike))

    @rule(status=st.sampled_from(["Enabled", "Suspended"]), how=st.integers(0, 7))
    def versioning(self, status: str, how: int) -> None:
        if self.world.model.versioning or how == 0:
            self.run(reading.versioning(self.world, status))


def run_sequences(number: int, drawn_by: int, folder: Path, account: Any) -> Scene:
    """Run so many sequences, and write down what was done."""

    @seed(drawn_by)
    class Drawn(Machine):
        pass

    chosen = settings(
        max_examples=number,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # to shrink takes minutes, and the steps are told
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    with Scene(folder) as scene:
        Drawn.scene = scene
        run_state_machine_as_test(Drawn, settings=chosen)  # type: ignore[no-untyped-call]
    name = f"{scene.sequences} sequences by seed {drawn_by}"
    account.note("model sequences", "sequences", name, [], runs=scene.sequences)
    account.figures["model: steps"] = sum(scene.steps.values())
    for kind, count in scene.fired.items():
        account.figures[f"model: {kind}"] = count
    return scene


Walk = Callable[[World, int], Awaitable[None]]
WALKS: dict[str, tuple[str, Walk]] = {
    "put": ("PutObject", lambda world, strike: steps.put(world, "a", 40, "", strike)),
    "put if absent": (
        "PutObject",
        lambda world, strike: steps.put(world, world.note(), 40, "if absent", strike),
    ),
    "append": ("AppendObject", lambda world, strike: steps.append(world, "end", 9, True, strike)),
    "copy": (
        "CopyObject",
        lambda world, strike: steps.copy(world, "a", "c", "copy_object", strike),
    ),
    "move": ("CopyObject", lambda world, strike: steps.copy(world, "b", "c", "move", strike)),
    "delete": ("DeleteObject", lambda world, strike: steps.delete(world, "b", 0, strike)),
    "delete_objects": (
        "DeleteObjects",
        lambda world, strike: steps.delete_many(world, ["b", "c"], strike),
    ),
    "create": ("CreateMultipartUpload", lambda world, strike: uploading.create(world, "a", strike)),
    "part": (
        "UploadPart",
        lambda world, strike: uploading.part(world, 0, strike % 99 + 1, 40, strike),
    ),
    "part copy": (
        "UploadPartCopy",
        lambda world, strike: uploading.part_copy(world, 1, strike % 99 + 1, "a", strike),
    ),
    "list_parts": ("ListParts", lambda world, strike: uploading.parts(world, 0, 1, strike)),
    "complete": (
        "CompleteMultipartUpload",
        lambda world, strike: uploading.complete(world, 0, False, strike),
    ),
    "abort": ("AbortMultipartUpload", lambda world, strike: uploading.abort(world, 0, strike)),
    "upload_file": (
        "PutObject",
        lambda world, strike: uploading.upload_file(world, "f", False, True, strike),
    ),
    "download_file": (
        "GetObject",
        lambda world, strike: uploading.download_file(world, "a", strike),
    ),
    "get": ("GetObject", lambda world, strike: reading.read(world, "a", 0, 0, strike)),
    "head": ("HeadObject", lambda world, strike: reading.head(world, "a", strike)),
    "list": ("ListObjects", lambda world, strike: reading.listing(world, "", "", 2, strike)),
}
"""A step of each sort, and the operation it is about."""


async def _walk(world: World, name: str) -> None:
    """Take one step under each fault, passing and lasting."""
    operation, step = WALKS[name]
    for key in ("a", "b", "c/d"):
        await steps.put(world, key, 40, "", 0)
    for times in (1, 9):
        for number in numbers(operation, times).values():
            if name in {"delete", "move"}:
                await steps.put(world, "b", 40, "", 0)
            await step(world, number)
    await world.check()


@pytest.mark.parametrize(
    ("status", "names", "faults"),
    [("", list(WALKS), 250), ("Enabled", ["put", "copy", "delete", "complete"], 50)],
    ids=["no versions", "versions"],
)
def test_each_step_under_each_fault(
    folder: Path, status: str, names: list[str], faults: int
) -> None:
    """Each operation, under each fault, is right or a typed error, with and without versions."""
    with Scene(folder) as scene:
        for name in names:
            machine = Machine()
            Machine.scene = scene
            machine.begin(status)
            try:
                machine.run(_walk(machine.world, name))
            finally:
                machine.teardown()
        assert sum(scene.fired.values()) > faults
        assert status or not never_fired(scene.fired)


def test_sample(folder: Path, account: Any) -> None:
    """A few sequences, drawn with a fixed seed, end where a dict would."""
    scene = run_sequences(3, 1, folder, account)
    assert sum(scene.steps.values()) > 30
    assert scene.fired


@pytest.mark.campaign
@pytest.mark.parametrize(
    "number", range(-(-SEQUENCES // AT_ONCE)), ids=lambda n: f"seed {FIRST_SEED + n}"
)
def test_sequences(folder: Path, account: Any, number: int) -> None:
    """Thousands of sequences of up to fifty steps end where a dict would."""
    count = min(AT_ONCE, SEQUENCES - number * AT_ONCE)
    run_sequences(count, FIRST_SEED + number, folder, account)

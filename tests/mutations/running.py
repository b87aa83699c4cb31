"""Plant one bug in a copy of the project, and see whether the tests notice.

In: mutations. Out: of each a ``Verdict``. The tree itself is never touched: a copy of the
package and of its tests, in a directory for temporary files, is the working directory and the
``PYTHONPATH`` of a pytest of its own, so that programs which a test starts have the bug, too.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.entries import ROOT, Mutation

LIMIT_S = 120
_COPIED = ("aiocos", "tests", "examples", "README.md", "README.zh-CN.md", "CHANGELOG.md")
_LEFT_OUT = shutil.ignore_patterns(".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache")
# A planted line that names what is not there breaks every test, and proves none of them.
_NONSENSE = ("NameError", "ImportError", "ModuleNotFoundError", "SyntaxError", "UnboundLocalError")
_NOT_PASSED_ON = ("COVERAGE_", "COV_CORE_", "PYTEST_", "AIOCOS_")


@dataclass(frozen=True)
class Verdict:
    """What became of one planted bug."""

    mutation: Mutation
    flaws: tuple[str, ...]
    """Why it does not count as caught; empty when it does."""
    seen: str
    """How the first of its tests failed."""
    seconds: float

    @property
    def is_caught(self) -> bool:
        """Whether each test that had to notice did, and in the right way."""
        return not self.flaws

    @property
    def line(self) -> str:
        """A row of the table."""
        word = "caught" if self.is_caught else "NOT CAUGHT"
        told = self.seen if self.is_caught else "; ".join(self.flaws)
        where = self.mutation.file.removeprefix("aiocos/")
        return f"{word:10} {self.mutation.name:34} {where:28} {self.seconds:5.1f} s  {told[:120]}"


@dataclass(frozen=True)
class Ended:
    """A run of pytest: its exit code, None when it did not end, and each test's end."""

    code: int | None
    package: str
    tests: dict[str, tuple[str, str]]
    output: str

    def of(self, named: str) -> list[tuple[str, str]]:
        """How the tests of a node id ended, each with all its parameters."""
        return [
            ended
            for test, ended in self.tests.items()
            if test == named or test.startswith((f"{named}[", f"{named}::"))
        ]


class Copy:
    """A copy of the project that bugs are planted in, one at a time."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, place / name, ignore=_LEFT_OUT)
            else:
                shutil.copy2(source, place / name)
        shutil.copy2(ROOT / "pyproject.toml", place / "pyproject.toml")

    @contextmanager
    def planted(self, mutation: Mutation) -> Iterator[None]:
        """Have the bug in the copy, and the good file again after."""
        path = self.place / mutation.file
        good = ROOT / mutation.file
        self._forget(path)
        path.write_text(mutation.apply(good.read_text()))
        try:
            yield
        finally:
            shutil.copy2(good, path)
            self._forget(path)

    def _forget(self, path: Path) -> None:
        # Compiled files are told apart by time and size, which both may be the same.
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def test(self, tests: Sequence[str], limit_s: float = LIMIT_S) -> Ended:
        """Run tests in the copy, and kill them all when they do not end."""
        told = self.place / "outcomes.json"
        told.unlink(missing_ok=True)
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.mutations.outcomes"),
            *("-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={self.place / 'made'}"),
            *(["-x"] if len(tests) == 1 else []),
            *tests,
        ]
        with subprocess.Popen(
            command,
            cwd=self.place,
            env=self._environment(told),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return Ended(None, "", {}, "")
        if not told.exists():
            return Ended(process.returncode, "", {}, output)
        found = json.loads(told.read_text())
        ended = {test: (how, message) for test, (how, message) in found["tests"].items()}
        return Ended(process.returncode, found["package"], ended, output)

    def _environment(self, told: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_PASSED_ON)}
        return kept | {"PYTHONPATH": str(self.place), "AIOCOS_MUTATION_OUTCOMES": str(told)}

    def is_tested(self, ended: Ended) -> bool:
        """Whether it was this copy's package that the tests used."""
        return ended.package == str(self.place / "aiocos")


@contextmanager
def copies(count: int) -> Iterator[list[Copy]]:
    """So many copies, gone after."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            place = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            made.append(Copy(Path(place).resolve()))
        yield made


def try_out(copy: Copy, mutation: Mutation) -> Verdict:
    """Plant the bug and run the tests that must notice it."""
    begun = time.monotonic()
    flaws = list(mutation.flaws())
    if flaws:
        return Verdict(mutation, tuple(flaws), "", 0.0)
    with copy.planted(mutation):
        ended = copy.test(mutation.caught_by)
    seen = [
        message for test in mutation.caught_by for how, message in ended.of(test) if how == "call"
    ]
    seconds = time.monotonic() - begun
    return Verdict(mutation, tuple(_missed(copy, mutation, ended)), (seen or [""])[0], seconds)


def _missed(copy: Copy, mutation: Mutation, ended: Ended) -> Iterator[str]:
    if ended.code is None:
        yield f"the tests did not end in {LIMIT_S} s"
    elif ended.code != 1:
        yield f"pytest ended with {ended.code}, not 1: {ended.output.strip()[-300:]!r}"
    elif not copy.is_tested(ended):
        yield f"the tests used {ended.package}"
    else:
        for test in mutation.caught_by:
            yield from _not_noticed(test, ended.of(test))


def _not_noticed(test: str, ends: list[tuple[str, str]]) -> Iterator[str]:
    failed = [message for how, message in ends if how == "call"]
    if not ends:
        yield f"{test} did not run"
    elif not failed:
        yield f"{test} did not fail: {sorted({how for how, _ in ends})}"
    elif nonsense := [message for message in failed if message.startswith(_NONSENSE)]:
        yield f"{test} failed for {nonsense[0]}: the planted line makes no sense"


def control(copy: Copy, mutations: Iterable[Mutation]) -> dict[str, str]:
    """Which of the named tests do not pass without a bug, and how they end then."""
    tests = sorted({test for mutation in mutations for test in mutation.caught_by})
    ended = copy.test(tests, limit_s=LIMIT_S * len(tests))
    if not copy.is_tested(ended):
        return dict.fromkeys(tests, f"the tests used {ended.package!r}: {ended.output[-300:]!r}")
    wrong = {}
    for test in tests:
        bad = [end for end in ended.of(test) if end[0] not in {"passed", "skipped"}]
        if bad or not any(how == "passed" for how, _ in ended.of(test)):
            wrong[test] = " ".join(bad[0]) if bad else "it did not run"
    return wrong


def run(mutations: Sequence[Mutation], jobs: int = 2) -> Iterator[Verdict]:
    """Try each out, ``jobs`` at a time; those of which a test fails anyhow are not caught."""
    with copies(jobs) as made:
        wrong = control(made[0], mutations)
        free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for copy in made:
            free.put(copy)

        def one(mutation: Mutation) -> Verdict:
            if bad := [
                f"without the bug {t}: {wrong[t]}" for t in mutation.caught_by if t in wrong
            ]:
                return Verdict(mutation, tuple(bad), "", 0.0)
            copy = free.get()
            try:
                return try_out(copy, mutation)
            finally:
                free.put(copy)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(one, mutations)

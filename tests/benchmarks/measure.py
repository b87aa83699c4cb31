"""Run the peers of a cell, in turns, and look at what each of them did.

In: a cell and a number of rounds. Out: the runs. In a round each peer runs once, in a process
of its own; the order moves on by one from round to round. After every run the harness compares
what arrived: size and CRC-64 of every object at the server, the CRC-64 of the file here, the
number of keys and the sum of their sizes. Anything else than equal ends the session.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import content, server
from tests.benchmarks.cells import Cell
from tests.benchmarks.job import MIB, Job

ROOT = Path(__file__).parents[2]
SLOW = 2.0
"""A peer so many times slower than aiocos in the first round runs in ``FEW`` rounds only."""
FEW = 3
TIMEOUT_S = 300
LARGE = 64 * MIB


class WrongResult(Exception):
    """A peer ended well and what it did is wrong. No figure stands beside that."""


class PeerFailed(Exception):
    """A peer ended with an error."""


@dataclass
class Results:
    """The runs of a cell: by peer, by round."""

    cell: Cell
    runs: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def values(self, peer: str, name: str) -> dict[int, float]:
        """Return one figure of each run of a peer."""
        return {number: run[name] for number, run in self.runs.get(peer, {}).items()}

    def failed(self) -> list[str]:
        """Return the peers that ended with an error; those that cannot do a case are not among."""
        return [] if self.cell.damage else [peer for peer, why in self.failures.items() if why]


def say(text: str) -> None:
    """Tell the user how far things are."""
    print(text, file=sys.stderr, flush=True)


class Stage:
    """The files that the runs of a session read and write."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state
        self.target = folder / "target"
        self.trees: dict[tuple[int, int], dict[str, tuple[int, int]]] = {}

    def make_room(self, size: int) -> None:
        """Write a target of twice the size and remove it: what comes next meets warm memory.

        A virtual machine gives memory back that was free for a second or two, and whoever fills it
        then takes twice as long: that must not be one peer's bad luck.
        """
        content.write_blob(self.target, 2 * size)
        self.target.unlink()

    def blob(self, size: int) -> Path:
        """Return a file of so many bytes of content; of large ones the last is kept."""
        path = self.folder / f"source-{size}"
        if path.exists():
            return path
        large = [old for old in self.folder.glob("source-*") if old.stat().st_size > LARGE]
        for old in large if size > LARGE else []:
            old.unlink()
        content.write_blob(path, size)
        return path

    def tree(self, count: int, size: int) -> tuple[Path, dict[str, tuple[int, int]]]:
        """Return a directory of small files, and what is in it."""
        path = self.folder / f"tree-{count}-{size}"
        if (count, size) not in self.trees:
            self.trees[count, size] = content.write_tree(path, count, size)
        return path, self.trees[count, size]


@contextmanager
def workplace(needed: int, directory: Path | None = None) -> Iterator[Stage]:
    """Make a place for all that is read and written, in memory where there is room.

    What clients write down to resume goes to the disk that temporary files are on.
    """
    memory = Path("/dev/shm")
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > 3 * needed + 64 * MIB
    where = directory or (memory if is_roomy else None)
    if where is None:
        say("there is too little room in /dev/shm: files are on disk, which may set the pace")
    with (
        tempfile.TemporaryDirectory(prefix="aiocos-benchmarks-", dir=where) as made,
        tempfile.TemporaryDirectory(prefix="aiocos-benchmarks-") as state,
    ):
        yield Stage(Path(made), Path(state))


def measure(cell: Cell, peers: Sequence[str], rounds: int, stage: Stage) -> Results:
    """Run every peer of a cell in every round.

    Raises:
        WrongResult: a peer's result is not what it must be.
    """
    results = Results(cell)
    with server.running(cell.setting(), stage.folder) as sink:
        for number in range(1 if cell.damage else rounds):
            turn = number % len(peers)
            for peer in [*peers[turn:], *peers[:turn]]:
                if peer in results.failures or _has_enough(results, peer, number):
                    continue
                _run_once(results, peer, number, sink, stage)
    return results


def _run_once(results: Results, peer: str, number: int, sink: server.Sink, stage: Stage) -> None:
    cell = results.cell
    try:
        run = run_job(cell, peer, sink, stage)
    except PeerFailed as failed:
        results.failures[peer] = str(failed)
        if cell.damage:
            return
        say(f"  {cell.name} round {number + 1}: {peer} FAILED: {failed}")
        return
    if run is None:
        results.failures[peer] = ""
        return
    results.runs.setdefault(peer, {})[number] = run
    say(f"  {cell.name} round {number + 1}: {peer} {run['wall_s']:.3f} s, CPU {run['cpu_s']:.3f} s")


def _has_enough(results: Results, peer: str, number: int) -> bool:
    if number < FEW or peer == "aiocos":
        return False
    first = results.values(peer, "wall_s").get(0, 0.0)
    return first > SLOW * results.values("aiocos", "wall_s").get(0, first)


def run_job(cell: Cell, peer: str, sink: server.Sink, stage: Stage) -> dict[str, Any] | None:
    """Run one job and look at what it did; None where the peer has no means for it."""
    prepare, check = _checks(cell, stage)
    job = Job(
        peer=peer,
        case=cell.case,
        port=sink.port,
        authority=str(sink.authority),
        tls=cell.tls,
        size=cell.size,
        part_size=cell.part_size,
        concurrency=cell.concurrency,
        count=cell.count,
        warm_size=cell.warm_size,
        **prepare(),
    )
    sink.reset()
    before = sink.stats()["cpu_s"]
    run = _in_a_process(job, stage)
    if run.get("cannot"):
        return None
    counted = sink.stats()
    run["server_cpu_s"] = counted["cpu_s"] - before
    run["connections"] = counted["most_busy"]
    run["requests"] = counted["requests"]
    wrong = check(run, sink)
    if wrong and not cell.damage:
        raise WrongResult(f"{peer}, {cell.name}: {wrong}")
    run["wrong"] = wrong
    return run


def _in_a_process(job: Job, stage: Stage) -> dict[str, Any]:
    environment = {**os.environ, "XDG_STATE_HOME": str(stage.state)}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        environment.pop(name, None)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.worker", job.to_json()],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"no end within {TIMEOUT_S} s") from None
    if done.returncode or not done.stdout:
        raise PeerFailed(f"ended with {done.returncode}: {done.stderr[-300:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if "error" in told:
        raise PeerFailed(" ".join(told["error"].split())[:300])
    if "wrong" in told:
        raise WrongResult(f"{job.peer}, {job.case}: {told['wrong']}")
    return told


Check = Callable[[dict[str, Any], server.Sink], str]


def _checks(cell: Cell, stage: Stage) -> tuple[Callable[[], dict[str, str]], Check]:
    """Return what makes the paths of a job, and what looks at its result."""
    known: dict[str, tuple[Callable[[], dict[str, str]], Check]] = {
        "upload": (lambda: _upload_paths(cell, stage), lambda _, sink: check_upload(cell, sink)),
        "download": (lambda: _download_paths(cell, stage), lambda *_: check_download(cell, stage)),
        "put": (dict, lambda _, sink: check_puts(cell, sink)),
        "get": (dict, lambda *_: ""),
        "list": (dict, lambda run, _: check_listing(cell, run["found"])),
        "upload-dir": (
            lambda: _tree_paths(cell, stage),
            lambda _, sink: check_tree(stage.tree(cell.count, cell.size)[1], sink),
        ),
    }
    return known[cell.case]


def _upload_paths(cell: Cell, stage: Stage) -> dict[str, str]:
    return {
        "path": str(stage.blob(cell.size)),
        "warm_path": str(stage.blob(cell.warm_size)),
    }


def _download_paths(cell: Cell, stage: Stage) -> dict[str, str]:
    stage.make_room(cell.size)
    return {"path": str(stage.target), "warm_path": str(stage.folder / "warm-target")}


def _tree_paths(cell: Cell, stage: Stage) -> dict[str, str]:
    return {
        "path": str(stage.tree(cell.count, cell.size)[0]),
        "warm_path": str(stage.tree(32, cell.size)[0]),
    }


def check_upload(cell: Cell, sink: server.Sink) -> str:
    """Return what is wrong with the object at the server."""
    return _compare({"bulk": (cell.size, content.crc_of(cell.size))}, _stored(sink))


def check_puts(cell: Cell, sink: server.Sink) -> str:
    """Return what is wrong with the small objects at the server."""
    one = (cell.size, content.crc_of(cell.size))
    return _compare({f"small/{number:08d}": one for number in range(cell.count)}, _stored(sink))


def check_tree(files: dict[str, tuple[int, int]], sink: server.Sink) -> str:
    """Return what is wrong with the directory at the server."""
    return _compare({f"dir/{name}": known for name, known in files.items()}, _stored(sink))


def _stored(sink: server.Sink) -> dict[str, tuple[int, int]]:
    objects = sink.objects()
    return {key: value for key, value in objects.items() if not key.startswith("warm")}


def _compare(expected: dict[str, tuple[int, int]], found: dict[str, tuple[int, int]]) -> str:
    if expected == found:
        return ""
    if len(expected) != len(found):
        return f"the server has {len(found)} objects instead of {len(expected)}"
    differing = [key for key, value in expected.items() if found.get(key) != value]
    return f"{len(differing)} objects at the server have other bytes, such as {differing[0]}"


def check_download(cell: Cell, stage: Stage) -> str:
    """Return what is wrong with the file that came."""
    size = stage.target.stat().st_size if stage.target.exists() else -1
    if size != cell.size:
        return f"the file has {size} bytes instead of {cell.size}"
    if content.crc_of_file(stage.target) != content.crc_of(cell.size):
        return "the file has other bytes than the object"
    return ""


def check_listing(cell: Cell, found: Any) -> str:
    """Return what is wrong with the keys that were listed."""
    expected = [cell.keys, sum(1024 + number % 100_000 for number in range(cell.keys))]
    return "" if list(found or ()) == expected else f"listed {found} instead of {expected}"

"""Look at what aiocos depends on: ``python -m tests.audit``.

In: ``dependencies.toml``, ``pyproject.toml`` and what is installed. Out: a line for each package,
and each thing that is wrong; the exit code is 1 if there is any. Of what the extras bring, as far
as it is installed, the files are compared with those of the wheels. Nothing is asked of the
network, but for ``--online``, which has pip-audit (``pip install pip-audit``) ask the advisory
databases as well, and has pip show that every package comes as a wheel, so that no build script
runs.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.version import Version

ROOT: Final = Path(__file__).parent.parent
LIST: Final = tomllib.loads(Path(__file__).with_name("dependencies.toml").read_text("utf-8"))
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
_BY_CLASSIFIER: Final = {"License :: OSI Approved :: MIT License": "MIT"}


def required() -> dict[str, Requirement]:
    """The core dependencies of pyproject.toml."""
    found = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
    return {one.name: one for one in found}


def with_all_behind() -> set[str]:
    """The core dependencies as they are installed here, and all that they bring."""
    return _brought(LIST["core"])


def of_extras() -> set[str]:
    """What the extras bring besides, as far as it is installed."""
    lines = PROJECT["project"]["optional-dependencies"].values()
    return _brought(line for extra in lines for line in extra) - with_all_behind() - {"aiocos"}


def _brought(lines: Iterable[str]) -> set[str]:
    found: dict[str, set[str]] = {}
    waiting = [Requirement(line) for line in lines]
    while waiting:
        needed = waiting.pop()
        name = re.sub(r"[-_.]+", "-", needed.name).lower()
        extras = {"", *needed.extras} - found.get(name, set())
        try:
            behind = [Requirement(line) for line in metadata.requires(name) or []]
        except metadata.PackageNotFoundError:
            continue
        found.setdefault(name, set()).update(extras)
        for one in behind:
            marker = one.marker
            if extras and (marker is None or any(marker.evaluate({"extra": e}) for e in extras)):
                waiting.append(one)
    return set(found)


def licence_of(name: str) -> str:
    """The licence that a package states, as an SPDX expression."""
    told = metadata.metadata(name)
    stated = told.get("License-Expression") or told.get("License") or ""
    classified = [_BY_CLASSIFIER.get(one) for one in told.get_all("Classifier") or []]
    return stated.replace("Apache 2.0", "Apache-2.0") or next(filter(None, classified), "")


def wrong_lines() -> Iterator[str]:
    """What pyproject.toml allows or runs that it must not."""
    needed = required()
    if needed.keys() != LIST["core"].keys():
        yield f"listed are {sorted(LIST['core'])}, required {sorted(needed)}"
    for name, told in LIST["core"].items():
        for advisory in told.get("fixed", ()):
            least = [Version(one.version) for one in needed[name].specifier if one.operator == ">="]
            if not least or least[0] < Version(advisory["version"]):
                yield f"{name}: {advisory['id']} is fixed in {advisory['version']}: raise the least"
    if "hooks" in PROJECT["tool"]["hatch"].get("build", {}) or (ROOT / "setup.py").exists():
        yield "the build runs a script of ours"
    if PROJECT["build-system"]["build-backend"] != "hatchling.build":
        yield "the wheel is built by something else than hatchling"


def wrong_installed() -> Iterator[str]:
    """What is installed and is not as it should be."""
    known = {name: told["licence"] for name, told in LIST["core"].items()} | LIST["with_them"]
    for name in sorted(with_all_behind()):
        if name not in known:
            yield f"{name} comes along and is not listed"
        elif licence_of(name) != known[name]:
            yield f"{name}: its licence is {licence_of(name)!r}, listed is {known[name]!r}"
        if not metadata.distribution(name).read_text("WHEEL"):
            yield f"{name} was not installed from a wheel"
    for name, needed in required().items():
        if metadata.version(name) not in needed.specifier:
            yield f"{name} {metadata.version(name)} is installed, and {needed} is needed"


def wrong_files(name: str) -> Iterator[str]:
    """Files of an installed package that are not those of its wheel."""
    for file in metadata.files(name) or ():
        if file.hash is None:
            continue
        raw = hashlib.new(file.hash.mode, Path(str(file.locate())).read_bytes()).digest()
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != file.hash.value:
            yield f"{name}: {file} is not the file of the wheel"


def wrong_online() -> Iterator[str]:
    """What the advisory databases know, and whether all comes as wheels."""
    lines = [f"{name}=={metadata.version(name)}" for name in sorted(with_all_behind())]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "these.txt").write_text("\n".join(lines))
        these = ["-r", str(Path(folder, "these.txt"))]
        if importlib.util.find_spec("pip_audit") is None:
            yield "the advisory databases were not asked: pip install pip-audit"
        else:
            audit = _run("pip_audit", "--strict", "--no-deps", "--disable-pip", *these)
            if audit.returncode:
                yield f"pip-audit says: {_last(audit)}"
        wheels = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", folder]
        got = _run("pip", *wheels, *these)
        if got.returncode:
            yield f"not every package comes as a wheel: {_last(got)}"


def _run(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", module, *words)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _last(ran: subprocess.CompletedProcess[str]) -> Any:
    return [*ran.stdout.splitlines(), *ran.stderr.splitlines(), "it failed without a word"][-2]


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__)
    parser.add_argument("--online", action="store_true", help="ask pip-audit and pip as well")
    options = parser.parse_args(words)
    for name in sorted(with_all_behind()):
        why = LIST["core"].get(name, {}).get("why", "")
        print(f"{name:18} {metadata.version(name):10} {licence_of(name):28} {why}")
    others = sorted(of_extras())
    print(f"and of the extras, their files alone: {', '.join(others) or 'nothing is installed'}")
    wrong = [*wrong_lines(), *wrong_installed()]
    for name in [*sorted(with_all_behind()), *others]:
        wrong += wrong_files(name)
    if options.online:
        wrong += wrong_online()
    for line in wrong:
        print(f"WRONG: {line}")
    print("nothing is wrong" if not wrong else f"{len(wrong)} are wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The planted bugs, as the TOML files of this directory tell them.

In: files of ``[[mutation]]`` tables. Out: one ``Mutation`` each, checked: it changes exactly
one line that is there, what comes of it is Python, and the tests that must notice it exist.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
_FIELDS = {"name", "file", "old", "new", "why", "caught_by"}


@dataclass(frozen=True)
class Mutation:
    """One line of the package with a bug in it, and the tests that must fail because of it."""

    name: str
    file: str
    old: str
    new: str
    why: str
    caught_by: tuple[str, ...]

    def apply(self, text: str) -> str:
        """The text of the file with the bug."""
        return text.replace(self.old, self.new)

    def flaws(self) -> Iterator[str]:
        """What is wrong with the entry itself."""
        path = ROOT / self.file
        if not self.file.startswith("aiocos/") or not path.is_file():
            yield f"{self.file} is no file of the package"
            return
        text = path.read_text()
        if (times := text.count(self.old)) != 1 or not self.old.strip():
            yield f"old occurs {times} times in {self.file}, not once: {self.old!r}"
        if "\n" in self.old + self.new:
            yield "old and new are a part of one line each"
        if self.old == self.new:
            yield "old and new are the same"
        yield from self._not_python(text)
        if not self.why.strip():
            yield "why is empty: say what a user would suffer"
        if not self.caught_by:
            yield "caught_by names no test"
        for test in self.caught_by:
            if not exists(test):
                yield f"there is no test {test}"

    def _not_python(self, text: str) -> Iterator[str]:
        if self.file.endswith(".py"):
            try:
                ast.parse(self.apply(text))
            except SyntaxError as error:
                yield f"with it {self.file} is not Python: {error}"


def load(folder: Path = FOLDER) -> list[Mutation]:
    """All entries of all files of a directory, in a fixed order.

    Raises:
        ValueError: a field is missing or unknown, or two entries have one name.
    """
    found = [
        _entry(table, path.name)
        for path in sorted(folder.glob("*.toml"))
        for table in tomllib.loads(path.read_text()).get("mutation", [])
    ]
    twice = [name for name, times in Counter(entry.name for entry in found).items() if times > 1]
    if twice:
        raise ValueError(f"more than one mutation is called {', '.join(twice)}")
    return found


def _entry(table: dict[str, object], where: str) -> Mutation:
    if table.keys() != _FIELDS:
        odd = sorted(table.keys() ^ _FIELDS)
        raise ValueError(f"{where}: {table.get('name')!r} lacks or has beyond its fields: {odd}")
    texts = {name: table[name] for name in _FIELDS - {"caught_by"}}
    tests = table["caught_by"]
    if not isinstance(tests, list) or not all(
        isinstance(t, str) for t in [*texts.values(), *tests]
    ):
        raise ValueError(f"{where}: {table['name']!r}: caught_by is a list, the rest are texts")
    return Mutation(**texts, caught_by=tuple(tests))


@lru_cache(maxsize=64)
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def exists(test: str) -> bool:
    """Whether a test of this node id, its parameters aside, stands in its file."""
    file, *names = test.partition("[")[0].split("::")
    path = ROOT / file
    if not names or not path.is_file():
        return False
    body = _parsed(path).body
    for name in names:
        found = [
            node
            for node in body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.name == name
        ]
        if not found:
            return False
        body = found[0].body
    return True

"""The records of one shape that a page of a listing is made of, read all at once.

In: a document from the network, not yet parsed. Out: its tree, the same that the parser would
give, or None wherever anything is out of the ordinary. The parser reads the document with all
records but the first of each kind cut out, so it judges root, code and nesting as ever; how it
read that first record is the pattern that each other one has to match, to the last byte.

A parser's tree of a thousand records costs some 5 us a key to build, walk and free, four times
what all the rest of a listing costs; this costs some 2 us.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from aiocos.encoding import xml
from aiocos.errors import ResponseParseError
from aiocos.units import MIB

_LARGEST: Final = 4 * MIB
"""A full page of the longest keys has less; what is cut out is held twice."""
_FEWEST: Final = 8
_MOST_TAGS: Final = 64
"""Of one record; those of COS have less than 30."""
_TEXT: Final = "[^<]+"
_NOTHING: Final = "(?!)"
_CONTROLS: Final = dict.fromkeys(set(range(0x20)) - {*b"\t\n"})
"""A parser changes one of them (the carriage return), and refuses the others."""


def tree_of(document: bytes, roots: Collection[str], lists: Collection[str]) -> xml.Tree | None:
    """Return what ``xml.to_tree`` would, or None: then it is to be asked."""
    rest, runs = _cut(document, lists)
    if not runs:
        return None
    try:
        root = xml.parse(rest, roots)
    except ResponseParseError:
        return None  # the whole will be refused as well, and say where
    code = root.getroottree().docinfo.encoding or ""
    if xml.local_name(root) not in roots or code.upper() != "UTF-8":
        return None
    tree = xml.to_tree(root, lists)
    for name, run in runs.items():
        match tree.get(name):
            case [dict(like)] if (records := _read(*run, name, like)) and records[0] == like:
                tree[name] = [*records]
            case _:
                return None
    return tree


def _cut(document: bytes, names: Collection[str]) -> tuple[bytes, dict[str, tuple[str, int]]]:
    """Return the document with one record of each name, and what all and how many were."""
    runs: dict[str, tuple[str, int]] = {}
    if len(document) > _LARGEST or xml.has_too_many_tags(document):
        return document, runs
    for name in names:
        opening, closing = f"<{name}>".encode(), f"</{name}>".encode()
        count = document.count(opening)
        if count < _FEWEST:
            continue
        start = document.find(opening)
        first = document.find(closing, start) + len(closing)
        end = document.rfind(closing) + len(closing)
        run = document[start:end]
        if run.isascii() and document.count(b"<", start, first) <= _MOST_TAGS:
            runs[name] = run.decode(), count
            document = document[:first] + document[end:]
    # A comment, a CDATA section or an instruction may reach over a record.
    is_plain = b"<!" not in document and document.rfind(b"<?") <= 0
    return document, runs if is_plain else {}


def _read(run: str, count: int, name: str, first: xml.Tree) -> list[xml.Tree]:
    """Return a run's records, all like the first; none if there is anything else in it."""
    inside = _pattern(first, "&quot;" if "&" in run else '"')
    gap = r"[ \t\n]*" if "\n" in run else ""
    # Every record touches the next or the end, and none is passed over: nothing is between.
    # With a group more than it needs: of a single one, findall gives no tuples.
    pattern = f"<{name}>{inside}</{name}>(?={gap}<{name}>|\\Z)()".replace("><", f">{gap}<")
    if "]" in run or run.translate(_CONTROLS) != run:
        return []
    rows = re.findall(pattern, run)
    if len(rows) != count or run.count("&") != count * pattern.count("&quot;"):
        return []
    return _dicts(zip(*rows, strict=True), first, count)


def _pattern(like: object, quote: str) -> str:
    """Return what matches the inside of an element that the parser gives as this."""
    if isinstance(like, str):
        return f"{quote}({_TEXT}){quote}" if '"' in like else f"({_TEXT})"
    if not isinstance(like, dict):
        return _NOTHING
    inner = ((re.escape(name), _pattern(value, quote)) for name, value in like.items())
    return "".join(f"<{name}>{pattern}</{name}>" for name, pattern in inner)


def _dicts(columns: Iterator[Sequence[str]], like: xml.Tree, count: int) -> list[xml.Tree]:
    """Return as many dicts as the columns are long; each goes where the parser had its like.

    Copies that are filled by column take half of the time that ``dict(zip(...))`` takes.
    """
    trees = [like.copy() for _ in range(count)]
    for name, value in like.items():
        column: Sequence[str | xml.Tree]
        if isinstance(value, dict):
            column = _dicts(columns, value, count)
        elif isinstance(value, str) and '"' in value:
            column = [f'"{text}"' for text in next(columns)]
        else:
            column = next(columns)
        for tree, part in zip(trees, column, strict=True):
            tree[name] = part
    return trees

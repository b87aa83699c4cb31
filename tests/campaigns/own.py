"""What our own programs read again: plans of a sync, and what the local server is told.

In: a folder for files. Out: of each parser its inputs and what must be true of a result.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final
from xml.etree import ElementTree

import anycrc

import aiocos
from aiocos.emulator import FaultRule, rules
from aiocos.emulator.errors import CosError
from aiocos.emulator.select_parser import parse as parse_select
from aiocos.emulator.xml import Element
from aiocos.emulator.xml import parse as parse_request
from aiocos.sync.actions import LocalState, RemoteState, SyncAction, no_totals
from aiocos.sync.planfile import PlanFile
from tests.campaigns import hostile
from tests.campaigns.answers import by_expat
from tests.campaigns.fuzzing import Parser
from tests.campaigns.mutators import damaged, damaged_text

_VALUES: Final = (
    b"null", b"true", b"-1", b"1.5", b"1e999", b"NaN", b"9" * 5000, b'"x"', b'"\\ud800"', b"[]",
    b"5",     b"{}", b'{"a":[1]}', b"[" * 3000 + b"]" * 3000, b'""', b'"../x"', b'"/etc/passwd"',
    b'"\\u0000"',
)  # fmt: skip
_VALUE: Final = re.compile(rb'(?<=":)("[^"]*"|-?[0-9]+|null|true|false|\{[^{}]*\})')


def _with_values_changed(text: bytes, chance: Random) -> bytes:
    """JSON with up to three of its values replaced by what does not belong there."""
    for _ in range(chance.randint(0, 3)):
        if found := list(_VALUE.finditer(text)):
            value = chance.choice(found)
            text = text[: value.start()] + chance.choice(_VALUES) + text[value.end() :]
    return text


# -- plans


def _plan() -> list[bytes]:
    """The lines of a plan; the last one without its check."""
    local, remote = LocalState(3, 4, 5, 6, 7), RemoteState(2, '"e"', "2026-01-01T00:00:00.000Z")
    actions = [
        SyncAction("upload", "a/b", "new", 3, local),
        SyncAction("upload", "c", "size", 3, local, remote),
        SyncAction("delete", "图/d", "not in source", destination=remote, backup="old/d"),
        SyncAction("skip", "e", "a symbolic link"),
    ]
    totals = {**no_totals(), "upload": 2, "delete": 1, "skip": 1, "bytes": 6, "delete_bytes": 2}
    bucket = {"bucket": "b-1", "prefix": "www/", "region": None, "endpoint": None}
    header = {"aiocos_sync_plan": 1, "aiocos": "0", "made": "", "endpoint": "", "options": {}}
    told = [
        {**header, "source": {"dir": "/source"}, "destination": bucket},
        *(action.to_json() for action in actions),
        {"end": totals, "refused": None},
    ]
    return [json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() for line in told]


def _checked(lines: list[bytes]) -> bytes:
    *body, end = lines
    whole = b"".join(line + b"\n" for line in body) + end[:-1]
    return whole + b',"check":"%016x"}\n' % anycrc.Model("CRC64-XZ").calc(whole)


def plans(folder: Path) -> Parser:
    """A plan is carried out as it was written, or not at all, also one with a right check."""
    place, lines = folder / "plan", _plan()

    def make(chance: Random) -> bytes:
        if chance.random() < 0.3:
            return damaged([_checked(lines)], chance, (*_VALUES, b"\n"))
        changed = list(lines)
        for _ in range(chance.randint(0, 2)):
            at = chance.randrange(len(changed))
            changed[at] = _with_values_changed(changed[at], chance)
        if chance.random() < 0.1:
            changed.insert(chance.randrange(len(changed)), chance.choice(_VALUES))
        return _checked(changed)

    def read(given: bytes) -> tuple[PlanFile, list[SyncAction]]:
        place.write_bytes(given)
        plan = PlanFile.open(place)
        return plan, [action for _, action in plan.actions()]

    def check(given: bytes, found: tuple[PlanFile, list[SyncAction]]) -> None:
        plan, actions = found
        body, _, told = given.rpartition(b',"check":"')
        assert int(told[:16], 16) == anycrc.Model("CRC64-XZ").calc(body)
        there = [json.loads(line) for line in given.splitlines()[1:-1]]
        assert [action.path for action in actions] == [line["path"] for line in there]
        for line in there:
            if line.get("backup") is None:
                line.pop("backup", None)
        assert [action.to_json() for action in actions] == there
        assert plan.count == len(there)
        for action in actions:
            if action.action == "upload":  # from the one side that is a directory
                assert posixpath.normpath(f"/source/{action.path}").startswith("/source/")

    good = (_checked(lines),)
    return Parser("plan of a sync", make, read, (aiocos.PlanError,), check, good)


# -- the local server

_DELETE: Final = (
    b"<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>b&amp;c</Key>"
    b"<VersionId>v</VersionId></Object></Delete>"
)


def requests(folder: Path) -> Parser:
    """The local server reads a body as expat does, or says MalformedXML."""
    samples = [_DELETE, _DELETE, b"<?xml version='1.0' encoding='utf-8'?>" + _DELETE]

    def make(chance: Random) -> bytes:
        if chance.random() < 0.03:
            return chance.choice(hostile.documents("Delete"))
        return damaged(samples, chance, hostile.TOKENS)

    def read(given: bytes) -> Element:
        return parse_request(given, "Delete")

    def check(given: bytes, found: Element) -> None:
        root = by_expat(given)
        if root is None:
            return
        keys = [node.text or "" for item in _named(root, "Object") for node in _named(item, "Key")]
        assert [key.content for key in found.at("Object/Key")] == keys

    return Parser("request XML", make, read, (CosError,), check, (_DELETE,))


def _named(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def fault_rules(folder: Path) -> Parser:
    """Faults that somebody wrote by hand are rules, or an error that names the file."""
    place = folder / "faults.json"
    rule = {"operation": "GetObject", "nth": 2, "status": 503, "code": "SlowDown", "times": 1}
    other = {"operation": "UploadPart", "headers": {"ETag": None}, "probability": 0.5, "seed": 1}
    samples = [json.dumps(each).encode() for each in ([rule], [rule, other], other, [])]
    samples = [text.replace(b": ", b":") for text in samples]

    def make(chance: Random) -> bytes:
        if chance.random() < 0.4:
            return damaged(samples, chance, (*_VALUES, b'"message":', b'"delay_s":', b'"key":'))
        return _with_values_changed(chance.choice(samples), chance)

    def read(given: bytes) -> list[FaultRule]:
        place.write_bytes(given)
        return rules.read_rules(place)

    def check(given: bytes, found: list[FaultRule]) -> None:
        told = json.loads(given)
        told = told if isinstance(told, list) else [told]
        assert len(found) == len(told)
        for each, meant in zip(found, told, strict=True):
            assert FaultRule.from_dict(json.loads(json.dumps(each.to_dict()))) == each
            assert each.operation == meant.get("operation", each.operation)

    return Parser("faults as JSON", make, read, (ValueError,), check, tuple(samples))


QUERIES: Final = (
    "SELECT * FROM COSObject",
    "Select s._1, s.\"n\"\"me\" from COSObject s where s._2>3 OR s._1 LIKE 'L%' ESCAPE '!' limit 5",
    "SELECT COUNT(*), AVG(CAST(s.age AS DECIMAL(5,2))) AS a FROM COSObject[*].projects[0] s",
    "SELECT CASE WHEN s.n IS NULL THEN 'x''y' ELSE SUBSTRING(s.n FROM 1) END FROM COSObject s",
    "SELECT * FROM COSObject s WHERE s._1 NOT IN ('a', 'b') OR s._2 BETWEEN 1 AND -2.5e3 * (1 + 2)",
)


def statements(folder: Path) -> Parser:
    """An expression of a Select is a statement, or a refusal in COS's words."""
    marks = ("(", ")", "'", '"', "--", "/*", ";", ",", ".", "[", "]", "*", " AND ", " NOT ", "\0")
    marks += ("CASE WHEN ", " END", "(" * 500, "x" * 5000, "' OR '1'='1", "SELECT ", " FROM ", "é")
    marks += ("read_csv('/etc/passwd')", "COPY", "ATTACH", "UNION", " IS NULL", "CAST(", "LIMIT ")

    def make(chance: Random) -> str:
        found = damaged_text(QUERIES, chance, marks)
        return found.encode("utf-8", "replace").decode()  # as XML brings it

    def read(given: str) -> Any:
        return parse_select(given, "2026-01-01 00:00:00")

    def check(given: str, found: Any) -> None:
        assert given.lstrip().upper().startswith("SELECT")

    return Parser("SELECT expression", make, read, (CosError,), check, QUERIES[:1])


OWN: Final[dict[str, Callable[[Path], Parser]]] = {
    "plan of a sync": plans,
    "request XML": requests,
    "faults as JSON": fault_rules,
    "SELECT expression": statements,
}

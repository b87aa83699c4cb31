"""Apply ``differences.toml``: where this client departs from the recordings on purpose.

In: the report of what a recording says has to be seen. Out: the report of what has to be
seen here. An entry names the recordings it is about by ``id`` (globs), the ``field`` of the
report it changes, the ``reason``, and what holds instead:

``value``    this, in the place of what was recorded
``default``  this, where the recording has nothing
``absent``   nothing at all
``null``     None, which TOML cannot say

Entries come one after the other, a later one on top of an earlier one. An entry about a part
of a result leaves recordings alone that end in an error, one about getters those that do not,
one about requests those that send none.

``only`` narrows a field ``request.x`` down to the requests it fits, a glob over ``METHOD target``.

Some fields are no part of a report, they say what is played back, and to whom:

``exchange``      the exchanges and the outcome of another recording, in the place of this one's
``exchanges``     these of them in this order, by number; ``id:number`` is one of another recording
``swap``          other texts for some, wherever they stand in the recording
``more``          further requests at the end, with the status and headers that answer each
``client_retry``  so many retries for the client
``transfers``     this TransferConfig for the client
"""

from __future__ import annotations

import copy
import fnmatch
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

Report = dict[str, Any]

SETTINGS = frozenset({"exchange", "exchanges", "swap", "client_retry", "transfers"})
RETRY_MARK = ("x-cos-sdk-retry", "true")


@dataclass(frozen=True)
class Difference:
    """One entry of the file."""

    ids: tuple[str, ...]
    field: str
    reason: str
    value: Any = None
    only_if_missing: bool = False
    absent: bool = False
    only: str = "*"

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> Difference:
        ids = entry.pop("id")
        answers = {"value", "default", "absent", "null"} & set(entry)
        assert len(answers) == 1, f"{ids}: one of value, default, absent and null"
        parsed = cls(
            ids=tuple([ids] if isinstance(ids, str) else ids),
            field=entry.pop("field"),
            reason=entry.pop("reason"),
            only_if_missing="default" in entry,
            absent=bool(entry.pop("absent", False)),
            value=entry.pop("value", entry.pop("default", None)),
            only=entry.pop("only", "*"),
        )
        if parsed.field.endswith(".query"):  # TOML has no tuples
            parsed = replace(parsed, value=[tuple(pair) for pair in parsed.value])
        entry.pop("null", None)
        assert not entry, f"{parsed.ids}: unknown {sorted(entry)}"
        return parsed

    def globs_for(self, vector_id: str) -> list[str]:
        """Those of the entry's ids that mean this recording."""
        return [glob for glob in self.ids if fnmatch.fnmatchcase(vector_id, glob)]

    def apply(self, report: Report) -> None:
        if self.field == "attempts":
            _set_attempts(report, self.value)
        elif self.field == "more":
            for further in self.value:
                report["requests"].append(_further(report["requests"][-1], further))
            report["attempts"] = len(report["requests"])
        elif self.field == "request":
            assert self.absent, "a request is changed field by field"
            report.update(requests=[], attempts=0)
        elif self.field in ("result", "exception"):
            for name in ("result", "exception", "getters"):
                report.pop(name, None)
            report[self.field] = self.value
        else:
            self._change_part(report)

    def _change_part(self, report: Report) -> None:
        first, *path = self.field.split(".")
        if not path:
            self._put(report, first)
            return
        *way, name = path
        for target in self._requests(report) if first == "request" else [report.get(first)]:
            part = reduce(_step, way, target)
            if isinstance(part, dict) and part:
                self._put(part, name)

    def _requests(self, report: Report) -> list[Report]:
        return [one for one in report["requests"] if fnmatch.fnmatchcase(_line(one), self.only)]

    def _put(self, target: Report, name: str) -> None:
        if self.absent:
            target.pop(name, None)
        elif not (self.only_if_missing and name in target):
            target[name] = copy.deepcopy(self.value)


def _line(request: Report) -> str:
    return f"{request['method']} {request['path']}?{request['raw_query']}".rstrip("?")


def _step(part: Any, name: str) -> Any:
    return part.get(name) if isinstance(part, dict) else None


def _set_attempts(report: Report, attempts: int) -> None:
    """Cut the requests, or repeat the last one with the mark that a retry carries."""
    requests = report["requests"]
    del requests[attempts:]
    while len(requests) < attempts:
        again = copy.deepcopy(requests[-1])
        again["headers"].update([RETRY_MARK])
        requests.append(again)
    report["attempts"] = attempts


def _further(last: Report, wanted: dict[str, Any]) -> Report:
    """A request to the same host as the last one, without a body."""
    method, target = wanted["request"].split(" ")
    path, _, raw_query = target.partition("?")
    return {
        "method": method,
        "path": path,
        "raw_query": raw_query,
        "query": sorted(parse_qsl(raw_query, keep_blank_values=True)),
        "headers": {"host": last["headers"]["host"], **wanted.get("headers", {})},
        "authorization": last["authorization"],
        "body": b"",
    }


def read(path: Path) -> list[Difference]:
    """Every entry, in the order of the file."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["difference"]
    return [Difference.parse(entry) for entry in entries]


def setting(differences: list[Difference], vector_id: str, name: str, default: Any) -> Any:
    """The last value for a field that is no part of a report."""
    return [default, *settings(differences, vector_id, name)][-1]


def settings(differences: list[Difference], vector_id: str, name: str) -> list[Any]:
    """Every value for a field that is no part of a report."""
    return [
        entry.value for entry in differences if entry.field == name and entry.globs_for(vector_id)
    ]


def exchanges_of(recording: Report) -> list[Report]:
    """The exchanges of a recording, also where it is of a single one."""
    found = recording.get("exchanges") or [recording]
    return [exchange for exchange in found if exchange["request"]]


def recording(
    differences: list[Difference], vector_id: str, recordings: Mapping[str, Report]
) -> Report:
    """What is played back for a recording: its own, or what its differences make of it."""
    played = recordings[setting(differences, vector_id, "exchange", vector_id)]
    numbers = setting(differences, vector_id, "exchanges", None)
    if numbers is not None:
        picked = [_picked(number, played, recordings) for number in numbers]
        assert picked != exchanges_of(played), f"{vector_id}: these are the recorded exchanges"
        played = {**played, "exchanges": picked}
    for swap in settings(differences, vector_id, "swap"):
        text = json.dumps(played, ensure_ascii=False)
        for old, new in swap.items():
            assert old in text, f"{vector_id}: {old!r} is not there to be swapped"
            text = text.replace(old, new)
        played = json.loads(text)
    return played


def _picked(number: int | str, played: Report, recordings: Mapping[str, Report]) -> Report:
    other, _, index = str(number).rpartition(":")
    return exchanges_of(recordings[other] if other else played)[int(index)]


def apply(differences: list[Difference], vector_id: str, report: Report) -> list[Difference]:
    """Change the report of one recording; the entries that had something to change."""
    used = []
    for difference in differences:
        if difference.globs_for(vector_id):
            before = copy.deepcopy(report)
            if difference.field not in SETTINGS:
                difference.apply(report)
            if difference.field in SETTINGS or report != before:
                used.append(difference)
    return used

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

Some fields are no part of a report: ``exchange`` puts the exchange and outcome of another
recording in the place of this one's, ``client_retry`` gives the client that many retries, and
``more`` goes on with further requests and the status that answers each.
"""

from __future__ import annotations

import copy
import fnmatch
import tomllib
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

Report = dict[str, Any]

SETTINGS = frozenset({"exchange", "client_retry"})
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
        )
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
                report["requests"].append(_further(report["requests"][0], further))
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
        for target in report["requests"] if first == "request" else [report.get(first)]:
            part = reduce(_step, way, target)
            if isinstance(part, dict) and part:
                self._put(part, name)

    def _put(self, target: Report, name: str) -> None:
        if self.absent:
            target.pop(name, None)
        elif not (self.only_if_missing and name in target):
            target[name] = copy.deepcopy(self.value)


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


def _further(first: Report, wanted: dict[str, Any]) -> Report:
    """A request to the same host as the first one, without a body."""
    method, target = wanted["request"].split(" ")
    path, _, raw_query = target.partition("?")
    return {
        "method": method,
        "path": path,
        "raw_query": raw_query,
        "query": sorted(parse_qsl(raw_query, keep_blank_values=True)),
        "headers": {"host": first["headers"]["host"], **wanted.get("headers", {})},
        "authorization": first["authorization"],
        "body": b"",
    }


def read(path: Path) -> list[Difference]:
    """Every entry, in the order of the file."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["difference"]
    return [Difference.parse(entry) for entry in entries]


def setting(differences: list[Difference], vector_id: str, name: str, default: Any) -> Any:
    """The last value for a field that is no part of a report."""
    found = [
        entry.value for entry in differences if entry.field == name and entry.globs_for(vector_id)
    ]
    return found[-1] if found else default


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

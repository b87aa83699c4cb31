"""The page that says what a fault rule can do.

In: the fields of ``FaultRule`` and the words below them. Out: Markdown, kept beside this
file as ``faults.md``; ``python -m aiocos.emulator.fault_page`` writes it anew.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import faults
from .faults import SELECTORS, FaultRule

PAGE = Path(__file__).with_name("faults.md")

_HEAD = """\
# Faults

Written by `python -m aiocos.emulator.fault_page` from the fields of `FaultRule`.

A rule says which requests it is for, when it fires, and what goes wrong. A rule is data: in
Python `server.add_fault(FaultRule(operation="UploadPart", nth=3, status=503))`, in JSON
`{"operation": "UploadPart", "nth": 3, "status": 503}`. What `add_fault` returns counts the
requests the rule was for (`seen`) and those that went wrong (`fired`). Of several rules that
are due the first one acts. `server.heal()` ends all of them. Answers are COS's own, with
`x-cos-request-id`, unless the rule says otherwise.

`range` and `covers` choose requests by byte; amounts and offsets are bytes.

## Often wanted

| what goes wrong | rule |
|---|---|
"""

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "busy, and says for how long": {"status": 503, "headers": {"Retry-After": "5"}},
    "every third request fails by chance, repeatably": {
        "status": 500,
        "probability": 0.33,
        "seed": 7,
    },
    "a slow trickle": {"operation": "GetObject", "drip": 1024, "interval_s": 0.1},
    "a cut in the middle": {"operation": "GetObject", "close_response": 100_000},
    "an answer that is lost": {"operation": "CompleteMultipartUpload", "lose_response": True},
    "an error inside a 200": {
        "operation": "CompleteMultipartUpload",
        "error_in_200": "InternalError",
    },
    "a wrong byte": {"operation": "GetObject", "corrupt": 77_777},
    "a short body whose length agrees": {"operation": "GetObject", "truncate_hide": 1000},
    "a wrong checksum in the header": {"operation": "GetObject", "wrong_crc": True},
    "an object that changes between two ranges": {
        "operation": "GetObject",
        "nth": 2,
        "replace_object": "new content",
    },
    "an ETag that changes, the object does not": {
        "operation": "GetObject",
        "nth": 2,
        "headers": {"ETag": '"0123456789abcdef0123456789abcdef"'},
    },
    "a list that does not know the latest changes": {
        "operation": "ListObjects",
        "stale_list": True,
    },
    "a clock an hour slow": {"clock_skew": -3600.0},
    "a redirect by something that is not COS": {
        "status": 301,
        "location": "http://elsewhere.example/",
        "no_request_id": True,
    },
    "a token that ends in the middle": {"after": 3, "expired_token": True},
    "TLS that is not there": {"handshake": "plain"},
    "the part of an upload that never arrives whole": {
        "operation": "UploadPart",
        "part": 2,
        "reset_request": 100_000,
    },
    "only the reads of one place are hit": {
        "operation": "GetObject",
        "covers": 1_000_000,
        "status": 500,
    },
}
"""What is often wanted, as the data of a rule."""


def page() -> str:
    """The whole page."""
    recipes = "".join(f"| {words} | `{_json(rule)}` |\n" for words, rule in RECIPES.items())
    return (
        _HEAD + recipes + _table("Which requests, and when", True) + _table("What happens", False)
    )


def _json(rule: Mapping[str, Any]) -> str:
    return json.dumps(FaultRule.from_dict(rule).to_dict())


def _table(title: str, is_selector: bool) -> str:
    lines = [
        f"| `{name}` | {kind} | {words} |\n"
        for name, kind, words in _fields()
        if (name in SELECTORS) is is_selector
    ]
    return f"\n## {title}\n\n| field | value | meaning |\n|---|---|---|\n{''.join(lines)}"


def _fields() -> list[tuple[str, str, str]]:
    """Name, kind and words of each field, as they stand in the source."""
    [rule] = [
        node
        for node in ast.parse(inspect.getsource(faults)).body
        if isinstance(node, ast.ClassDef) and node.name == FaultRule.__name__
    ]
    found = []
    for node, after in zip(rule.body, [*rule.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            assert isinstance(node.target, ast.Name)  # noqa: S101  (a dataclass has no others)
            kind = _KINDS.get(ast.unparse(node.annotation), ast.unparse(node.annotation))
            found.append((node.target.id, kind, _words(after)))
    return found


def _words(node: ast.stmt | None) -> str:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return ""
    return " ".join(str(node.value.value).split()).replace("``", "`")


_KINDS = {
    "str | None": "text",
    "str": "text",
    "int | None": "number",
    "int": "number",
    "float": "number",
    "bool": "true or false",
    "Mapping[str, str | None]": "names and values",
}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

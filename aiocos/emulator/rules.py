"""Fault rules that somebody wrote by hand, as JSON.

In: what a JSON document held. Out: rules, or a ValueError that names the field and says what
was meant. A rule that would break only when it fires must not get this far.
"""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from .faults import FaultRule


def read_rules(path: Path | str) -> list[FaultRule]:
    """The rules of a file that holds a JSON list of them.

    Raises ValueError with the name of the file.
    """
    try:
        return rules(json.loads(Path(path).read_text(encoding="utf-8")))
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def rules(document: object) -> list[FaultRule]:
    """One rule, or a list of them.

    Raises ValueError.
    """
    if isinstance(document, Mapping):
        return [rule(document)]
    if not isinstance(document, list):
        told = 'faults are a JSON list of rules, [{"operation": "GetObject", ...}]'
        raise ValueError(told)  # noqa: TRY004  (of a document, not of an argument)
    found = []
    for number, each in enumerate(document, start=1):
        try:
            found.append(rule(each))
        except ValueError as error:
            raise ValueError(f"rule {number}: {error}") from error
    return found


def rule(document: object) -> FaultRule:
    """One rule.

    Raises ValueError.
    """
    if not isinstance(document, Mapping):
        raise ValueError(f"a rule is a JSON object, not {document!r}")  # noqa: TRY004  (the same)
    known = _kinds()
    for name, value in document.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"
            raise ValueError(f"a rule has no {name!r}{meant}")
        if not any(_fits(value, kind) for kind in known[name]):
            names = " or ".join(getattr(kind, "__name__", "null") for kind in known[name])
            raise ValueError(
                f"{name} is {value!r}, and must be {names.replace('NoneType', 'null')}"
            )
    return FaultRule(**document)


@cache
def _kinds() -> dict[str, tuple[Any, ...]]:
    """For each field the types it may have."""
    hints = get_type_hints(FaultRule)
    return {item.name: _members(hints[item.name]) for item in fields(FaultRule)}


def _members(hint: Any) -> tuple[Any, ...]:
    found = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    return tuple(get_origin(kind) or kind for kind in found)


def _fits(value: object, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)

"""The lifecycle rules of a bucket.

In: a LifecycleConfiguration. Out: rules that say which objects they are about and when
something is due. No I/O; ``expiring`` does what they say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from . import tags
from .errors import CosError
from .records import Version
from .xml import Element, parse

ROOT = "LifecycleConfiguration"
DAY_S = 24 * 3600
# From what is read at once to what is hardly ever read: objects only move down.
_WARMTH = """
STANDARD MAZ_STANDARD STANDARD_IA MAZ_STANDARD_IA ONEZONE_STANDARD_IA INTELLIGENT_TIERING
MAZ_INTELLIGENT_TIERING COLD MAZ_COLD ARCHIVE MAZ_ARCHIVE DEEP_ARCHIVE
"""
CLASSES = tuple(_WARMTH.split())


class Due(NamedTuple):
    """So many days after something happened, or on a date."""

    days: int | None
    date: float | None

    def after(self, moment: float) -> float:
        """When it is due for what happened at this moment."""
        if self.days is not None:
            return moment + self.days * DAY_S
        return max(moment, self.date or 0)


class Move(NamedTuple):
    """A change to another storage class."""

    due: Due
    storage_class: str

    def is_down(self, version: Version) -> bool:
        """Whether this version is kept warmer than that."""
        now = version.attributes.storage_class
        return CLASSES.index(now) < CLASSES.index(self.storage_class)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects a rule is about."""

    prefix: str = ""
    spared_prefix: str | None = None
    tags: frozenset[tags.Tag] = frozenset()
    above: int = -1
    below: float = math.inf
    """Both in bytes, neither included."""

    def admits_key(self, key: str) -> bool:
        spared = self.spared_prefix is not None and key.startswith(self.spared_prefix)
        return key.startswith(self.prefix) and not spared

    def admits(self, version: Version) -> bool:
        return (
            self.admits_key(version.key)
            and self.above < version.size < self.below
            and self.tags <= set(tags.read(version.attributes.tagging))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    filter: Filter
    expiration: Due | None
    moves: tuple[Move, ...]
    old_expiration: Due | None
    """Counted from when a version was superseded, like ``old_moves``."""
    old_moves: tuple[Move, ...]
    abort: Due | None
    drops_markers: bool
    """Whether delete markers go that hide nothing any more."""

    def dues(self) -> list[Due]:
        moves = [move.due for move in self.moves + self.old_moves]
        return [due for due in (self.expiration, self.old_expiration, self.abort, *moves) if due]


def check(body: Element) -> None:
    """Refuse a configuration that makes no sense."""
    names = [rule.text("ID") for rule in body.children("Rule") if rule.text("ID")]
    if len(set(names)) < len(names):
        raise CosError("InvalidArgument", "The ID of a rule must not come twice.")
    for rule in body.children("Rule"):
        _rule(rule)


@lru_cache(maxsize=64)
def rules(document: bytes) -> tuple[Rule, ...]:
    """The rules in force of a stored configuration."""
    found = parse(document, ROOT).children("Rule")
    return tuple(_rule(rule) for rule in found if rule.text("Status") == "Enabled")


def _rule(rule: Element) -> Rule:
    expiration = rule.child("Expiration")
    markers = None if expiration is None else expiration.text("ExpiredObjectDeleteMarker")
    is_timed = bool(rule.at("Expiration/Days") or rule.at("Expiration/Date"))
    return Rule(
        _filter(rule),
        _due(expiration, "Days") if is_timed or markers is None else None,
        _moves(rule, "Transition", "Days"),
        _due(rule.child("NoncurrentVersionExpiration"), "NoncurrentDays"),
        _moves(rule, "NoncurrentVersionTransition", "NoncurrentDays"),
        _due(rule.child("AbortIncompleteMultipartUpload"), "DaysAfterInitiation"),
        (markers or "").lower() == "true",
    )


def _moves(rule: Element, name: str, days: str) -> tuple[Move, ...]:
    found = []
    for element in rule.children(name):
        storage_class, due = (element.text("StorageClass") or "").upper(), _due(element, days)
        if storage_class not in CLASSES or due is None:
            raise CosError("MalformedXML", f"{name} needs a StorageClass that exists.")
        found.append(Move(due, storage_class))
    return tuple(found)


def _due(element: Element | None, name: str) -> Due | None:
    if element is None:
        return None
    days, date = element.text(name), element.text("Date")
    try:
        if days is not None and date is None:
            return Due(_number(days), None)
        if date is not None and days is None:
            moment = datetime.fromisoformat(date)
            return Due(None, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except ValueError:
        pass
    raise CosError("MalformedXML", f"{element.name} needs {name}, or a Date, as ISO 8601 has it.")


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1 << 31:
        raise ValueError(text)
    return number


def _filter(rule: Element) -> Filter:
    places = [rule, *rule.at("Filter"), *rule.at("Filter/And")]
    tag_set = [tag for place in places for tag in place.children("Tag")]

    def text(name: str) -> str | None:
        return next((found for place in places if (found := place.text(name)) is not None), None)

    try:
        above, below = text("ObjectSizeGreaterThan"), text("ObjectSizeLessThan")
        return Filter(
            text("Prefix") or "",
            text("PrefixNotEquals"),
            frozenset((tag.text("Key") or "", tag.text("Value") or "") for tag in tag_set),
            -1 if above is None else _number(above),
            math.inf if below is None else _number(below),
        )
    except ValueError:
        raise CosError("MalformedXML", "The filter's sizes must be numbers of bytes.") from None

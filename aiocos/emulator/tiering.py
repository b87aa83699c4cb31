"""Intelligent tiering has two forms: one rule without a name, or many with ids.

In: a document of one form. Out: what it means in the other: the rule without a name is the
one whose id is ``default``. Source: the official Python SDK's tests, which put the one and
get the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from .configurations import Name
from .xml import Element, Node, document, parse

RULE = "BucketIntelligentTiering"
RULES = "BucketIntelligentTieringConfiguration"
_DEFAULT = "default"
_ROOT = "IntelligentTieringConfiguration"


def equals(setting: str, identity: str, stored: bytes) -> Iterator[tuple[Name, bytes]]:
    """What else is set by setting this."""
    if setting == RULE:
        yield (RULES, _DEFAULT), document(_ROOT, _named(parse(stored, _ROOT)))
    elif setting == RULES and identity == _DEFAULT:
        yield (RULE, ""), document(_ROOT, _nameless(parse(stored, _ROOT)))


def twins(setting: str, identity: str) -> list[Name]:
    """What goes when this is deleted."""
    return [(RULE, "")] if (setting, identity) == (RULES, _DEFAULT) else []


def _named(rule: Element) -> list[Node]:
    nodes: list[Node] = [("Id", _DEFAULT), ("Status", rule.text("Status"))]
    moves: list[Node] = [
        ("Tiering", [("AccessTier", "INFREQUENT"), *_numbers(move)])
        for move in rule.children("Transition")
    ]
    return nodes + moves


def _nameless(rule: Element) -> list[Node]:
    nodes: list[Node] = [("Status", rule.text("Status"))]
    moves: list[Node] = [
        ("Transition", _numbers(move))
        for move in rule.children("Tiering")
        if move.text("AccessTier") in (None, "INFREQUENT")
    ]
    return nodes + moves


def _numbers(move: Element) -> list[Node]:
    return [
        (child.name, child.content)
        for child in move.elements()
        if child.name in ("Days", "RequestFrequent")
    ]

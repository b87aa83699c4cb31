"""Tags of objects and buckets.

In: the x-cos-tagging header, or a Tagging document. Out: the text in which an object's tags
are kept, ``key=value`` joined by ``&`` and percent-encoded, and the nodes of a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import quote

from .errors import CosError
from .routing import decode
from .xml import Element, Node

MAX_OF_OBJECT = 10
MAX_OF_BUCKET = 50
_MAX_KEY, _MAX_VALUE = 127, 255

Tag: TypeAlias = tuple[str, str]


def from_header(text: str) -> str:
    """The tags of a header."""
    pairs = [item.partition("=") for item in text.split("&") if item]
    return _text(_checked([(decode(key), decode(value)) for key, _, value in pairs]))


def from_document(body: Element) -> str:
    """The tags of an object's Tagging document."""
    return _text(_listed(body, MAX_OF_OBJECT))


def check_document(body: Element) -> None:
    """Refuse a bucket's Tagging document that is not right."""
    _listed(body, MAX_OF_BUCKET)


def _listed(body: Element, limit: int) -> list[Tag]:
    if body.child("TagSet") is None:
        raise CosError("MalformedXML", "Tagging needs a TagSet.")
    found: list[Tag] = []
    for tag in body.at("TagSet/Tag"):
        key, value = tag.text("Key"), tag.text("Value")
        if key is None or value is None:
            raise CosError("MalformedXML", "A Tag needs a Key and a Value.")
        found.append((key, value))
    return _checked(found, limit)


def _checked(found: list[Tag], limit: int = MAX_OF_OBJECT) -> list[Tag]:
    if len(found) > limit:
        raise CosError("InvalidTag", f"There may be {limit} tags at most.")
    if len({key for key, _ in found}) < len(found):
        raise CosError("InvalidTag", "A tag's key must not come twice.")
    if not all(0 < len(key) <= _MAX_KEY and len(value) <= _MAX_VALUE for key, value in found):
        raise CosError("InvalidTag", "A tag's key or value is empty or too long.")
    return found


def _text(found: Sequence[Tag]) -> str:
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in found)


def read(text: str) -> list[Tag]:
    """The tags a text stands for."""
    pairs = [item.partition("=") for item in text.split("&") if item]
    return [(decode(key), decode(value)) for key, _, value in pairs]


def nodes(text: str) -> list[Node]:
    """The content of a Tagging document."""
    listed: list[Node] = [("Tag", [("Key", key), ("Value", value)]) for key, value in read(text)]
    return [("TagSet", listed)]

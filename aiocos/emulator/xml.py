"""XML as COS writes it, and request bodies as it reads them.

In: nested names and values, or the bytes of a request body. Out: a document, or an
``Element`` without namespaces. A body may not carry a DOCTYPE, nest deeply or be other
than UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from lxml import etree

from .errors import CosError

MAX_DEPTH = 16
MAX_TAGS = 200_000
"""Some three times what the largest list of parts has: each costs more than its bytes."""

Value: TypeAlias = "str | int | bool | Sequence[Node] | None"
Node: TypeAlias = "tuple[str, Value]"
"""Name and content; attributes may follow the name, as they are to be written."""

_DECLARATION = b"<?xml version='1.0' encoding='utf-8' ?>\n"
_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}


def document(root: str, content: Value) -> bytes:
    """A whole document."""
    pieces: list[str] = []
    _append(pieces, (root, content))
    return _DECLARATION + "".join(pieces).encode()


def escape(text: str) -> str:
    """Text for an element; what XML 1.0 cannot carry becomes U+FFFD."""
    return _SPECIAL.sub(lambda match: _ESCAPES.get(match[0], "\ufffd"), text)


def _append(pieces: list[str], node: Node) -> None:
    name, value = node
    if value is None or value in ("", []):
        pieces.append(f"<{name}/>")
    elif isinstance(value, bool):
        pieces.append(f"<{name}>{'true' if value else 'false'}</{name}>")
    elif isinstance(value, (str, int)):
        pieces.append(f"<{name}>{escape(str(value))}</{name}>")
    else:
        pieces.append(f"<{name}>")
        for child in value:
            _append(pieces, child)
        pieces.append(f"</{name.partition(' ')[0]}>")


class Element:
    """One element of a request body."""

    def __init__(self, node: etree._Element) -> None:
        self._node = node
        self.name = etree.QName(node).localname

    @property
    def content(self) -> str:
        return self._node.text or ""

    def elements(self) -> list[Element]:
        return [Element(child) for child in self._node]

    def children(self, name: str) -> list[Element]:
        return [child for child in map(Element, self._node) if child.name == name]

    def at(self, path: str) -> list[Element]:
        """The elements at the end of a path such as ``Rule/Filter/Tag``."""
        found: list[Element] = [self]
        for name in path.split("/"):
            found = [child for element in found for child in element.children(name)]
        return found

    def value(self) -> Value:
        """What is in it, ready to be written again: nodes, or text."""
        children = self.elements()
        return [(child.name, child.value()) for child in children] if children else self.content

    def text(self, name: str) -> str | None:
        """The text of the first child of this name, None without such a child."""
        for child in self.children(name):
            return child._node.text or ""
        return None

    def child(self, name: str) -> Element | None:
        found = self.children(name)
        return found[0] if found else None


def parse(body: bytes, root: str) -> Element:
    """Read a request body whose root element must be ``root``."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CosError("MalformedXML", "The XML is not UTF-8.") from None
    if "<!DOCTYPE" in text:
        raise CosError("MalformedXML", "A DOCTYPE is not allowed.")
    if text.count("<") > MAX_TAGS:
        raise CosError("MalformedXML", "The XML has too many elements.")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        tree = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        raise CosError("MalformedXML") from None
    _check_depth(tree)
    element = Element(tree)
    if element.name != root:
        raise CosError("MalformedXML", f"The root element must be {root}.")
    return element


def _check_depth(tree: etree._Element) -> None:
    depth = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH:
            raise CosError("MalformedXML", "The XML is nested too deeply.")

"""XML as COS sends and takes it.

In: bytes from the network, never trusted. Out: a checked root element, plain dicts of
text; and dicts as request bodies. DOCTYPE, entities, deep nesting and surprising roots
are refused before anything is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from aiocos.errors import ParameterError, ResponseParseError

Tree = dict[str, "str | Tree | list[str | Tree | None] | None"]
MAX_DEPTH: Final = 64
MAX_TAGS: Final = 200_000
"""With attributes, some ten times what the fullest page has: each costs more than its bytes."""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
CR: Final = "\r"  # a parser reads a bare one as a line feed


def parse(document: bytes, roots: Collection[str]) -> etree._Element:
    """Return the root element, which must be one of ``roots`` or ``Error``.

    Raises:
        ResponseParseError: not XML, not the document expected, or not to be trusted.
    """
    flaw = _flaw(document)
    # A parser is not shared: lxml's keep state, and two threads may parse at once.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    root = etree.Element("none")
    try:
        root = root if flaw else etree.fromstring(document.lstrip(), parser)
    except etree.XMLSyntaxError as error:
        flaw = f"the answer is not well-formed XML: {error}"
    # It may repeat a secret of the request, and some collect errors with the locals of frames.
    document = b""
    if flaw:
        # Not from the parser's error, which cannot be pickled: Dask pickles causes, too.
        raise ResponseParseError(flaw)
    if root.getroottree().docinfo.internalDTD is not None:
        raise ResponseParseError("the answer holds a DOCTYPE, which COS never sends")
    name = local_name(root)
    if name != "Error" and name not in roots:
        expected = " or ".join(sorted(roots))
        raise ResponseParseError(
            f"the answer is a <{name}> document, not {expected}: it does not come from COS"
        )
    return root


def _flaw(document: bytes) -> str:
    """Return why a document is not even parsed; nothing if it is."""
    if not document.strip():
        return "the answer has no body where XML was expected"
    if has_too_many_tags(document):
        return "the answer has more elements than any that COS sends"
    if b"<!DOCTYPE" in document:
        return "the answer holds a DOCTYPE, which COS never sends"
    return ""


def has_too_many_tags(document: bytes) -> bool:
    """Whether there are more elements and attributes than COS sends.

    None takes less than three bytes, so an ordinary page need not be searched.
    """
    marks = (b"<", b'="', b"='")
    return len(document) > 3 * MAX_TAGS and sum(map(document.count, marks)) > MAX_TAGS


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def to_tree(element: etree._Element, lists: Collection[str], depth: int = 1) -> Tree:
    """Return an element's children by name: text, nested dicts, and ``lists`` as lists.

    Text stays text, an empty element is None. A name in ``lists`` is a list even where it
    stands once.
    """
    if depth > MAX_DEPTH:
        raise ResponseParseError(f"the answer is nested more than {MAX_DEPTH} deep")
    tree: Tree = {}
    for child in element:
        name = child.tag
        if not isinstance(name, str):
            raise ResponseParseError("the answer holds an entity reference, which COS never sends")
        if name[0] == "{":
            name = name.rpartition("}")[2]
        value = to_tree(child, lists, depth + 1) if len(child) else child.text
        if name not in tree:
            tree[name] = [value] if name in lists else value
            continue
        present = tree[name]
        if isinstance(present, list):
            present.append(value)
        else:
            tree[name] = [present, value]
    return tree


def document(root: str, content: Mapping[str, object], *, quotes: bool = False) -> bytes:
    """Return a request body: keys in the dict's order, lists as repeated elements.

    Keys that begin with ``@`` are attributes. ``quotes`` spells ``"`` as an entity, as COS's
    samples do where ETags are listed.
    """
    declaration = '<?xml version="1.0" encoding="utf-8"?>'
    if quotes:
        return (declaration + _element(root, content, {CR: "&#13;", '"': "&quot;"})).encode()
    return (f"{declaration}\n" + _element(root, content, {CR: "&#13;"})).encode()


def _element(name: str, value: object, entities: dict[str, str]) -> str:
    if not _NAME.fullmatch(name):
        raise ParameterError(f"{name!r} is not an element of the request body")
    if value is None:
        return f"<{name}></{name}>"
    if isinstance(value, Mapping):
        parts = [(str(key), part) for key, part in value.items()]
        inner = "".join(_element(*part, entities) for part in parts if part[0][:1] != "@")
        attributes = "".join(_attribute(*part) for part in parts if part[0][:1] == "@")
        return f"<{name}{attributes}>{inner}</{name}>"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "".join(_element(name, part, entities) for part in value)
    if isinstance(value, bool):
        return f"<{name}>{str(value).lower()}</{name}>"
    text = str(value)
    if not can_carry(text):
        raise ParameterError(
            f"{name} is {text!r}, which holds a character that XML cannot carry; "
            "an object of that key can be deleted by delete_object"
        )
    return f"<{name}>{escape(text, entities)}</{name}>"


def _attribute(name: str, value: object) -> str:
    if not _NAME.fullmatch(name[1:]) or not isinstance(value, str) or not can_carry(value):
        raise ParameterError(f"{name!r} is not an attribute of the request body")
    return f" {name[1:]}={quoteattr(value)}"


def can_carry(text: str) -> bool:
    """Whether every character of a text has a place in XML."""
    return _NOT_XML.search(text) is None

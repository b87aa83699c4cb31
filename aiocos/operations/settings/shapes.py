"""Documents of settings, as TypedDicts describe them.

In: a dict that a caller gave, or an XML element that COS sent. Out: the dict, checked
before anything is sent, or the element as a dict. The TypedDict alone says which names a
document has, which of them are lists, and which texts are allowed.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import (
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from lxml import etree

from aiocos.encoding import xml
from aiocos.errors import ParameterError, ResponseParseError

T = TypeVar("T")
Many: TypeAlias = T | Sequence[T]
"""An element that may stand more than once: a list of them, or the only one."""
Number: TypeAlias = int | str
Flag: TypeAlias = bool | str
"""``true`` or ``false``."""

_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_LISTS = frozenset({list, Sequence})
_NUMBER = get_args(Number)


@dataclass(frozen=True, slots=True)
class Field:
    """One element of a document: what may be in it."""

    name: str
    is_list: bool
    nested: Shape | None
    """What its children are; None for a text."""
    types: tuple[type, ...]
    values: frozenset[str]
    """The texts that are allowed; empty where any is."""

    def check(self, value: object, where: str) -> None:
        """Refuse what cannot be this element; None is an empty one."""
        if self.is_list and isinstance(value, Sequence) and not isinstance(value, str | bytes):
            for index, item in enumerate(value):
                self._check_one(item, f"{where}[{index}]")
        elif value is not None or self.is_list:
            self._check_one(value, where)

    def _check_one(self, value: object, where: str) -> None:
        if self.nested is not None:
            self.nested.check(value, where)
            return
        is_odd_flag = isinstance(value, bool) and bool not in self.types
        if is_odd_flag or not isinstance(value, self.types):
            wanted = " or ".join(kind.__name__ for kind in self.types)
            raise ParameterError(f"{where} must be {wanted}, not {type(value).__name__}")
        text = str(value)
        if self.values and text not in self.values:
            allowed = ", ".join(sorted(self.values))
            raise ParameterError(f"{where} is {text!r}, and must be one of: {allowed}")
        if self.types == _NUMBER and not (text.isascii() and text.isdigit()):
            raise ParameterError(f"{where} is {text!r}, and must be a whole number, 0 or more")
        if not xml.can_carry(text):  # not shown: it may be a private key
            raise ParameterError(f"{where} holds a character that XML cannot carry")

    def read(self, element: etree._Element) -> object:
        """Return what an element holds: text, a dict, or None where it is empty."""
        if self.nested is None:
            if len(element):
                raise ResponseParseError(f"<{self.name}> holds elements where a text belongs")
            return element.text
        if not len(element) and element.text and element.text.strip():
            raise ResponseParseError(f"<{self.name}> holds a text where elements belong")
        if len(element) or self.nested.is_dict_when_empty:
            return self.nested.read(element)
        return None


@dataclass(frozen=True, slots=True)
class Shape:
    """What one TypedDict says of a document, or of a part of one."""

    fields: Mapping[str, Field]
    required: frozenset[str]
    is_dict_when_empty: bool
    """Whether it has lists, which are always there."""

    def check(self, value: object, where: str) -> Mapping[str, object]:
        """Return such a dict, or refuse it: names nobody knows, types, what is missing."""
        if not isinstance(value, Mapping):
            raise ParameterError(f"{where} must be a dict, not {type(value).__name__}")
        for name in value:
            if name not in self.fields:
                raise ParameterError(f"{where} has no element {name!r}{self._meant(name)}")
        for name in self.fields:
            if name in self.required and name not in value:
                raise ParameterError(f"{where} needs {name}")
        for name, item in value.items():
            self.fields[name].check(item, f"{where}[{name!r}]")
        return value

    def _meant(self, name: object) -> str:
        lowered = {known.lower(): known for known in self.fields}
        near = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.6)
        return f"; did you mean {lowered[near[0]]!r}?" if near else ""

    def read(self, element: etree._Element) -> dict[str, Any]:
        """Return an element as a dict; what the TypedDict does not know is kept as it is."""
        found: dict[str, Any] = {}
        unknown = []
        for child in element:
            name = xml.local_name(child)
            field = self.fields.get(name)
            if field is None:
                unknown.append(child)
            elif field.is_list:
                found.setdefault(name, []).append(field.read(child))
            else:
                found[name] = field.read(child)
        if unknown:
            found |= _tree_of(unknown)
        if _XSI_TYPE in element.attrib and "Type" in self.fields:
            found["Type"] = element.attrib[_XSI_TYPE]
        for name in self.required - found.keys():
            found[name] = self._default(name)
        return found

    def _default(self, name: str) -> object:
        field = self.fields[name]
        if field.is_list:
            return []
        if field.nested is not None and field.nested.is_dict_when_empty:
            return field.nested.read(etree.Element(name))
        raise ResponseParseError(f"the answer has no <{name}> where there must be one")


def _tree_of(elements: list[etree._Element]) -> xml.Tree:
    """Return elements as a dict of texts and dicts."""
    parent = etree.Element("unknown")
    parent.extend(elements)
    return xml.to_tree(parent, ())


@cache
def shape_of(described: type) -> Shape:
    """Return what a TypedDict says, worked out once."""
    required: frozenset[str] = described.__required_keys__  # type: ignore[attr-defined] # a TypedDict has it
    fields = {name: _field(name, hint) for name, hint in get_type_hints(described).items()}
    always = {name for name in required if fields[name].is_list}
    nested = [fields[name].nested for name in required]
    return Shape(
        fields=fields,
        required=required,
        is_dict_when_empty=bool(always) or any(one and one.is_dict_when_empty for one in nested),
    )


def _field(name: str, hint: Any) -> Field:
    alternatives = list(_alternatives(hint))
    lists = [one for one in alternatives if get_origin(one) in _LISTS]
    singles = [one for one in alternatives if one not in lists]
    singles += [part for one in lists for part in _alternatives(get_args(one)[0])]
    literals = [one for one in singles if get_origin(one) is Literal]
    nested = [one for one in singles if is_typeddict(one)]
    plain = [one for one in singles if isinstance(one, type) and not is_typeddict(one)]
    return Field(
        name=name,
        is_list=bool(lists),
        nested=shape_of(nested[0]) if nested else None,
        types=tuple(dict.fromkeys([*plain, *([str] if literals else [])])),
        values=frozenset(value for one in literals for value in get_args(one)),
    )


def _alternatives(hint: Any) -> Iterator[Any]:
    """Give the parts of a union, without None."""
    if get_origin(hint) in {Union, types.UnionType}:
        for part in get_args(hint):
            yield from _alternatives(part)
    elif hint is not type(None):
        yield hint

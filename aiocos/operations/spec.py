"""What one operation of COS is: its place on the wire, its options, its answer.

In: the keywords of a call. Out: a Request, checked before anything is sent. Each option
says in its annotation where it goes and which values can be right; nothing else knows.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from aiocos.encoding.headers import header_value, metadata_headers, unicode_text
from aiocos.errors import ParameterError
from aiocos.request import Repeat, Reply
from aiocos.units import MIB

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Header:
    """An option that is sent as this header."""

    name: str


@dataclass(frozen=True, slots=True)
class Query:
    """An option that is sent as this query parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class MetadataHeaders:
    """A dict whose items are sent as headers of their own names."""


@dataclass(frozen=True, slots=True)
class Range:
    """The whole numbers that are allowed, both ends included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class OneOf:
    """The texts that are allowed."""

    values: tuple[str, ...]


Place = Header | Query | MetadataHeaders


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword: where it goes, which types and values it takes."""

    keyword: str
    place: Place
    types: tuple[type, ...]
    bounds: Range | OneOf | None

    def text(self, value: object) -> str:
        """Return the value as it is sent, or refuse it."""
        if isinstance(value, bool) or not isinstance(value, self.types):
            wanted = " or ".join(kind.__name__ for kind in self.types)
            raise ParameterError(f"{self.keyword} must be {wanted}, not {type(value).__name__}")
        text = str(value)
        if isinstance(self.bounds, Range):
            try:
                number = int(text)
            except ValueError:
                raise ParameterError(f"{self.keyword} is {text!r}, not a whole number") from None
            low, high = self.bounds.low, self.bounds.high
            if not low <= number <= high:
                raise ParameterError(f"{self.keyword} is {number}, and must be {low} to {high}")
            return str(number)
        if self.bounds is not None and text not in self.bounds.values:
            allowed = ", ".join(self.bounds.values)
            raise ParameterError(f"{self.keyword} is {text!r}, and must be one of: {allowed}")
        return text


@dataclass(frozen=True)
class Operation(Generic[R]):
    """One operation; ``decode`` turns its answer into the result."""

    name: str
    method: Literal["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]
    scope: Literal["service", "bucket", "object"]
    options: type
    """A TypedDict whose annotations hold each option's place."""
    decode: Callable[[Reply], R]
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters that every request of this operation has."""
    named: tuple[str, ...] = ()
    """Keywords that the method has by name, for the error that suggests one."""
    repeat: Repeat = Repeat.SAFE
    doubtful_codes: frozenset[str] = frozenset()
    is_slow: bool = False
    signs_query: bool = True
    body_limit: int = MIB
    inline_limit: int = MIB
    """Longer answers are decoded in a thread, so that they hold up nothing else."""

    @cached_property
    def accepts(self) -> Mapping[str, Option]:
        """Every keyword that this operation's requests can carry."""
        return {name: _option(name, hint) for name, hint in _annotations(self.options).items()}

    def place(
        self, options: Mapping[str, object], headers: dict[str, str], query: dict[str, str]
    ) -> None:
        """Put the options given into ``headers`` and ``query``; None means not given."""
        accepts = self.accepts
        for keyword in options.keys() - accepts.keys():
            raise unknown_keyword(keyword, self.name, [*accepts, *self.named])
        # In the table's order: the same call is the same bytes, however it was written.
        for keyword in filter(options.__contains__, accepts):
            option, value = accepts[keyword], options[keyword]
            if value is None:
                continue
            match option.place:
                case Header(name):
                    headers[name] = header_value(option.text(value), keyword)
                case Query(name):
                    query[name] = unicode_text(option.text(value), keyword)
                case MetadataHeaders():
                    headers.update(metadata_headers(value))


def unknown_keyword(keyword: str, operation: str, known: Iterable[str]) -> ParameterError:
    """Return the error that names the nearest keyword there is."""
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(keyword.lower(), lowered, n=1, cutoff=0.7)
    meant = f"; did you mean {lowered[near[0]]}?" if near else ""
    return ParameterError(f"{operation} has no parameter {keyword}{meant}")


def _annotations(options: type) -> dict[str, Any]:
    """Return a TypedDict's own and inherited annotations, as written."""
    return dict(options.__annotations__)


def _option(keyword: str, hint: Any) -> Option:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{keyword} has no place on the wire")
    inner, *notes = get_args(hint)
    places = [note for note in notes if isinstance(note, Header | Query | MetadataHeaders)]
    if len(places) != 1:
        raise TypeError(f"{keyword} needs exactly one place on the wire, not {len(places)}")
    bounds = [note for note in notes if isinstance(note, Range | OneOf)]
    if get_origin(inner) is Literal:
        values = tuple(str(value) for value in get_args(inner))
        return Option(keyword, places[0], (str,), OneOf(values))
    return Option(keyword, places[0], _plain_types(inner), bounds[0] if bounds else None)


def _plain_types(hint: Any) -> tuple[type, ...]:
    if get_origin(hint) in {Union, types.UnionType}:
        return tuple(kind for part in get_args(hint) for kind in _plain_types(part))
    origin = get_origin(hint) or hint
    return (origin,) if isinstance(origin, type) else (object,)

"""Which files and objects take part.

In: patterns, in the order in which they were given. Out: whether a path takes part, and whether
anything below a directory can. The first pattern that matches decides. What none matches takes
part, unless the last one includes: then the rest does not. No I/O.

``*`` is any run of characters but the slash, ``?`` one of them, ``**`` a run that may hold
slashes (and ``**/`` none or some directories), ``[abc]``, ``[a-z]`` and ``[!abc]`` one of a set;
``\\`` takes the next character as it is. A pattern that matches a directory matches all that
is below; one with a slash at its end matches directories only. A pattern with a slash at its
beginning is about the whole path, any other about its end, from a slash on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, get_args

from aiocos.errors import ParameterError

FilterKind = Literal["include", "exclude"]
FilterRule = tuple[FilterKind, str]

_SLASH: Final = "/"
_DEEP: Final = ".*"
_ANY: Final = "[^/]*"
_SPECIAL: Final = frozenset("*?[\\")


@dataclass(frozen=True)
class _Rule:
    """One pattern."""

    includes: bool
    is_anchored: bool
    is_directory: bool
    segments: tuple[str, ...]
    """Regular expressions of the names, from slash to slash."""

    @cached_property
    def _path(self) -> re.Pattern[str]:
        below = "/.*" if self.is_directory else "(?:/.*)?"
        return re.compile(f"{self._body}{below}", re.DOTALL)

    @cached_property
    def _directory(self) -> re.Pattern[str]:
        return re.compile(f"{self._body}(?:/.*)?", re.DOTALL)

    @property
    def _body(self) -> str:
        start = "" if self.is_anchored else "(?:.*/)?"
        *leading, last = self.segments
        return start + "".join(_step(segment) for segment in leading) + last

    def matches(self, path: str) -> bool:
        """Whether it is about this file."""
        return self._path.fullmatch(path) is not None

    def covers(self, directory: str) -> bool:
        """Whether it is about everything below this directory, whose path ends in no slash."""
        return self._directory.fullmatch(directory) is not None

    def reaches(self, directory: str) -> bool:
        """Whether it can be about anything below."""
        if not self.is_anchored:
            return True
        for segment, name in zip(self.segments, directory.split(_SLASH), strict=False):
            if _DEEP in segment:
                return True
            if not re.fullmatch(segment, name, re.DOTALL):
                return False
        return True


class Filters:
    """The rules of one sync, in their order."""

    def __init__(self, rules: Iterable[FilterRule] = ()) -> None:
        self.given: tuple[FilterRule, ...] = tuple(_checked(rule) for rule in rules)
        self._rules = [_rule(*rule) for rule in self.given]
        self._default = not (self._rules and self._rules[-1].includes)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def after(self, rules: Iterable[FilterRule]) -> Filters:
        """Return these with some others in front."""
        return Filters((*rules, *self.given))

    def takes(self, path: str) -> bool:
        """Whether the file or object with this path takes part."""
        for rule in self._rules:
            if rule.matches(path):
                return rule.includes
        return self._default

    def enters(self, directory: str) -> bool:
        """Whether anything below a directory can take part; its path ends in a slash or not."""
        path = directory.removesuffix(_SLASH)
        for rule in self._rules:
            if rule.covers(path):
                return rule.includes
            if rule.includes and rule.reaches(path):
                return True
        return self._default


def literal(name: str) -> str:
    """Return the pattern that matches this very name."""
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in name)


def _checked(rule: Any) -> FilterRule:
    is_pair = isinstance(rule, tuple | list) and len(rule) == 2
    if not is_pair or rule[0] not in get_args(FilterKind) or not isinstance(rule[1], str):
        raise ParameterError(f"a filter is ('include', pattern) or ('exclude', ...), not {rule!r}")
    return rule[0], rule[1]


def _rule(kind: FilterKind, pattern: str) -> _Rule:
    segments = [""]
    for token in _tokens(pattern):
        if token == _SLASH:
            segments.append("")
        else:
            segments[-1] += token
    is_anchored = len(segments) > 1 and not segments[0]
    segments = segments[1:] if is_anchored else segments
    is_directory = len(segments) > 1 and segments[-1] in {"", _DEEP}
    segments = segments[:-1] if is_directory else segments
    if not all(segments):
        raise ParameterError(f"the pattern {pattern!r} has an empty name in it")
    return _Rule(kind == "include", is_anchored, is_directory, tuple(segments))


def _tokens(pattern: str) -> Iterator[str]:
    """Give a pattern's pieces as regular expressions, a slash as it is."""
    rest = re.compile(
        r"(?P<escaped>\\.)|(?P<deep>\*\*+)|(?P<any>\*)|(?P<one>\?)"
        r"|(?P<set>\[!?\]?[^\]/]*\])|(?P<broken>[\[\\])|(?P<plain>.)",
        re.DOTALL,
    )
    for match in rest.finditer(pattern):
        text = match[0]
        match match.lastgroup:
            case "deep":
                yield _DEEP
            case "any":
                yield _ANY
            case "one":
                yield "[^/]"
            case "set":
                yield _set(text, pattern)
            case "broken":
                raise ParameterError(f"the pattern {pattern!r} has a {text} without its end")
            case _:
                literal = text[-1]
                yield literal if literal == _SLASH else re.escape(literal)


def _set(text: str, pattern: str) -> str:
    inner = text[1:-1]
    is_negative = inner.startswith("!")
    characters = re.sub(r"([\\\[\]^&~|])", r"\\\1", inner[is_negative:])
    # A slash is never one of a set: it would be another directory.
    expression = f"[^/{characters}]" if is_negative else f"(?!/)[{characters}]"
    try:
        re.compile(expression)
    except re.error as error:
        raise ParameterError(f"the pattern {pattern!r}: {text} is no set ({error})") from error
    return expression


def _step(segment: str) -> str:
    """Return a name and its slash; of ``**/``, any directories or none."""
    return "(?:.*/)?" if segment == _DEEP else f"{segment}/"

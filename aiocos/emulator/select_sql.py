"""A Select statement in the engine's SQL.

In: a ``Statement``, and what the columns of the object are. Out: SQL that is written anew,
token by token, from what is known here: the documented operators, functions and types.
Nothing else gets through, so no other table, function, file or setting can be named, and
what runs here runs on COS.

Source: COS Select, "SQL functions", "Data types", "Operators".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from .errors import CosError
from .select_parser import (
    FOREIGN,
    KEYWORDS,
    Statement,
    Step,
    Token,
    index_of,
    name_of,
    split,
    unexpected,
    unsupported,
)

_INNER = frozenset(["FROM", "FOR", "LEADING", "TRAILING", "BOTH"])
"""Words of SUBSTRING and TRIM."""
_PLAIN_FUNCTIONS = {
    "AVG": "avg",
    "COUNT": "count",
    "MAX": "max",
    "MIN": "min",
    "SUM": "sum",
    "COALESCE": "coalesce",
    "NULLIF": "nullif",
    "CHAR_LENGTH": "length",
    "CHARACTER_LENGTH": "length",
    "LOWER": "lower",
    "UPPER": "upper",
    "SUBSTRING": "substring",
    "TRIM": "trim",
}
_DATE_PARTS = frozenset({"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"})
_TYPES = {
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "INT": "BIGINT",
    "INTEGER": "BIGINT",
    "STRING": "VARCHAR",
    "FLOAT": "DOUBLE",
    "DECIMAL": "DECIMAL(38, 10)",
    "NUMERIC": "DECIMAL(38, 10)",
    "TIMESTAMP": "TIMESTAMP",
}
_DATE_PATTERNS = {
    "yyyy": "%Y", "y": "%Y", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d", "HH": "%H",
    "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S",
    "a": "%p", "MMMM": "%B", "MMM": "%b", "yy": "%y", "%": "%%",
}  # fmt: skip
_DATE_PATTERN = re.compile(r"yyyy|yy|y|MMMM|MMM|MM|M|dd|d|HH|H|hh|h|mm|m|ss|s|a|%|[A-Za-z]+")


class Schema(Protocol):
    """What the columns of the object are."""

    def column(self, path: Sequence[Step], *, exact: bool) -> str:
        """The engine's expression for a path; ``exact``: the name was in quotes."""
        ...


def conditions(statement: Statement, schema: Schema) -> str:
    """What follows the table."""
    sql = ""
    if statement.where:
        sql = f" WHERE {_Translator(statement, schema).expression(statement.where)}"
    return sql if statement.limit is None else f"{sql} LIMIT {statement.limit}"


def columns(statement: Statement, schema: Schema) -> list[str]:
    """What stands for each entry behind SELECT."""
    return [_Translator(statement, schema).expression(item.tokens) for item in statement.items]


class _Translator:
    """Writes expressions for the engine."""

    def __init__(self, statement: Statement, schema: Schema) -> None:
        self._statement = statement
        self._schema = schema

    def expression(self, tokens: list[Token], inner: frozenset[str] = frozenset()) -> str:
        """The same in the engine's words; ``inner`` are words that are allowed here only."""
        if not tokens:
            raise unexpected("end of an expression")
        pieces: list[str] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            follows = tokens[at + 1] if at + 1 < len(tokens) else Token("end", "")
            if token.kind in {"text", "number"}:
                pieces.append(token.text)
                at += 1
            elif token.kind == "mark":
                if token.text in {".", "[", "]"}:
                    raise unexpected(token.text)
                pieces.append(token.text)
                at += 1
            elif token.upper in KEYWORDS or token.upper in inner:
                pieces.append("NULL" if token.upper == "MISSING" else token.upper)
                at += 1
            elif token.upper in FOREIGN:
                raise unsupported(f"{token.upper} here")
            elif token.kind == "word" and follows.is_mark("("):
                end = _closing(tokens, at + 1)
                pieces.append(self._function(token.upper, tokens[at + 2 : end]))
                at = end + 1
            else:
                piece, at = self._path(tokens, at)
                pieces.append(piece)
        return " ".join(pieces)

    def _path(self, tokens: list[Token], at: int) -> tuple[str, int]:
        path: list[Step] = [name_of(tokens[at])]
        last = tokens[at]
        at += 1
        while at + 1 < len(tokens) and tokens[at].kind == "mark" and tokens[at].text in {".", "["}:
            if tokens[at].text == ".":
                last = tokens[at + 1]
                path.append(name_of(last))
                at += 2
                continue
            if at + 2 >= len(tokens) or not tokens[at + 2].is_mark("]"):
                raise unexpected("[")
            path.append(index_of(tokens[at + 1]))
            at += 3
        if str(path[0]).upper() in self._statement.aliases:
            path = path[1:]
        return self._schema.column(path, exact=last.kind == "name"), at

    def _function(self, name: str, inside: list[Token]) -> str:
        if name in _PLAIN_FUNCTIONS:
            # COUNT(*), and the words inside SUBSTRING and TRIM.
            words = _INNER if name in {"SUBSTRING", "TRIM"} else frozenset()
            return f"{_PLAIN_FUNCTIONS[name]}({self.expression(inside, words)})"
        special: dict[str, Callable[[list[Token]], str]] = {
            "CAST": self._cast,
            "EXTRACT": self._extract,
            "DATE_ADD": self._date_add,
            "DATE_DIFF": self._date_diff,
            "TO_STRING": self._to_string,
            "TO_TIMESTAMP": lambda part: _cast_to("TIMESTAMP", self.expression(part)),
            "UTCNOW": self._utcnow,
        }
        if name not in special:
            raise CosError("UnsupportedFunction", f"COS Select has no function {name}.")
        return special[name](inside)

    def _cast(self, inside: list[Token]) -> str:
        places = [at for at, token in enumerate(inside) if token.upper == "AS"]
        kind = inside[places[-1] + 1 :] if places else []
        if not kind or kind[0].upper not in _TYPES:
            raise CosError("ParseUnknownType", "CAST needs AS and a type that COS Select knows.")
        wanted = _TYPES[kind[0].upper]
        if len(kind) > 1:
            numbers = [token.text for token in kind[2:-1:2]]
            size = [kind[1].text, *numbers, kind[-1].text]
            is_sized = size[0] == "(" and size[-1] == ")" and 1 <= len(numbers) <= 2
            if not wanted.startswith("DECIMAL") or not is_sized:
                raise unexpected(kind[1].text)
            if not all(text.isdigit() and len(text) < 3 for text in numbers):
                raise unexpected(numbers[0])
            wanted = f"DECIMAL({', '.join(numbers)})"
        return _cast_to(wanted, self.expression(inside[: places[-1]]))

    def _extract(self, inside: list[Token]) -> str:
        if len(inside) < 3 or inside[1].upper != "FROM":
            raise unexpected("EXTRACT without FROM")
        return f"extract({_date_part(inside[0])} FROM {self.expression(inside[2:])})"

    def _date_add(self, inside: list[Token]) -> str:
        part, amount, moment = self._three(inside)
        return f"({moment} + to_{part}s(CAST({amount} AS INTEGER)))"

    def _date_diff(self, inside: list[Token]) -> str:
        part, first, second = self._three(inside)
        return f"date_diff('{part}', {first}, {second})"

    def _three(self, inside: list[Token]) -> tuple[str, str, str]:
        parts = split(inside)
        if len(parts) != 3 or len(parts[0]) != 1:
            raise unexpected("number of arguments")
        first, second = self.expression(parts[1]), self.expression(parts[2])
        return _date_part(parts[0][0]), first, second

    def _to_string(self, inside: list[Token]) -> str:
        parts = split(inside)
        if len(parts) != 2 or len(parts[1]) != 1 or parts[1][0].kind != "text":
            raise unsupported("TO_STRING without a pattern in quotes")
        pattern = _DATE_PATTERN.sub(_date_directive, parts[1][0].text)
        return f"strftime({self.expression(parts[0])}, {pattern})"

    def _utcnow(self, inside: list[Token]) -> str:
        if inside:
            raise unexpected(inside[0].text)
        return f"TIMESTAMP '{self._statement.now}'"


def _cast_to(kind: str, expression: str) -> str:
    if kind == "TIMESTAMP":
        # The engine's own cast drops the offset from UTC, and knows neither a T at the end
        # nor, in every version, a time without seconds.
        text = f"rtrim(CAST({expression} AS VARCHAR), 'T')"
        whole = f"regexp_replace({text}, '[T ]([0-9]{{2}}:[0-9]{{2}})(Z|[+-].*)?$', ' \\1:00\\2')"
        return f"make_timestamp(epoch_us(CAST({whole} AS TIMESTAMPTZ)))"
    return f"CAST({expression} AS {kind})"


def _date_part(token: Token) -> str:
    if token.upper not in _DATE_PARTS:
        raise unsupported(f"the date part {token.text!r}")
    return token.upper.lower()


def _date_directive(match: re.Match[str]) -> str:
    if match[0] not in _DATE_PATTERNS:
        raise unsupported(f"{match[0]!r} in the pattern of TO_STRING")
    return _DATE_PATTERNS[match[0]]


def _closing(tokens: list[Token], start: int) -> int:
    """The place of the parenthesis that closes the one at ``start``."""
    depth = 0
    for at in range(start, len(tokens)):
        depth += tokens[at].is_mark("(") - tokens[at].is_mark(")")
        if not depth:
            return at
    raise unexpected("end: a parenthesis is open")

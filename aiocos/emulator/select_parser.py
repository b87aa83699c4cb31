"""The SQL of Select taken apart, as COS documents it.

In: a statement from a client, never trusted. Out: ``Statement``: one SELECT over one object,
with WHERE and LIMIT, as tokens. What has another form is refused.

Source: COS Select, "SELECT command".
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from .errors import CosError

MAX_EXPRESSION = 256 << 10
_MAX_DEPTH = 50

Step: TypeAlias = "str | int"
"""A name or an index, counted from 0."""


class Token(NamedTuple):
    kind: str
    """``word``, ``name`` (in double quotes), ``text``, ``number`` or ``mark``."""
    text: str

    @property
    def upper(self) -> str:
        return self.text.upper() if self.kind == "word" else ""

    def is_mark(self, text: str) -> bool:
        return self.kind == "mark" and self.text == text


class Item(NamedTuple):
    """One entry of the list behind SELECT."""

    tokens: list[Token]
    name: str


class Statement(NamedTuple):
    """One SELECT, understood but for its columns."""

    items: list[Item]
    """Empty: all columns."""
    source: list[Step]
    """The path behind the object; ``*`` for each element of a list."""
    where: list[Token]
    limit: int | None
    aliases: frozenset[str]
    now: str


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*')
    | "(?P<name>(?:[^"]|"")+)"
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[^\W0-9]\w*)
    | (?P<mark><=|>=|<>|!=|\|\||[-+*/%=<>().,\[\]])
    )""",
    re.VERBOSE,
)
_OBJECTS = frozenset({"COSOBJECT", "S3OBJECT"})
_OPERATOR_WORDS = """
AND OR NOT IN BETWEEN LIKE ESCAPE IS NULL MISSING TRUE FALSE CASE WHEN THEN ELSE END
"""
KEYWORDS = frozenset(_OPERATOR_WORDS.split())
_OTHER_WORDS = """
ALL ALTER ANY AS ATTACH CALL COPY CREATE CROSS DELETE DISTINCT DROP EXCEPT EXISTS EXPORT
FETCH FOR FROM FULL GROUP HAVING IMPORT INNER INSERT INSTALL INTERSECT INTO JOIN LATERAL LEFT
LIMIT LOAD NATURAL OFFSET ON ORDER OUTER OVER PIVOT PRAGMA QUALIFY RIGHT SELECT SET SOME TABLE
UNION UNPIVOT UPDATE USING VALUES WHERE WINDOW WITH
"""
FOREIGN = frozenset(_OTHER_WORDS.split())
"""Words of SQL that are no names, and that COS does not know inside an expression."""


def parse(expression: str, now: str) -> Statement:
    """Read a statement; ``now`` is what UTCNOW() means."""
    if len(expression.encode()) > MAX_EXPRESSION:
        raise CosError("ExpressionTooLong", "The SQL expression is longer than 256 KB.")
    return _Parser(_tokens(expression), now).statement()


def _tokens(expression: str) -> list[Token]:
    tokens: list[Token] = []
    depth = at = 0
    end = len(expression.rstrip())
    while at < end:
        match = _TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise unexpected(expression[at:].strip()[:20])
        token = Token(match.lastgroup, match[match.lastgroup])
        depth += token.is_mark("(") - token.is_mark(")")
        if not 0 <= depth <= _MAX_DEPTH:
            raise unexpected(token.text)
        tokens.append(token)
        at = match.end()
    return tokens


def unexpected(text: str) -> CosError:
    return CosError("ParseUnexpectedToken", f"The SQL expression has an unexpected {text!r}.")


def unsupported(text: str) -> CosError:
    return CosError("UnsupportedSqlStructure", f"COS Select does not know {text}.")


class _Parser:
    """Takes a statement apart."""

    def __init__(self, tokens: list[Token], now: str) -> None:
        self._tokens = tokens
        self._now = now
        self._at = 0

    def statement(self) -> Statement:
        if self._next().upper != "SELECT":
            raise CosError("UnsupportedSqlOperation", "Only a SELECT statement can be run.")
        listed = self._until("FROM")
        if self._next().upper != "FROM":
            raise CosError("ParseSelectMissingFrom", "The SQL expression has no FROM.")
        source, aliases = self._source()
        where: list[Token] = []
        if self._peek().upper == "WHERE":
            self._next()
            where = self._until("LIMIT")
            if not where:
                raise unexpected("end")
        limit = self._limit()
        if self._at < len(self._tokens):
            raise unsupported(f"{self._peek().text!r} here: only WHERE and LIMIT")
        return Statement(_items(listed, aliases), source, where, limit, aliases, self._now)

    def _peek(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else Token("end", "")

    def _next(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def _until(self, keyword: str) -> list[Token]:
        """The tokens up to a keyword that is not inside parentheses."""
        depth, start = 0, self._at
        while self._at < len(self._tokens):
            token = self._peek()
            if not depth and token.upper == keyword:
                break
            depth += token.is_mark("(") - token.is_mark(")")
            self._at += 1
        return self._tokens[start : self._at]

    def _source(self) -> tuple[list[Step], frozenset[str]]:
        name = self._next()
        if name.upper not in _OBJECTS:
            raise CosError("InvalidDataSource", "The object is called COSObject in FROM.")
        path: list[Step] = []
        while self._peek().is_mark(".") or self._peek().is_mark("["):
            if self._next().text == ".":
                path.append(name_of(self._next()))
            else:
                path.append(self._index())
        aliases = {"COSOBJECT", "S3OBJECT"}
        if self._peek().upper == "AS":
            self._next()
            aliases = {name_of(self._next()).upper()}
        elif self._peek().kind == "name" or (
            self._peek().kind == "word" and self._peek().upper not in FOREIGN | KEYWORDS
        ):
            aliases = {self._next().text.upper()}
        return path, frozenset(aliases)

    def _index(self) -> Step:
        token = self._next()
        if not self._next().is_mark("]"):
            raise unexpected(token.text)
        return "*" if token.is_mark("*") else index_of(token)

    def _limit(self) -> int | None:
        if self._peek().upper != "LIMIT":
            return None
        self._next()
        token = self._next()
        if token.kind != "number" or not token.text.isdigit() or len(token.text) > 18:
            raise unexpected(token.text)
        return int(token.text)


def name_of(token: Token) -> str:
    if token.kind == "name":
        return token.text.replace('""', '"')
    if token.kind != "word":
        raise unexpected(token.text)
    return token.text


def index_of(token: Token) -> Step:
    if token.kind == "text":
        return token.text[1:-1].replace("''", "'")
    if token.kind != "number" or not token.text.isdigit() or len(token.text) > 9:
        raise unexpected(token.text)
    return int(token.text)


def split(tokens: list[Token]) -> list[list[Token]]:
    """The parts between commas that are not inside parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.is_mark("(") - token.is_mark(")")
        if not depth and token.is_mark(","):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _items(listed: list[Token], aliases: frozenset[str]) -> list[Item]:
    parts = split(listed)
    if any(_is_star(part, aliases) for part in parts):
        if len(parts) > 1:
            raise CosError("ParseAsteriskIsNotAloneInSelectList", "* must be alone behind SELECT.")
        return []
    return [_item(part, number) for number, part in enumerate(parts, 1)]


def _is_star(part: list[Token], aliases: frozenset[str]) -> bool:
    if len(part) == 3 and part[0].text.upper() in aliases and part[1].is_mark("."):
        return part[2].is_mark("*")
    return len(part) == 1 and part[0].is_mark("*")


def _item(part: list[Token], number: int) -> Item:
    if not part:
        raise CosError("ParseEmptySelect", "An entry behind SELECT is empty.")
    if len(part) > 2 and part[-2].upper == "AS":
        return Item(part[:-2], name_of(part[-1]))
    last = part[-1]
    is_name = last.kind == "name" or (last.kind == "word" and last.upper not in KEYWORDS | FOREIGN)
    if len(part) > 1 and is_name and _ends_expression(part[-2]):
        return Item(part[:-1], name_of(last))
    if all(token.kind in {"word", "name"} or token.is_mark(".") for token in part):
        return Item(part, name_of(last))
    return Item(part, f"_{number}")


def _ends_expression(token: Token) -> bool:
    if token.kind == "word":
        return token.upper not in KEYWORDS or token.upper in {"NULL", "TRUE", "FALSE", "END"}
    return token.kind != "mark" or token.text in {")", "]"}

"""HTML that cannot be broken by what is written into it.

In: text of any kind, from anybody. Out: ``Html``. Only what this module made, or escaped,
is taken for HTML; characters that cannot be seen, or that turn the direction of writing, are
shown by their numbers.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlencode

_VOID: Final = frozenset({"meta", "link", "input", "br"})
_LONG: Final = 24
"""More signs than this take two columns of facts."""
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_KINDS: Final = (("?", "wide"), (">", "number"), ("*", "main"))
_TABS: Final = (
    ("", "Buckets"),
    ("/uploads", "Uploads"),
    ("/requests", "Requests"),
    ("/faults", "Faults"),
    ("/server", "Server"),
)


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def plain(text: str, *, lines: bool = False) -> Html:
    """Text as it is; with ``lines``, line ends and tabs stay what they are."""
    if isinstance(text, Html):
        return text
    if text.isprintable():
        return Html(html.escape(text))
    kept = "\n\t" if lines else ""
    return Html(
        "".join(
            html.escape(sign) if sign.isprintable() or sign in kept else _by_number(sign)
            for sign in text
        )
    )


def _by_number(sign: str) -> str:
    return f'<span class="odd">U+{ord(sign):04X}</span>'


def tag(element: str, /, *children: str, **attributes: str | None) -> Html:
    """One element; children that are not HTML are escaped, as are the attributes."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_quoted(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID:
        return Html(f"<{element}{given}>")
    return Html(f"<{element}{given}>{''.join(map(plain, children))}</{element}>")


def _quoted(value: str) -> str:
    """Text for an attribute; what cannot be seen is written by its number."""
    signs = (sign if sign.isprintable() else f"&#{ord(sign)};" for sign in html.escape(value))
    return "".join(signs)


def _title(text: str) -> Html:
    """Text where there can be no elements."""
    signs = (sign if sign.isprintable() else f"U+{ord(sign):04X}" for sign in html.escape(text))
    return Html("".join(signs))


def link(words: str, path: str, **params: str) -> Html:
    """A link to another page of the console."""
    query = f"?{urlencode(params)}" if params else ""
    return tag("a", words, href=f"/_console{path}{query}")


def key(text: str, *, lines: bool = False) -> Html:
    """A name that somebody gave: in its own direction, with its own spaces."""
    return tag("bdi", plain(text, lines=lines), class_="key")


def code(text: str) -> Html:
    return tag("code", text)


def size(count: int) -> Html:
    """Bytes, to be read at a glance."""
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    shown = f"{count} B" if not unit else f"{number:.1f} {_UNITS[unit]}"
    return tag("span", shown, title=f"{count:,} bytes" if unit else None)


def clock(seconds: float) -> Html:
    """The time of a day, in UTC."""
    return tag("time", time.strftime("%H:%M:%S", time.gmtime(seconds)))


def moment(seconds: float) -> Html:
    """A time of the calendar, in UTC."""
    return tag("time", time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, class_: str | None = None
) -> Html:
    """Rows under their headings.

    Before a heading ``>`` puts numbers to the right, ``*`` gives a column what room there is,
    and ``?`` takes it away where there is little.
    """
    kinds = [_kind(column) for column in columns]
    heads = [
        tag("th", column.lstrip("?>*"), class_=kind, scope="col")
        for column, kind in zip(columns, kinds, strict=True)
    ]
    lines = [
        tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    ]
    made = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines), class_=class_)
    return tag("div", made, class_="scroll")


def _kind(column: str) -> str | None:
    kinds = [word for mark, word in _KINDS if mark in column[:2]]
    return " ".join(kinds) or None


def facts(rows: Iterable[tuple[str, str]]) -> Html:
    """Names and what they are."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", value), class_="long" * _is_long(value) or None)
            for name, value in rows
        ),
    )


def _is_long(value: str) -> bool:
    return len(re.sub("<[^>]*>", "", value)) > _LONG


def empty(words: str, *samples: str) -> Html:
    """What to do where there is nothing yet."""
    shown = [tag("pre", tag("code", plain(sample, lines=True))) for sample in samples]
    return tag("section", tag("p", words), *shown, class_="empty")


def path(*steps: str) -> Html:
    """The way to this page; its last step is the page."""
    return tag("nav", *steps, class_="path", aria_label="Where you are")


def page(title: str, here: str | None, *body: str, refresh_s: int | None = None) -> Html:
    """A whole page; ``here`` is the tab it belongs to, None without tabs."""
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", _title(f"{title} · COS emulator")),
        tag("link", rel="stylesheet", href="/_console/style.css"),
        tag("link", rel="icon", href="/_console/icon.svg"),
    ]
    if refresh_s is not None:
        head.append(tag("meta", http_equiv="refresh", content=str(refresh_s)))
    tabs = [
        tag("a", words, href=f"/_console{address}", aria_current="page" if at else None)
        for address, words in _TABS
        for at in [address == here]
    ]
    name = tag("a", "COS emulator", href="/_console", class_="name")
    top = tag("header", name, tag("nav", *(tabs if here is not None else []), class_="tabs"))
    whole = tag("body", top, tag("main", *body))
    return Html(f'<!doctype html><html lang="en">{tag("head", *head)}{whole}</html>')

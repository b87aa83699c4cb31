"""Journals as no transfer of ours writes them.

In: the bytes of a good one. Out: a few hundred bad ones, each with a name that says what is
wrong; always the same ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import fastcrc

Mutate = Callable[[bytes], bytes]
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**70, "", "x", "x" * 10_000, "\ud800", "\r\n", [], {}, [[]], 1.5,
)  # fmt: skip
_RAW = {
    "empty": b"",
    "a newline": b"\n",
    "zeros": bytes(200),
    "null": b"null\n",
    "a list": b"[]\n",
    "a number": b"1\n",
    "a text": b'"x"\n',
    "an object": b"{}\n",
    "not JSON": b"not JSON\n",
    "not UTF-8": b"\xff\xfe\n",
    "UTF-16": "{}\n".encode("utf-16"),
    "another program's": b'{"version":1,"chunks":[]}\n',
}


def damaged(good: bytes) -> dict[str, Mutate | bytes]:
    """Flipped bytes and bits, lines moved about, and well-formed nonsense with a right check."""
    return {**_RAW, **_flipped(len(good)), **_moved(), **_nonsense(good), **_rewritten(good)}


def truncated(size: int) -> dict[str, Mutate]:
    """A journal cut at every length."""
    return {f"cut at {end}": partial(_cut, end) for end in range(size)}


def checked(text: bytes) -> bytes:
    """A line with the check sum that belongs to it."""
    return text[:-1] + b',"check":"%016x"}\n' % fastcrc.crc64.xz(text)


def _cut(end: int, good: bytes) -> bytes:
    return good[:end]


def _flipped(size: int) -> dict[str, Mutate]:
    places = random.Random(1).sample(range(size), 60)
    return {
        f"byte {place} ^ {bits}": partial(_flip, place, bits)
        for place, bits in zip(places, [1, 0xFF, 0x20] * 20, strict=True)
    }


def _flip(place: int, bits: int, good: bytes) -> bytes:
    # Journals differ in length by what their upload is called.
    place %= len(good)
    return good[:place] + bytes([good[place] ^ bits]) + good[place + 1 :]


def _moved() -> dict[str, Mutate]:
    def of(change: Callable[[list[bytes]], list[bytes]]) -> Mutate:
        return lambda good: b"".join(change(good.splitlines(keepends=True)))

    return {
        "backwards": of(lambda lines: lines[::-1]),
        "without its header": of(lambda lines: lines[1:]),
        "its header alone": of(lambda lines: lines[:1]),
        "without its second line": of(lambda lines: lines[:1] + lines[2:]),
        "twice": of(lambda lines: lines * 2),
        "each line twice": of(lambda lines: [line for line in lines for _ in "12"]),
        "an empty line": of(lambda lines: [*lines[:1], b"\n", *lines[1:]]),
        "Windows lines": of(lambda lines: [line[:-1] + b"\r\n" for line in lines]),
        "one line": of(lambda lines: [line[:-1] for line in lines]),
        "a BOM": of(lambda lines: [b"\xef\xbb\xbf", *lines]),
        "spaces": of(lambda lines: [b" " + line for line in lines]),
    }


def _nonsense(good: bytes) -> dict[str, bytes]:
    """Lines whose check is right, and which are no journal's."""
    header = good.splitlines(keepends=True)[0]
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    made = {
        f"version {version!r}": checked(json.dumps({"aiocos": version}).encode())
        for version in (0, 2, -1, "1", None, [], {}, 1)
    }
    made |= {
        f"a line of {text!r}": header + checked(text) for text in (b"{}", b"[1]", b'"x"', b"{")
    }
    made |= {
        "deep": checked(deep),
        "deep behind its header": header + checked(deep),
        "a long number": header + checked(b'{"part":' + b"9" * 5_000 + b"}"),
        "the same name twice": header + checked(b'{"part":1,"part":2}'),
    }
    return made


def _rewritten(good: bytes) -> dict[str, Mutate]:
    """Each value of each line replaced by what does not belong there, the check made right."""
    made: dict[str, Mutate] = {}
    for number, text in enumerate(good.splitlines()):
        for name in json.loads(text):
            if name != "check":
                for value in _VALUES:
                    shown = repr(value)[:20]
                    change = partial(_replace, number, name, value)
                    made[f"line {number}: {name} is {shown}"] = change
    return made


def _replace(number: int, name: str, value: Any, good: bytes) -> bytes:
    lines = []
    for at, text in enumerate(good.splitlines()):
        fact = json.loads(text)
        del fact["check"]
        if at == number:
            fact[name] = value
        lines.append(checked(json.dumps(fact, separators=(",", ":")).encode()))
    return b"".join(lines)

"""The page that says what this server supports.

In: the table of operations. Out: Markdown, kept beside this file as ``support.md``;
``python -m aiocos.emulator.support`` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from .operations import OPERATIONS, Operation

PAGE = Path(__file__).with_name("support.md")

_HEAD = """\
# What the local server supports

Written by `python -m aiocos.emulator.support` from the server's own table of operations.

"Acts on it" means that the server does what COS does. "Stores and returns it only" means that
a setting is checked for its form, kept, given back and deleted with its bucket, and has no
further effect here. Whatever is not on this page is refused as `501 NotImplemented`, with the
names of what is supported.

| operation | request | what the server does |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_line(operation) for operation in OPERATIONS)


def _line(operation: Operation) -> str:
    marks = sorted(operation.parameters) + [operation.needs] * bool(operation.needs)
    path = {"service": "/", "bucket": "/", "object": "/key"}[operation.scope]
    if operation.scope == "service":
        path = "/ of the service"
    query = f"?{'&'.join(marks)}" if marks else ""
    header = f" with {operation.header}" if operation.header else ""
    request = f"`{operation.method} {path}{query}`{header}"
    return f"| {operation.name} | {request} | {_deed(operation)} |\n"


def _deed(operation: Operation) -> str:
    if operation.limits:
        return f"stores and returns it only: {operation.limits}"
    if operation.setting is None:
        return "acts on it"
    if not operation.setting.effect:
        return "stores and returns it only"
    return f"acts on it: {operation.setting.effect}" if operation.method == "PUT" else "acts on it"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

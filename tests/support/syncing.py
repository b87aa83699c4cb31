"""A sync for tests: its memory in a directory of its own, and what it asked the server for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import BUCKET

THERE = f"cos://{BUCKET}/www"
READS = ("Get", "Head", "List")


def writes(emulator) -> list[str]:
    """What was asked for that changes something."""
    return [r.operation for r in emulator.requests if not r.operation.startswith(READS)]


async def planned(client, *places, **options) -> dict[str, tuple[str, str]]:
    """What would be done, and why, by path."""
    actions = client.plan_sync(*places, **options)
    return {action.path: (action.action, action.why) async for action in actions}


@contextmanager
def opened(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files below a directory that are opened while the block runs."""
    names: list[str] = []
    really = os.open

    def noting(path, *arguments, **options):
        if str(path).startswith(f"{directory}/"):
            names.append(str(path))
        return really(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", noting)
        yield names

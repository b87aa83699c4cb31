"""Where several processes run the tests, one that measures time runs while no other does."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support import alone

WAIT_S = 0.1


@pytest.fixture
def ended(monkeypatch, tmp_path):
    """The names of the tests that have had their turn, in order."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    for name in ("_DOOR", "_ROOM"):
        path = tmp_path / name
        path.touch()
        monkeypatch.setattr(alone, name, path)
    return []


def start(ended: list[str], name: str, *, is_alone: bool) -> threading.Thread:
    def run() -> None:
        with alone.turn(alone=is_alone):
            ended.append(name)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(WAIT_S)
    return thread


def test_others_run_beside_each_other(ended):
    """Tests that measure nothing wait for nobody."""
    with alone.turn(alone=False):
        start(ended, "another", is_alone=False).join(10)
        assert ended == ["another"]


def test_nobody_runs_beside_one_that_is_alone(ended):
    """While a test is alone all others wait."""
    with alone.turn(alone=True):
        waiting = [start(ended, "another", is_alone=False), start(ended, "a", is_alone=True)]
        assert ended == []
    for thread in waiting:
        thread.join(10)
    assert sorted(ended) == ["a", "another"]


def test_who_wants_to_be_alone_is_not_passed_by(ended):
    """A test that will be alone waits for those that run, and not for those that come later."""
    with alone.turn(alone=False):
        waiting = [start(ended, "alone", is_alone=True), start(ended, "later", is_alone=False)]
        assert ended == []
    for thread in waiting:
        thread.join(10)
    assert ended == ["alone", "later"]

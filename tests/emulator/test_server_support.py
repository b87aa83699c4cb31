"""The page about what the server supports says what the server does."""

from pathlib import Path

import pytest

import aiocos.emulator
from aiocos.emulator import support
from aiocos.emulator.operations import OPERATIONS

KEPT = Path(aiocos.emulator.__file__).with_name("support.md")


def test_page_is_current():
    """The page beside the code is what its generator writes."""
    assert KEPT.read_text(encoding="utf-8") == support.page()


def test_page_has_each_operation():
    """Each operation has a line, with how it is asked for and what becomes of it."""
    lines = KEPT.read_text(encoding="utf-8").splitlines()
    for operation in OPERATIONS:
        told = [line for line in lines if line.startswith(f"| {operation.name} | `")]
        assert told, operation.name
        assert all("acts on it" in line or "stores and returns it only" in line for line in told)
    assert "| PutBucketPolicy | `PUT /?policy` | stores and returns it only |" in lines
    assert "| PutObject | `PUT /key` | acts on it |" in lines


async def test_what_is_not_there_is_named(wire):
    """A request the server does not know is told what it does know."""
    answer = await wire.ask("PUT", "/?notification", {}, b"")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    for name in ("PutBucketLifecycle", "OptionsObject", "GetSymlink"):
        assert f" {name}," in answer.xml("Message")
    assert answer.xml("Message").count("OptionsObject") == 1


@pytest.mark.parametrize(
    ("method", "target", "near"),
    [
        ("DELETE", "/k?acl", "PutObjectACL, GetObjectACL"),
        ("PUT", "/?replicatoin", None),
        ("POST", "/?versioning", "PutBucketVersioning, GetBucketVersioning"),
        ("PUT", "/?uploads", "ListMultipartUploads"),
        ("GET", "/k?torrent", None),
    ],
)
async def test_what_was_meant_is_named(wire, method, target, near):
    """The same with another method is named as the nearest, if there is something so near."""
    answer = await wire.ask(method, target, {}, None if method == "GET" else b"")
    if near is not None:
        assert (answer.status, answer.code) == (501, "NotImplemented")
        assert f"Nearest: {near}." in answer.xml("Message")

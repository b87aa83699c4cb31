"""``aiocos journal`` shows what can be gone on with, and forgets it on request."""

from __future__ import annotations

import fcntl
import json
import os
import time

import pytest

from aiocos import CosException, CosS3Client, TransferConfig
from aiocos.transfer.journal import default_directory

MIB = 1 << 20
DAY_S = 86_400


def in_parts(client):
    """A client that moves small files in parts as well."""
    return CosS3Client(client.config, transfers=TransferConfig(single_mib=0))


@pytest.fixture
def interrupted(shell, healthy, bucket, tmp_path):
    """Leave an upload and a download of 3 MiB behind, each cut at its second part."""
    source, target = tmp_path / "my source", tmp_path / "target"
    source.write_bytes(bytes(3 * MIB))
    healthy.put_all(bucket, {"big": bytes(3 * MIB)})
    healthy.emulator.fail("UploadPart", status=403, after=1)
    healthy.emulator.fail("GetObject", status=403, after=1)

    async def leave(client):
        async with in_parts(client) as mover:
            for work in (
                mover.upload_file(bucket, "up", source, PartSize=1, MAXThread=1),
                mover.download_file(bucket, "big", target, PartSize=1, MAXThread=1),
            ):
                with pytest.raises(CosException):
                    await work

    healthy.call(leave)
    healthy.emulator.heal()
    return source, target


def journals():
    return {path.name: path for path in default_directory().iterdir()}


def listed(shell):
    found = map(json.loads, shell("journal", "ls", "--json").lines)
    return {record["operation"]: record for record in found}


def test_what_was_interrupted_is_shown(shell, interrupted, bucket):
    """What, how far, and whether the file is still the same."""
    source, target = interrupted

    found = listed(shell)

    up, down = found["upload"], found["download"]
    assert (up["bucket"], up["key"], up["path"]) == (bucket, "up", str(source))
    assert (down["bucket"], down["key"], down["path"]) == (bucket, "big", str(target))
    for record in found.values():
        assert (record["size"], record["transferred"], record["parts"]) == (3 * MIB, MIB, 1)
        assert (record["in_use"], record["problem"]) == (False, None)
        assert 0 <= record["age_s"] < 600
    assert (up["state"], down["state"]) == ("same", "unknown")

    text = shell("journal", "ls").out
    assert f"upload '{source}' to cos://{bucket}/up  (the file is the same)" in text
    assert " 33%     3.0M  " in text
    source.write_bytes(b"other")
    assert "(the file has changed, so it will start over)" in shell("journal", "ls").out


def test_clean_takes_the_old_ones(shell, interrupted):
    """--older-than goes by when something was last written to a journal."""
    up = listed(shell)["upload"]["journal"]
    past = time.time() - 9 * DAY_S
    os.utime(up, (past, past))

    outcome = shell("journal", "clean", "--older-than", "7d", "--json")

    (done, last) = map(json.loads, outcome.lines)
    assert (done["done"], done["journal"]) == ("forget", up)
    assert last["summary"] == {
        "dry_run": False, "done": 1, "bytes": MIB, "skipped": 0, "failed": 0,
    }  # fmt: skip
    assert listed(shell).keys() == {"download"}


def test_clean_of_a_download_takes_its_bytes(shell, interrupted):
    """The hidden file with what came so far goes with the journal, and nothing else does."""
    source, target = interrupted
    assert [path.name for path in target.parent.glob(".target.*.part")] != []

    assert shell("journal", "clean", "--all").code == 0

    assert [path for path in target.parent.iterdir() if path != source] == []
    assert source.stat().st_size == 3 * MIB
    assert journals() == {}


def test_clean_leaves_alone_what_is_running(shell, interrupted):
    """Row 34: a journal that a transfer holds stays, which is told, and is no failure."""
    up = listed(shell)["upload"]["journal"]
    with open(up, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert listed(shell)["upload"]["in_use"] is True
        outcome = shell("journal", "clean", "--all")

    assert outcome.code == 0
    assert "left alone, a transfer holds it now" in outcome.err
    assert listed(shell).keys() == {"upload"}


def test_what_was_forgotten_starts_over(shell, interrupted, server, bucket):
    """After clean the same upload sends all of its parts; before, it sends what is missing."""
    source, _ = interrupted
    shell("journal", "clean", "--all")
    server.emulator.forget_requests()

    async def again(client):
        async with in_parts(client) as mover:
            await mover.upload_file(bucket, "up", source, PartSize=1, MAXThread=1)

    server.call(again)
    assert server.emulator.count("UploadPart", status=200) == 3


def test_what_is_of_no_use_and_what_cannot_be_removed(shell, interrupted):
    """A damaged journal is shown with the reason; what is in the way fails in one line."""
    directory = default_directory()
    (directory / "damaged.jsonl").write_bytes(b"{")
    (directory / "folder.jsonl").mkdir()

    shown = shell("journal", "ls").out
    assert "damaged.jsonl  (of no use: the first line is cut)" in shown
    outcome = shell("journal", "clean", "--all")

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert "folder.jsonl" in outcome.err
    assert list(journals()) == ["folder.jsonl"]


def test_a_name_does_nothing_to_the_terminal(shell, healthy, bucket, tmp_path):
    """Control characters in a key or a path are shown as what they are."""
    source = tmp_path / "a\x1b[31m"
    source.write_bytes(bytes(3 * MIB))
    healthy.emulator.fail("UploadPart", status=403, after=1)

    async def leave(client):
        async with in_parts(client) as mover:
            with pytest.raises(CosException):
                await mover.upload_file(bucket, "k\x1b[0m", source, PartSize=1, MAXThread=1)

    healthy.call(leave)
    out = shell("journal", "ls").out
    assert "\x1b" not in out
    assert r"k\x1b[0m" in out

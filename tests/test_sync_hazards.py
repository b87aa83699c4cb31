"""A sync loses nothing where names, links, backups, disks and plans stand against it."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil

import pytest

from aiocos import CosException, CosFolder, ObjectChangedError, ParameterError, TransferError
from aiocos.errors import PlanError
from aiocos.sync.actions import SyncAction
from aiocos.sync.done import Done
from aiocos.sync.places import CosFolder as Folder
from aiocos.sync.planfile import PlanFile, PlanHeader, PlanWriter
from aiocos.transfer.manager import TransferConfig
from tests.conftest import BUCKET
from tests.support.syncing import THERE, planned
from tests.support.trees import causes, plant, put_all, stored, tree


@pytest.fixture
def client(make_client, tmp_path):
    return make_client(transfers=TransferConfig(journal_dir=tmp_path / "state"))


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "source", ["a", "b", "dir/c"])


# -- backups -----------------------------------------------------------------------


@pytest.mark.parametrize("through", ["backup", "destination", "parent"])
async def test_a_backup_through_a_link_is_still_one(client, source, tmp_path, through):
    """A backup directory that is, through a link, the destination itself would be deleted too."""
    await client.sync(source, THERE)
    target = plant(tmp_path / "real" / "target", {"extra": b"precious"})
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "up").symlink_to(tmp_path / "real")
    places = {
        "backup": (target, tmp_path / "link"),
        "destination": (tmp_path / "link", target),
        "parent": (target, tmp_path / "up"),
    }
    destination, backup = places[through]

    with pytest.raises(ParameterError, match="choose another place"):
        await client.sync(THERE, destination, Delete=True, BackupDir=backup)

    assert tree(target) == {"extra": b"precious"}


async def test_a_backup_inside_through_a_link_is_left_alone(client, source, tmp_path):
    """Earlier backups inside the destination are no part of it, whatever they are called."""
    await client.sync(source, THERE)
    target = plant(tmp_path / "target", {"extra": b"precious"})
    (tmp_path / "link").symlink_to(target)

    for _ in range(2):
        await client.sync(THERE, target, Delete=True, BackupDir=tmp_path / "link" / "old")

    assert tree(target) == {**tree(source), "old/extra": b"precious"}


@pytest.mark.parametrize("place", ["", "source", "source/x", "source/x/y"])
async def test_a_backup_never_replaces_what_is_copied(client, emulator, place):
    """Inside COS a backup may not come to stand in the source, nor the source in the backup."""
    there = {"source/x/a": b"new", "target/a": b"old"}
    await put_all(client, there)
    emulator.forget_requests()

    with pytest.raises(ParameterError, match="choose another place"):
        await client.sync(
            CosFolder(BUCKET, "source/x"), CosFolder(BUCKET, "target"), BackupPrefix=place
        )

    assert emulator.requests == []


# -- links and filters -------------------------------------------------------------


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("pattern", ["*.txt", "/d/*.txt", "/d/**/x.txt"])
async def test_what_lies_behind_a_link_is_not_deleted(client, tmp_path, pattern, follows):
    """Patterns that take only what is behind a link, not the link, leave it protected."""
    source = plant(tmp_path / "source", {"e.txt": b"e", "d/x.txt": b"x", "d/e/x.txt": b"x"})
    await client.sync(source, THERE)
    shutil.move(source / "d", tmp_path / "elsewhere")
    (source / "d").symlink_to("nothing" if follows else "../elsewhere")
    wishes = {"Delete": True, "Filters": [("include", pattern)], "AllowEmptySource": True}

    actions = await planned(client, source, THERE, FollowSymlinks=follows, **wishes)

    assert [kind for kind, _ in actions.values()] == ["skip"]


# -- something is in the way -------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "here", "says"),
    [
        ("a/b", "a", "a is in the way"),
        ("a/b/c/d", "a", "a is in the way"),
        ("a", "a/b", "directory of its name"),
        ("x/a", "x/a/b/c", "directory of its name"),
    ],
)
async def test_a_file_where_a_directory_should_be(client, tmp_path, there, here, says):
    """The plan says already what cannot be done, and the sync then deletes nothing."""
    await put_all(client, {f"www/{there}": b"new", "www/also": b"1"})
    target = plant(tmp_path / "target", {here: b"old", "extra": b"2"})

    actions = await planned(client, THERE, target, Delete=True)
    with pytest.raises(TransferError):
        await client.sync(THERE, target, Delete=True)

    assert actions[there][0] == "fail"
    assert says in actions[there][1]
    assert tree(target) == {here: b"old", "extra": b"2", "also": b"1"}


async def test_a_link_where_a_directory_should_be(client, tmp_path):
    """Nothing goes through a link at the destination, and the plan says so."""
    outside = plant(tmp_path / "outside", ["secret"])
    await put_all(client, ["www/d/secret", "www/d/new"])
    (tmp_path / "target").mkdir()
    (tmp_path / "target/d").symlink_to(outside)

    actions = await planned(client, THERE, tmp_path / "target", Delete=True)
    with pytest.raises(TransferError):
        await client.sync(THERE, tmp_path / "target", Delete=True)

    assert {kind for kind, _ in actions.values()} == {"fail"}
    assert tree(outside) == {"secret": b"secret"}


async def test_a_file_that_changed_while_a_small_object_came(client, emulator, tmp_path):
    """What was written while even a small object was on its way stays."""
    target = plant(tmp_path / "target", {"z": b"old"})
    await put_all(client, {"www/y": b"object", "www/z": b"object"})
    emulator.fail("GetObject", delay_s=0.3)

    async with asyncio.TaskGroup() as group:
        syncing = group.create_task(_failing(client.sync(THERE, target)))
        while emulator.count("GetObject") < 2:
            await asyncio.sleep(0.01)
        plant(target, {"y": b"made", "z": b"new"})

    assert causes(syncing.result()) == {"y": ObjectChangedError, "z": ObjectChangedError}
    assert tree(target) == {"y": b"made", "z": b"new"}


@pytest.mark.parametrize("operation", ["GetObject", "PutObject", "CopyObject"])
async def test_two_at_once_do_not_mind_each_other(
    make_client, emulator, source, tmp_path, operation
):
    """Two syncs of the same pair at the same time both succeed, and the result is right."""
    await put_all(make_client(), {"www/a": b"a", "www/b": b"new", "to/b": b"old", "to/x": b"x"})
    target = plant(tmp_path / "target", {"b": b"old", "x": b"x"})
    places = {
        "GetObject": (THERE, target),
        "PutObject": (source, f"cos://{BUCKET}/to"),
        "CopyObject": (THERE, f"cos://{BUCKET}/to"),
    }
    one, two = (
        make_client(transfers=TransferConfig(journal_dir=tmp_path / name)) for name in ("1", "2")
    )
    moves = 3 if operation == "PutObject" else 2
    emulator.fail(operation, delay_s=0.3, times=moves)

    async with asyncio.TaskGroup() as group:
        group.create_task(one.sync(*places[operation], Delete=True))
        while emulator.count(operation) < moves:
            await asyncio.sleep(0.01)
        group.create_task(two.sync(*places[operation], Delete=True))

    if operation == "GetObject":
        assert tree(target) == {"a": b"a", "b": b"new"}
    else:
        wanted = tree(source) if operation == "PutObject" else {"a": b"a", "b": b"new"}
        assert {
            key: await emulator.read(BUCKET, key) for key in await stored(make_client(), "to/")
        } == {f"to/{path}": content for path, content in wanted.items()}


async def _failing(work):
    with pytest.raises(TransferError) as failed:
        await work
    return failed.value


# -- plans -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["replaced", "edited"])
async def test_a_plan_that_is_replaced_meanwhile(client, source, tmp_path, how):
    """The deletions that are carried out are those of the plan that was checked, or none."""
    path = tmp_path / "plan"
    await put_all(client, ["www/x", "www/y"])
    await client.save_sync_plan(path, source, THERE, Delete=True, Filters=[("exclude", "/y")])

    async def replace(_action):
        if how == "replaced":
            await client.save_sync_plan(path, source, THERE, Delete=True)
        else:
            text = path.read_text()
            path.write_text(text.replace('"path":"x"', '"path":"y"'))
            os.utime(path, ns=(1, 1))

    with pytest.raises((PlanError, TransferError)) as failed:
        await client.apply_sync_plan(path, action_callback=replace)

    assert "changed meanwhile" in str(failed.value) + "".join(_texts(failed.value))
    assert await stored(client, "www/y") == ["www/y"]


def _texts(error: CosException) -> list[str]:
    return [str(failure.error) for failure in getattr(error, "failures", [])]


def test_a_disk_that_is_full_loses_no_action(tmp_path):
    """Half a number at the end of the notes, with another behind it, is not a third number."""
    header = PlanHeader(Folder(BUCKET, "a"), Folder(BUCKET, "b"))
    with PlanWriter(tmp_path / "plan", header) as writer:
        writer.add_all(SyncAction("skip", f"{n:05}", "so") for n in range(20_000))
        writer.end({"unchanged": 0, "source": 0, "destination": 0})
    plan = PlanFile.open(tmp_path / "plan")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = Done(plan).open()
    size = done.path.stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 12 * 6 + 3, before[1]))
        _record(done, range(12_000, 12_100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _record(done, range(7_000, 7_200))
    done.close(is_all_done=False)

    after = Done(plan).open()
    noted = [number for number in range(plan.count) if after.has(number)]
    after.close(is_all_done=True)

    assert set(noted) <= {*range(12_000, 12_100), *range(7_000, 7_200)}
    assert 7_199 in noted


def _record(done: Done, numbers: range) -> None:
    for number in numbers:
        done.record(number)


async def test_deletions_that_were_interrupted_go_on(client, source, tmp_path):
    """A sync that was stopped among its deletions does the rest, and touches nothing else."""
    path = tmp_path / "plan"
    await client.sync(source, THERE)
    await put_all(client, [f"www/x\t{number:02}" for number in range(40)])
    await client.save_sync_plan(path, source, THERE, Delete=True)
    noted: list[str] = []

    async def stop(action):
        if len(noted) == 5:
            applying.cancel()
            await asyncio.sleep(10)
        noted.append(action.path)

    applying = asyncio.create_task(client.apply_sync_plan(path, action_callback=stop))
    with pytest.raises(asyncio.CancelledError):
        await applying
    back = f"www/{noted[0]}"
    await put_all(client, {back: b"another", "www/new": b"new"})

    result = await client.apply_sync_plan(path)

    assert 0 < result["Deleted"] <= 40 - len(noted)
    assert await stored(client) == ["www/a", "www/b", "www/dir/c", "www/new", back]


async def test_a_chore_that_was_cancelled_by_itself_is_not_passed_over(client, source):
    """Where one file is given up from inside, the sync is, rather than go on to its deletions."""
    await put_all(client, ["www/extra"])

    async def give_up(_action):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await client.sync(source, THERE, Delete=True, action_callback=give_up)

    assert "www/extra" in await stored(client)


# -- where things are written ------------------------------------------------------


@pytest.mark.parametrize("place", ["cos:/bucket/x", "COS://bucket/x", "s3://bucket/x", "file:///x"])
async def test_what_looks_like_an_address_is_no_directory(client, tmp_path, monkeypatch, place):
    """A slip in cos:// does not make a directory of that name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match="begins with cos://"):
        await client.sync(THERE, place)
    await client.sync(THERE, f"./{place}")
    await client.sync(THERE, tmp_path / "c:" / "x")
    assert tree(tmp_path / "cos:") == {}


@pytest.mark.parametrize("through", ["", "link/"])
async def test_a_plan_is_no_part_of_what_it_plans(client, source, tmp_path, through):
    """A plan that lies in what is synced, its earlier self and its notes take no part."""
    (tmp_path / "link").symlink_to(tmp_path)
    path = tmp_path / f"{through}source" / "dir[1]" / "plan"
    path.parent.mkdir()
    for _ in range(2):
        path.with_name("plan.done").write_bytes(b"notes")
        totals = await client.save_sync_plan(path, source, THERE, Delete=True)
        assert (totals["source"], totals["upload"], totals["fail"]) == (3, 3, 0)
        totals = await client.save_sync_plan(path, THERE, source, Delete=True)
        assert (totals["delete"], totals["fail"]) == (3, 0)
    path.with_name("planned").write_bytes(b"of the user's own")
    assert (await client.save_sync_plan(path, source, THERE))["upload"] == 4


@pytest.mark.parametrize("where", ["nothing/plan", "source"])
async def test_a_plan_that_cannot_be_written(client, source, tmp_path, where):
    """The plan that was asked for is what the message is about, and nothing is left of it."""
    with pytest.raises(PlanError, match=f"cannot write the plan .*{where}"):
        await client.save_sync_plan(tmp_path / where, source, THERE)
    assert sorted(os.listdir(tmp_path)) == ["source", "state"]

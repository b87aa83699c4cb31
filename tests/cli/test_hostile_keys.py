"""Nothing that a key says leads out of the target directory, on the command line neither."""

from __future__ import annotations


def test_hostile_bucket_writes_nothing_outside(shell, server, bucket, tmp_path):
    """Of a bucket full of traps the harmless keys arrive, the others are named one by one."""
    target = tmp_path / "in" / "target"
    traps = ["../out", "p/../../out", "p/./x", "p//x", "a\\b", "C:/x", "p/" + "x" * 300, "file"]
    fine = ["p/fine", "file/below", "é/fine"]
    server.put_all(bucket, dict.fromkeys(traps + fine, b"x"))

    outcome = shell("cp", "-r", f"cos://{bucket}", target)

    assert outcome.code == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(target).as_posix() for path in files) == sorted(fine)
    for key in traps:
        assert [line for line in outcome.complaints if f"cos://{bucket}/{key}: " in line], key
    assert len(outcome.complaints) == len(traps) + 1


def test_planted_links_are_not_followed(shell, server, bucket, tmp_path):
    """A symbolic link inside the target leads no file out of it."""
    target, outside = tmp_path / "target", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (outside / "victim").write_bytes(b"untouched")
    (target / "dir").symlink_to(outside)
    (target / "file").symlink_to(outside / "victim")
    server.put_all(bucket, {"dir/x": b"x", "dir/sub/": b"", "file": b"new", "other": b"x"})

    outcome = shell("cp", "-r", f"cos://{bucket}", target)

    assert outcome.code == 1
    assert sorted(path.name for path in outside.iterdir()) == ["victim"]
    assert (outside / "victim").read_bytes() == b"untouched"
    assert (target / "file").read_bytes() == b"new"
    assert not (target / "file").is_symlink()
    assert (target / "other").is_file()
    assert f"{target}/dir: is a symbolic link, which is not followed" in outcome.err


def test_target_that_is_itself_a_link_is_used(shell, server, bucket, tmp_path):
    """The directory that was named may be a link: that is the caller's wish."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    server.put_all(bucket, {"a/b": b"x"})

    assert shell("cp", "-r", f"cos://{bucket}", tmp_path / "link").code == 0

    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"x"


def test_a_file_in_the_way_is_reported(shell, server, bucket, tmp_path):
    """A file where a directory has to be is left as it is."""
    (tmp_path / "a").write_bytes(b"mine")
    server.put_all(bucket, {"a/b": b"x", "c": b"x"})

    outcome = shell("cp", "-r", f"cos://{bucket}", tmp_path)

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert (tmp_path / "c").is_file()


def test_download_of_one_hostile_name_into_a_directory(shell, server, bucket, tmp_path):
    """The name of a single object is checked too, where it names the file."""
    server.put_all(bucket, {"a\\b": b"x"})

    outcome = shell("cp", f"cos://{bucket}/a\\b", f"{tmp_path}/")

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert list(tmp_path.iterdir()) == []

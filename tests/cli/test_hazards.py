"""Commands that a hurried person types do no harm, and say what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from aiocos.cli.texts import iso
from tests.support.trees import plant, tree

# -- cp and mv into one another ----------------------------------------------------


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_what_would_replace_what_is_still_to_be_copied(shell, server, bucket, verb):
    """One level up, an object whose new name is another's old one stays, and so does the other."""
    server.put_all(bucket, {"x/x/z": b"inner", "x/z": b"outer", "x/a": b"a"})

    did = shell(verb, "-r", f"cos://{bucket}/x/", f"cos://{bucket}/")

    assert did.code == 1
    assert "x/x/z: it would become" in did.err
    assert server.read(bucket, "x/x/z") == b"inner"
    assert server.read(bucket, "z") == b"outer"
    assert server.read(bucket, "a") == b"a"


@pytest.mark.parametrize("spelt", [".", "./", "dir/..", "link", "link/"])
def test_a_directory_that_cannot_go_is_no_failure(shell, bucket, tmp_path, monkeypatch, spelt):
    """``mv -r .`` moves all there is: where one stands, or a link, stays, and that is all right."""
    where = plant(tmp_path / "here", ["a", "dir/b"])
    (where / "dir").joinpath("c").write_bytes(b"c")
    (tmp_path / "link").symlink_to(where)
    monkeypatch.chdir(tmp_path if spelt.startswith("link") else where)

    did = shell("mv", "-r", spelt, f"cos://{bucket}/m")

    assert (did.code, did.err.count("\n")) == (0, 1)
    assert tree(where) == {}
    assert shell("ls", "-r", f"cos://{bucket}/m/", "--json").out.count('"key"') == 3


# -- a dash where none can be ------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["hash", "-"],
        ["hash", "a", "-"],
        ["ls", "-"],
        ["rm", "-r", "-"],
        ["cp", "-", "-"],
        ["sync", "-", "cos://b-1250000000"],
        ["sync", "cos://b-1250000000", "-"],
        ["sync", ".", "cos://b-1250000000", "--plan", "-"],
        ["sync", "--apply", "-"],
    ],
)
def test_a_dash_that_makes_no_sense(shell, words):
    """stdin and stdout stand for no directory, plan or place, and the message says so."""
    did = shell(*words)
    assert did.code == 2
    assert "\\x00" not in did.err
    assert "unexpected" not in did.err
    assert len(did.complaints) == 1


# -- words that say too much or too little -----------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--delete"],
        ["--exclude", "secret"],
        ["--max-delete", "1"],
        ["--compare", "size"],
        ["--checksum"],
        ["--backup-prefix", "old"],
        ["--backup-dir", "old"],
        ["--follow-symlinks"],
        ["--allow-empty-source"],
    ],
)
def test_a_plan_is_carried_out_as_it_is(shell, server, bucket, tmp_path, words):
    """What a plan has settled is refused beside --apply, rather than passed over."""
    site = plant(tmp_path / "site", ["a", "secret"])
    assert shell("sync", site, f"cos://{bucket}", "--plan", tmp_path / "plan").code == 0

    did = shell("sync", "--apply", tmp_path / "plan", *words)

    assert (did.code, "--apply does what the plan says" in did.err) == (2, True)
    assert shell("ls", "-r", f"cos://{bucket}").out == ""


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_a_slip_in_the_scheme_makes_no_directory(
    shell, server, bucket, tmp_path, monkeypatch, verb
):
    """``COS://`` or ``s3://`` is no name of a directory to copy into."""
    monkeypatch.chdir(tmp_path)
    server.put(bucket, a=b"a")
    for place in ("COS://x/y", "s3://x/y", "cos:/x"):
        did = shell(verb, "-r", f"cos://{bucket}/", place)
        assert (did.code, "begins with cos://" in did.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_an_empty_word_is_not_where_one_stands(shell, bucket, tmp_path, monkeypatch, verb):
    """A variable that was not set does not copy or move all that is here."""
    where = plant(tmp_path / "here", ["a", "b"])
    monkeypatch.chdir(where)
    for words in (["", f"cos://{bucket}/x"], [f"cos://{bucket}/x", ""]):
        did = shell(verb, "-r", *words)
        assert (did.code, len(did.complaints)) == (2, 1)
    assert tree(where) == {"a": b"a", "b": b"b"}


# -- what a server may say ---------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["Fri, 31 Dec 9999 23:34:56 -2359", "0001-01-01T00:00:00+23:59", "0000-01-01", "x"]
)
def test_a_time_out_of_this_world_is_none(text):
    """A date that no clock has is left out, and does not end the listing."""
    assert iso(text) is None


# -- streams that were closed ------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"], ["--debug"]])
def test_a_failure_is_no_part_of_what_was_asked_for(no_environment, server, bucket, options):
    """With stderr closed, what went wrong is not written into stdout."""
    words = ["cat", f"cos://{bucket}/none", *options]
    command = ["bash", "-c", 'exec 2>&-; exec "$@"', "_", sys.executable, "-m", "aiocos", *words]
    environment = {**os.environ, **server.environment()}

    did = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=30, check=False)

    assert (did.returncode, did.stdout) == (1, b"")


def test_a_comparison_with_nothing_is_not_equal(shell, tmp_path):
    """A script whose second variable is empty does not hear that both are the same."""
    plant(tmp_path, ["a"])
    for words in ([tmp_path / "a", ""], ["", tmp_path / "a"], ["", ""], [""]):
        did = shell("hash", *words)
        assert (did.code, did.out) == (2, "")


def test_an_empty_version_is_not_the_object(shell, server, bucket):
    """``rm --version-id "$UNSET"`` does not delete the object instead of an old version."""
    server.put(bucket, a=b"a")
    did = shell("rm", f"cos://{bucket}/a", "--version-id", "")
    assert (did.code, len(did.complaints)) == (2, 1)
    assert server.read(bucket, "a") == b"a"


# -- what --dry-run says -----------------------------------------------------------

KEYS = ["a", "dir/b", "dir/c.tmp", "e/", "../up", "x//y", "t\tab", "图", "dir2/same"]


def _told(did):
    """What was or would be done, left out, and failed; and the sums."""
    stdout, stderr = ([json.loads(line) for line in text] for text in (did.lines, did.complaints))
    summary = stdout.pop()["summary"]
    summary.pop("dry_run")
    deeds = [
        {("what" if name in {"would", "done"} else name): r[name] for name in r} for r in stdout
    ]
    failed = [r["error"]["about"] for r in stderr if "error" in r]
    return sorted(map(json.dumps, deeds)), sorted(failed), summary, did.code


@pytest.mark.parametrize(
    "words",
    [
        "sync --delete here cos://{bucket}/",
        "sync --delete --exclude *.tmp cos://{bucket}/www here",
        "sync --delete --checksum cos://{bucket}/www cos://{bucket}/copy",
        "cp -r here cos://{bucket}/new",
        "cp -r --include *b cos://{bucket}/www there",
        "cp -r --unsafe skip cos://{bucket}/www there",
        "cp -r cos://{bucket}/www cos://{bucket}/copy",
        "mv -r here cos://{bucket}/new",
        "mv -r cos://{bucket}/www there",
        "mv -r cos://{bucket}/www cos://{bucket}/copy",
        "mv -r cos://{bucket}/www/ cos://{bucket}/",
        "rm -r cos://{bucket}/www",
        "rm -r --versions cos://{bucket}/www",
        "rm cos://{bucket}/www/a",
    ],
)
def test_a_dry_run_tells_the_truth(shell, server, bucket, tmp_path, monkeypatch, words):
    """What is told with --dry-run is what is told when it is done: deeds, failures and sums."""
    monkeypatch.chdir(tmp_path)
    server.put_all(bucket, {f"www/{key}": key.encode() for key in KEYS})
    server.put_all(bucket, {"copy/a": b"a", "copy/extra": b"", "here": b"", "www/www/a": b"2"})
    here = plant(tmp_path / "here", {"a": b"other", "dir/b": b"dir/b", "dir2": b"", "old": b"1"})
    here.joinpath("link").symlink_to("old")
    line = words.format(bucket=bucket).split()

    would = _told(shell(*line, "--json", "--dry-run"))
    did = _told(shell(*line, "--json"))

    if would[3] == did[3] == 1 and line[0] == "sync":
        # Deletions are put off where something failed, which is one failure more.
        would, did = _without_deletions(would), _without_deletions(did)
    assert would == did


def _without_deletions(told):
    deeds, failed, summary, code = told
    kept = [deed for deed in deeds if '"what": "delete"' not in deed]
    about = [name for name in failed if not name.endswith(" deletions")]
    sums = {name: n for name, n in summary.items() if name not in {"delete", "failed"}}
    return kept, about, sums, code

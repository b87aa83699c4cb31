"""Verbs that look after a bucket: restore, select, uploads, rb, and addresses for others."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
import time
import urllib.request

import pytest

from aiocos.cli.failing import UsageError
from aiocos.cli.spans import seconds_of, span

ROWS = b"name,age\nada,36\nbob,7\n"
LINES = b'{"name":"ada","age":36}\n{"name":"bob","age":7}\n'


def records(outcome):
    return [json.loads(line) for line in outcome.lines]


# -- select


@pytest.mark.parametrize(
    ("key", "content", "options", "expected"),
    [
        ("a.csv", ROWS, ["--header", "use"], "ada\n"),
        ("a.csv.gz", gzip.compress(ROWS, mtime=0), ["--header", "use"], "ada\n"),
        ("a.tsv", ROWS.replace(b",", b"\t"), ["--header", "use"], "ada\n"),
        ("a.csv", ROWS.replace(b",", b";"), ["--header", "use", "--delimiter", ";"], "ada\n"),
        ("a.jsonl", LINES, [], '{"name":"ada"}\n'),
        ("a", LINES, ["--input", "jsonl", "--output", "csv"], "ada\n"),
        ("a", gzip.compress(LINES, mtime=0), ["--input", "jsonl", "--compression", "gzip"],
         '{"name":"ada"}\n'),
    ],
)  # fmt: skip
def test_select_gives_the_rows(shell, server, bucket, key, content, options, expected):
    """The object's name says how it is written, or the options do; rows come to stdout."""
    server.put_all(bucket, {key: content})
    query = "select s.name from COSObject s where cast(s.age as int) > 30"

    outcome = shell("select", f"cos://{bucket}/{key}", query, *options)

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == expected


def test_select_gives_json_to_programs(shell, server, bucket):
    """With --json the rows of a CSV are JSON objects, one a line."""
    server.put_all(bucket, {"a.csv": ROWS})
    query = "select * from COSObject s"

    outcome = shell("select", f"cos://{bucket}/a.csv", query, "--header", "use", "--json")

    assert records(outcome) == [{"name": "ada", "age": "36"}, {"name": "bob", "age": "7"}]


def test_without_being_told_the_first_line_is_a_row(shell, server, bucket):
    """Nothing is taken for names of columns unless --header says so: no row is lost."""
    server.put_all(bucket, {"a.csv": ROWS})
    outcome = shell("select", f"cos://{bucket}/a.csv", "select s._1 from COSObject s")
    assert outcome.lines == ["name", "ada", "bob"]


def test_a_query_that_cannot_run_is_one_line(shell, server, bucket):
    """What COS says of a wrong query is told, and the command fails."""
    server.put_all(bucket, {"a.csv": ROWS})
    outcome = shell("select", f"cos://{bucket}/a.csv", "selekt")
    assert (outcome.code, outcome.out, len(outcome.complaints)) == (1, "", 1)


@pytest.mark.parametrize(
    "words",
    [
        ["select", "cos://b-1/a", "q"],
        ["select", "cos://b-1/a.json", "q", "--header", "use"],
        ["select", "cos://b-1/a.parquet", "q", "--delimiter", ";"],
        ["select", "cos://b-1/a.csv", "q", "--output", "csv", "--json"],
        ["select", "cos://b-1/", "q"],
        ["presign", "cos://b-1/a", "--header", "nonsense"],
        ["presign", "cos://b-1/a", "--header", "content-type=a", "--content-type", "b"],
        ["restore", "cos://b-1/a", "--days", "0"],
        ["restore", "cos://b-1/a", "--tier", "Fast"],
        ["restore", "-r", "cos://b-1/a", "--version-id", "x"],
        ["restore", "cos://b-1"],
        ["rb", "cos://b-1/key"],
        ["uploads", "gc", "cos://b-1"],
        ["uploads", "gc", "cos://b-1", "--older-than", "0d"],
        ["uploads", "ls", "cos://b-1", "--older-than", "yesterday"],
        ["journal", "clean"],
        ["journal", "clean", "--all", "--older-than", "1d"],
        ["doctor", "--write"],
        ["completion", "cobol"],
    ],
    ids=" ".join,
)
def test_wrong_words(shell, server, words):
    """A command line that cannot be right is one line and exit code 2; nothing is sent."""
    server.emulator.forget_requests()
    outcome = shell(*words)
    assert outcome.code == 2
    assert len(outcome.complaints) == 1
    assert "Traceback" not in outcome.err
    assert len(server.emulator.requests) == 0


# -- restore


def test_restore_asks_for_what_is_archived_and_nothing_else(shell, server, bucket):
    """Of a prefix the archived objects are asked for, for as long and as fast as told."""
    server.put_all(bucket, {"cold/warm": b"x"})
    for key in ("cold/a", "cold/b/c", "other"):
        server.archive(bucket, key)
    server.emulator.forget_requests()

    outcome = shell(
        "restore", "-r", f"cos://{bucket}/cold", "--days", 3, "--tier", "Bulk", "--json"
    )

    *done, last = records(outcome)
    assert sorted(record["key"] for record in done) == ["cold/a", "cold/b/c"]
    assert {(record["days"], record["tier"]) for record in done} == {(3, "Bulk")}
    assert (outcome.code, last["summary"]["done"]) == (0, 2)
    assert server.emulator.count("RestoreObject", status=202) == 2

    again = shell("restore", "-r", f"cos://{bucket}/cold", "--json")
    assert (again.code, records(again)[-1]["summary"]["skipped"]) == (0, 2)
    assert "restored already" in again.out


def test_restore_of_what_is_not_archived_fails(shell, server, bucket):
    """One object that is not archived is an error, as is a prefix without any."""
    server.put(bucket, a=b"x")
    one = shell("restore", f"cos://{bucket}/a")
    assert (one.code, "RestoreNonArchiveObject" in one.err) == (1, True)
    none = shell("restore", "-r", f"cos://{bucket}")
    assert (none.code, "nothing archived" in none.err) == (1, True)


# -- uploads


def test_uploads_show_age_and_size_and_gc_takes_the_old_ones(shell, server, bucket):
    """Old uploads are listed with what they take, aborted on request, and young ones stay."""
    old = server.begin_upload(bucket, "dir/old", days_ago=9.5)
    young = server.begin_upload(bucket, "dir/young")

    listed = records(shell("uploads", "ls", f"cos://{bucket}/dir/", "--json"))
    assert [(one["key"], one["upload_id"], one["size"], one["parts"]) for one in listed] == [
        ("dir/old", old, 4, 1), ("dir/young", young, 4, 1),
    ]  # fmt: skip
    assert listed[0]["age_s"] // 86_400 == 9
    assert listed[0]["idle_s"] // 86_400 == 9
    assert listed[1]["age_s"] < 600
    only_old = shell("uploads", "ls", f"cos://{bucket}", "--older-than", "7d")
    assert [line.split()[-1] for line in only_old.lines] == ["dir/old"]
    assert re.search(r" 9d +4 +1  dir/old$", only_old.lines[0])

    outcome = shell("uploads", "gc", f"cos://{bucket}", "--older-than", "1w", "--json")
    assert [record.get("key") for record in records(outcome)] == ["dir/old", None]
    assert records(outcome)[-1]["summary"]["bytes"] == 4
    left = records(shell("uploads", "ls", f"cos://{bucket}", "--json"))
    assert [one["key"] for one in left] == ["dir/young"]


def test_spans():
    """7d is seven days; what is no span is refused with its option."""
    assert [seconds_of(word, "x") for word in ("7d", "12h", "1.5m", "90s", "2w")] == [
        604_800, 43_200, 90, 90, 1_209_600,
    ]  # fmt: skip
    for word in ("", "7", "d", "-1d", "0s", "7 d", "1y", "9" * 12 + "d"):
        with pytest.raises(UsageError, match="--older-than"):
            seconds_of(word, "--older-than")
    assert [span(seconds) for seconds in (0, 59, 60, 7200, 9 * 86_400, -5)] == [
        "0s", "59s", "1m", "2h", "9d", "0s",
    ]  # fmt: skip


# -- rb


def test_rb_leaves_a_bucket_that_is_not_empty(shell, server, bucket):
    """A bucket with something in it stays, and the way to go on is told."""
    server.put(bucket, a=b"x")
    for words in (["rb", f"cos://{bucket}"], ["rb", f"cos://{bucket}", "--dry-run"]):
        outcome = shell(*words)
        assert (outcome.code, "--force" in outcome.err) == (1, True)
    assert server.read(bucket, "a") == b"x"


def test_rb_force_needs_to_be_meant(shell, server, bucket):
    """A script that does not say --yes deletes nothing."""
    server.put(bucket, a=b"x")
    outcome = shell("rb", "--force", f"cos://{bucket}")
    assert (outcome.code, "--yes" in outcome.err) == (2, True)
    assert server.read(bucket, "a") == b"x"


def test_rb_force_takes_versions_markers_and_uploads(shell, server, bucket):
    """All versions, delete markers and uploads go, then the bucket."""

    async def fill(client):
        await client.put_bucket_versioning(bucket, "Enabled")
        for content in (b"1", b"2"):
            await client.put_object(bucket, content, "a")
        await client.put_object(bucket, b"3", "gone")
        await client.delete_object(bucket, "gone")

    server.call(fill)
    server.begin_upload(bucket, "unfinished")

    outcome = shell("rb", "--force", "--yes", f"cos://{bucket}", "--json")

    *done, last = records(outcome)
    assert (outcome.code, outcome.err) == (0, "")
    assert [record["done"] for record in done] == ["delete"] * 4 + ["abort", "remove"]
    assert last["summary"]["done"] == 6
    assert shell("stat", f"cos://{bucket}").code == 1


@pytest.mark.parametrize(("answer", "code"), [(b"\n", 1), (b"y\n", 0)])
def test_a_person_is_asked(server, no_environment, bucket, answer, code):
    """On a terminal rb --force asks first, and takes nothing but yes for yes."""
    server.put(bucket, a=b"x")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "aiocos", "rb", "--force", f"cos://{bucket}"],
        env={**os.environ, **server.environment(), "PYTHONASYNCIODEBUG": ""},
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    asked = b""
    deadline = time.monotonic() + 20
    while b"[y/N]" not in asked and time.monotonic() < deadline:
        asked += os.read(ours, 4096)
    os.write(ours, answer)
    try:
        while os.read(ours, 4096):
            pass
    except OSError:  # its end, on Linux
        pass
    os.close(ours)
    assert process.wait(20) == code
    assert bucket.encode() in asked
    assert (shell_stat(server, bucket) == 0) == bool(code)


def shell_stat(server, bucket):
    async def look(client):
        return 0 if await client.bucket_exists(bucket) else 1

    return server.call(look)


# -- addresses


def test_a_presigned_put_pins_what_is_sent(shell, server, bucket):
    """Headers that were signed have to be sent, and then the upload works."""
    outcome = shell(
        "presign", f"cos://{bucket}/a.png", "--method", "PUT", "--content-type", "image/png",
        "--header", "x-cos-storage-class=STANDARD_IA", "--json",
    )  # fmt: skip
    (record,) = records(outcome)
    assert record["headers"] == {
        "Content-Type": "image/png",
        "x-cos-storage-class": "STANDARD_IA",
    }

    request = urllib.request.Request(record["url"], b"png", record["headers"], method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    (stored,) = records(shell("stat", f"cos://{bucket}/a.png", "--json"))
    assert (stored["content_type"], stored["storage_class"]) == ("image/png", "STANDARD_IA")

    other = {**record["headers"], "Content-Type": "text/html"}
    request = urllib.request.Request(record["url"], b"page", other, method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)


def test_people_are_told_which_headers_to_send(shell, bucket):
    """The address alone is on stdout; what must go with it is a note."""
    outcome = shell("presign", f"cos://{bucket}/a", "--method", "PUT", "--content-type", "a/b")
    assert len(outcome.lines) == 1
    assert outcome.complaints == ["aiocos: send with it: Content-Type: a/b"]


def test_an_address_for_an_old_version(shell, server, bucket):
    """--version-id makes an address of what the object was."""

    async def fill(client):
        await client.put_bucket_versioning(bucket, "Enabled")
        first = await client.put_object(bucket, b"first", "a")
        await client.put_object(bucket, b"second", "a")
        return first["x-cos-version-id"]

    version = server.call(fill)
    outcome = shell("presign", f"cos://{bucket}/a", "--version-id", version)
    with urllib.request.urlopen(outcome.out.strip(), timeout=10) as answer:
        assert answer.read() == b"first"


# -- completion


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_knows_the_verbs(bare_shell, name):
    """Each shell's script names all verbs and is what that shell takes."""
    outcome = bare_shell("completion", name)
    assert outcome.code == 0
    for verb in ("doctor", "restore", "gc", "clean"):
        assert verb in outcome.out


def test_completion_works_in_bash(bare_shell, tmp_path):
    """bash completes ``aiocos do`` to ``aiocos doctor``, and options behind a verb."""
    script = tmp_path / "aiocos.bash"
    script.write_text(bare_shell("completion", "bash").out)
    program = (
        f"source {script}; complete -p aiocos >/dev/null || exit 9; f=$(complete -p aiocos | "
        'sed "s/.*-F \\([^ ]*\\) .*/\\1/"); '
        "COMP_WORDS=(aiocos do); COMP_CWORD=1; $f; echo ${COMPREPLY[@]}; "
        "COMP_WORDS=(aiocos uploads gc --ol); COMP_CWORD=3; $f; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["doctor", "--older-than"], "")

"""``aiocos sync`` on the command line: what it says, what it does, how it ends."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.support.trees import plant, tree


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plant(tmp_path / "site", {"a": b"1", "b.tmp": b"2", "dir/c": b"333", "keep.tmp": b"4"})
    return tmp_path


def keys(server, shell, bucket):
    return [line.split("  ", 1)[-1].strip() for line in shell("ls", "-r", f"cos://{bucket}").lines]


def test_there_and_again(shell, bucket, place):
    """The first run says what it did, the second one that there was nothing to do."""
    first = shell("sync", "site", f"cos://{bucket}/www")
    second = shell("sync", "site", f"cos://{bucket}/www")
    down = shell("sync", f"cos://{bucket}/www", "target")

    assert (first.code, first.out) == (0, "")
    assert first.err == "aiocos: upload 4 (6 bytes); 0 were the same\n"
    assert second.err == "aiocos: nothing to do; 4 are the same\n"
    assert down.err == "aiocos: download 4 (6 bytes); 0 were the same\n"
    assert tree(place / "target") == tree(place / "site")
    assert shell("sync", "-q", "site", f"cos://{bucket}/www").err == ""


def test_the_plan_in_words(shell, server, bucket, place):
    """--dry-run says of each file what would be done to it, and why."""
    server.put_all(bucket, {"www/a": b"1", "www/dir/c": b"4444", "www/old": b"5"})

    outcome = shell("sync", "site", f"cos://{bucket}/www", "--delete", "--dry-run")

    assert outcome.lines == [
        "would upload b.tmp: new",
        "would upload dir/c: size 4 -> 3",
        "would upload keep.tmp: new",
        "would delete old: not in source",
    ]
    assert server.read(bucket, "www/dir/c") == b"4444"


def test_patterns_keep_their_order(shell, bucket, place):
    """The first pattern that matches decides, however --include and --exclude are mixed."""
    words = ["sync", "site", f"cos://{bucket}", "--dry-run"]

    one = shell(*words, "--include", "keep.*", "--exclude", "*.tmp")
    other = shell(*words, "--exclude=*.tmp", "--include=keep.*", "--exclude=dir/")

    assert [line.split()[2] for line in one.lines] == ["a:", "dir/c:", "keep.tmp:"]
    assert [line.split()[2] for line in other.lines] == ["a:"]


def test_a_plan_is_written_and_carried_out_later(shell, server, bucket, place):
    """--plan changes nothing, --apply does what the plan says, and not what came meanwhile."""
    written = shell("sync", "site", f"cos://{bucket}", "--plan", "plan.jsonl")
    assert written.code == 0
    assert "plan.jsonl would upload 4" in written.err
    assert shell("ls", f"cos://{bucket}").out == ""
    plant(place / "site", {"later": b"x", "a": b"changed"})

    told = shell("sync", "--apply", "plan.jsonl", "--dry-run")
    applied = shell("sync", "--apply", "plan.jsonl")

    assert len(told.lines) == 4
    assert applied.code == 1
    assert applied.complaints[0].startswith("aiocos: a: ")
    assert "was changed after the plan was made" in applied.complaints[0]
    assert server.read(bucket, "dir/c") == b"333"
    assert "later" not in shell("ls", f"cos://{bucket}").out


def test_a_plan_for_a_local_server(bare_shell, place):
    """With --local the plan is for the directory, whatever port the server has next time."""
    assert bare_shell("mb", "cos://b-1250000000", "--local", "data").code == 0
    words = ["sync", "site", "cos://b-1250000000", "--local", "data", "--plan", "plan"]
    assert bare_shell(*words).code == 0
    assert bare_shell("sync", "--apply", "plan", "--local", "data").code == 0
    told = bare_shell("ls", "-r", "cos://b-1250000000", "--local", "data")
    assert len(told.lines) == 4


def test_what_is_refused(shell, server, bucket, place):
    """Too many deletions, an empty source and a wrong command line end in one line each."""
    server.put_all(bucket, {f"www/{number}": b"" for number in range(5)})
    (place / "empty").mkdir()
    there = f"cos://{bucket}/www"
    for words, says in (
        (["site", there, "--delete", "--max-delete", "4"], "5 would be deleted"),
        (["site", there, "--delete", "--max-delete", "50%"], "5 would be deleted"),
        (["empty", there, "--delete"], "source is empty"),
        (["site"], "needs a source and a destination"),
        (["site", "other"], "must be in COS"),
        (["site", there, "--apply", "x"], "--apply takes"),
        (["site", there, "--size-only", "--checksum"], "exclude each other"),
        (["site", there, "--exclude", "[a"], "without its end"),
        (["nothing", there], "cannot read"),
        (["--apply", "site/a"], "make the plan again"),
    ):
        outcome = shell("sync", *words)
        assert outcome.code in {1, 2}, words
        assert says in outcome.err
        assert len(outcome.complaints) == 1
    assert len(shell("ls", "-r", there).lines) == 5


def test_a_dry_run_says_what_would_be_refused(shell, server, bucket, place):
    """The plan is shown, then why it would not be carried out; the exit code says so too."""
    server.put_all(bucket, {f"{number}": b"" for number in range(5)})
    words = ["sync", "site", f"cos://{bucket}", "--delete", "--max-delete", "4"]

    outcome = shell(*words, "--dry-run")
    assert outcome.code == 1
    assert len(outcome.lines) == 9
    assert "would be refused: 5 would be deleted" in outcome.err


def test_a_refusal_names_options(shell, server, bucket, place):
    """Whoever writes a command line is told of its options, not of keywords of Python."""
    server.put_all(bucket, {f"www/{number}": b"" for number in range(5)})
    (place / "empty").mkdir()
    there = f"cos://{bucket}/www"
    for words, says in (
        (["site", there, "--delete", "--max-delete", "10%"], "and --max-delete is 10%"),
        (["site", there, "--max-delete", "x"], "--max-delete is 'x'"),
        (["empty", there, "--delete"], "--allow-empty-source if that is meant"),
        (["site", there, "--backup-dir", "b"], "--backup-dir is for a local destination"),
        (["--apply", "p", "--max-delete", "1", "--exclude", "a"], "--include and --exclude, --max"),
    ):
        outcome = shell("sync", *words)
        assert says in outcome.err
        if "--delete" in words:
            # The command line is right; what it amounts to is not permitted.
            assert outcome.code == shell("sync", *words, "--dry-run").code == 1


def test_a_dry_run_ends_with_what_it_amounts_to(shell, bucket, place):
    """Also where nothing is to be done, somebody says so."""
    words = ["sync", "site", f"cos://{bucket}/www"]
    assert shell(*words, "--dry-run").err == "aiocos: would upload 4 (6 bytes); 0 are the same\n"
    shell(*words)
    assert shell(*words, "--dry-run").err == "aiocos: nothing to do; 4 are the same\n"
    plan = shell(*words, "--plan", "plan")
    assert plan.err == "aiocos: plan: nothing to do; 4 are the same\n"


def test_a_prefix_that_has_nothing_is_told(shell, bucket, place):
    """A slip in a prefix is no failure, and no silence either."""
    there = f"cos://{bucket}/ww"
    for words in (["sync", there, "target"], ["rm", "-r", there]):
        outcome = shell(*words)
        assert outcome.code == 0
        assert f"nothing is below {there}/" in outcome.err


def test_a_plan_of_another_server_is_refused(shell, bucket, place):
    """A plan made on one local server is not carried out on the next one."""
    assert shell("sync", "site", f"cos://{bucket}", "--plan", "plan").code == 0
    outcome = shell("sync", "--apply", "plan", "--endpoint", "http://127.0.0.1:1")
    assert outcome.code == 2
    assert "and this client is of" in outcome.err
    assert "127.0.0.1:1" in outcome.err


def test_a_bucket_without_appid(shell):
    """Who leaves the APPID out is told what is missing, by mb and by doctor."""
    outcome = shell("mb", "cos://examplebucket")
    assert outcome.code == 1
    assert "APPID, as in examplebucket-1250000000" in outcome.err
    assert "ends in the account's APPID" in shell("doctor", "cos://examplebucket").out


def test_bash_completes_names_of_files(bare_shell, place):
    """What the verbs do not know, bash completes by itself."""
    script = bare_shell("completion", "bash").out
    assert script.rstrip().endswith("complete -o default -o bashdefault -F _aiocos aiocos")


def test_backups_and_storage_class(shell, server, bucket, place):
    """What is replaced or deleted is kept below a prefix; what is sent gets its class."""
    server.put_all(bucket, {"www/a": b"old", "www/x": b"gone"})
    words = ["--delete", "--backup-prefix", "old/1", "--storage-class", "STANDARD_IA"]

    assert shell("sync", "site", f"cos://{bucket}/www", *words).code == 0

    assert server.read(bucket, "old/1/a") == b"old"
    assert server.read(bucket, "old/1/x") == b"gone"
    assert "STANDARD_IA" in shell("stat", f"cos://{bucket}/www/a").out


def test_a_failure_is_told_and_the_rest_is_done(shell, healthy, bucket, place):
    """One line for the file that failed, one for what it held back, exit code 1."""
    healthy.put_all(bucket, {"x": b""})
    healthy.emulator.fail("PutObject", key="a", status=403, code="AccessDenied")

    outcome = shell("sync", "site", f"cos://{bucket}", "--delete", "--json")

    assert outcome.code == 1
    errors = [json.loads(line)["error"] for line in outcome.complaints]
    assert [error["about"] for error in errors] == ["a", "1 deletions"]
    *done, summary = map(json.loads, outcome.lines)
    assert len(done) == 3
    assert (summary["summary"]["failed"], summary["summary"]["delete"]) == (2, 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_and_gone_on(start, healthy, shell, bucket, place, number, code):
    """Ctrl-C ends it within a second, and the same plan goes on from there."""
    plant(place / "site", {f"{name:04}": b"x" for name in range(80)})
    shell("sync", "site", f"cos://{bucket}", "--plan", "plan.jsonl")
    healthy.emulator.forget_requests()
    healthy.emulator.fail("PutObject", delay_s=0.05)

    process = start("sync", "--apply", "plan.jsonl", "--concurrency", "4")
    while healthy.emulator.count("PutObject", 200) < 12:
        time.sleep(0.01)
    process.send_signal(number)
    begun = time.monotonic()
    _, told = process.communicate(timeout=10)

    assert time.monotonic() - begun < 2
    assert (process.returncode, "Traceback" in told) == (code, False)
    healthy.emulator.heal()
    sent = healthy.emulator.count("PutObject", 200)
    assert shell("sync", "--apply", "plan.jsonl").code == 0
    assert healthy.emulator.count("PutObject", 200) - sent < 84 - 10
    assert len(shell("ls", "-r", f"cos://{bucket}").lines) == 84


def test_killed_and_gone_on(start, healthy, shell, bucket, place):
    """After a kill the plan goes on too: what was done and not noted is recognised."""
    plant(place / "site", {f"{name:04}": b"x" for name in range(60)})
    shell("sync", "site", f"cos://{bucket}", "--plan", "plan.jsonl")
    healthy.emulator.forget_requests()
    healthy.emulator.fail("PutObject", delay_s=0.03)

    process = start("sync", "--apply", "plan.jsonl", "--concurrency", "4")
    while healthy.emulator.count("PutObject", 200) < 12:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    healthy.emulator.heal()

    outcome = shell("sync", "--apply", "plan.jsonl")
    assert outcome.code == 0, outcome.err
    assert len(shell("ls", "-r", f"cos://{bucket}").lines) == 64
    assert tree(place)["plan.jsonl"]
    assert not (place / "plan.jsonl.done").exists()

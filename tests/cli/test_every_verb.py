"""What all verbs promise: --json, --dry-run, and one sensible line when something is wrong."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

import aiocos.cli
from aiocos.cli.app import make_app
from aiocos.transfer.journal import default_directory
from tests.cli.verbs import CASES

PAGE = Path(aiocos.cli.__file__).with_name("json.md").read_text()
READS = ("Get", "Head", "List", "Select")
ENDING = [case for case in CASES if not case.is_endless]
TALKING = [case for case in ENDING if case.sends]
DIFFERENT = [case for case in TALKING if not case.is_kin]


def verbs(of=None, before=""):
    """The names of all verbs, those of sub-commands with the command before."""
    for name, command in (of or make_app()).resolved_commands().items():
        if not name.startswith("-"):
            below = list(verbs(command, f"{before}{name} "))
            yield from below or [f"{before}{name}"]


def shapes():
    """The documented records of each verb, of all of them under ``all`` and ``stderr``."""
    found = {}
    heading = ""
    for line in re.findall(r"^(?:## .*|```json.*|\{.*\})$", PAGE, re.MULTILINE):
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("```json"):
            heading = line[8:] or heading
        else:
            found.setdefault(heading, []).append(shape(json.loads(line)))
    return found


def shape(record):
    """What of a record must not change: names, and the kind of each value."""
    discriminator = record.get("type")
    facts = {name: kind(name, value) for name, value in record.items()}
    return discriminator, facts


def kind(name, value):
    if isinstance(value, dict) and name in {"error", "summary"}:
        return sorted(value)
    return type(value).__name__


def agrees(record, documented):
    """Whether a record is as it is documented; null may stand for what is not known."""
    what, facts = shape(record)
    return any(
        what == their_what
        and facts.keys() == theirs.keys()
        and all("NoneType" in (facts[n], theirs[n]) or facts[n] == theirs[n] for n in facts)
        for their_what, theirs in documented
    )


@pytest.fixture
def words(request, no_environment, server, bucket, tmp_path, monkeypatch):
    """Fill in the words of a case."""
    monkeypatch.chdir(tmp_path)
    server.put_all(bucket, {"a.txt": b"12345", "dir/b.txt": b"b", "dir/c/d.txt": b"d"})
    server.put(bucket, rows=b"a,1\nb,2\n")
    if request.node.callspec.params["case"].of("restore"):  # to others it cannot be read
        server.archive(bucket, "cold/a")
    server.run(server.emulator.create_bucket(f"empty-{bucket}"))
    server.begin_upload(bucket, "unfinished", days_ago=9)
    (default_directory() / "0.jsonl.corrupt").parent.mkdir(parents=True)
    (default_directory() / "0.jsonl.corrupt").touch()
    (tmp_path / "local" / "below").mkdir(parents=True)
    (tmp_path / "local" / "below" / "two.txt").write_bytes(b"two")

    def fill(case, of=bucket):
        return shlex.split(
            case.words.format(
                bucket=of,
                file=tmp_path / "local" / "below" / "two.txt",
                dir=tmp_path / "local",
                new=tmp_path / "new",
            )
        )

    return fill


def test_every_verb_is_in_the_table():
    """No verb escapes the tests of this file."""
    missing = [verb for verb in verbs() if not any(case.of(verb) for case in CASES)]
    assert missing == []


def test_every_verb_is_documented():
    """The page about --json has a section for every verb."""
    assert [verb for verb in verbs() if f"\n## {verb}\n" not in PAGE] == []


@pytest.mark.parametrize("case", ENDING, ids=str)
def test_json_is_as_documented(shell, words, case):
    """With --json stdout is JSON Lines, each of them as the page says."""
    outcome = shell(*words(case), "--json")

    assert (outcome.code, outcome.err) == (case.ends, "")
    assert case.prints == bool(outcome.out)
    if not case.is_json:
        return
    documented = shapes()
    verb = next(verb for verb in verbs() if case.of(verb))
    known = documented.get(verb, []) + documented["all"]
    records = [json.loads(line) for line in outcome.lines]
    assert [record for record in records if not agrees(record, known)] == []
    if case.changes:
        assert "summary" in records[-1]


@pytest.mark.parametrize("case", [case for case in CASES if case.is_endless], ids=str)
def test_json_of_a_server_is_as_documented(start, case):
    """What a server says when it can be reached is JSON too."""
    process = start(*case.words.split(), "--json")

    record = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)

    assert agrees(record, shapes()[case.words])
    assert process.wait(10) == 0


@pytest.mark.parametrize("case", [case for case in CASES if case.changes], ids=str)
def test_dry_run_changes_nothing(shell, server, words, tmp_path, case):
    """--dry-run tells all that would be done, and sends and writes nothing."""
    before = sorted(tmp_path.rglob("*"))
    server.emulator.forget_requests()
    dry = shell(*words(case), "--dry-run", "--json")

    sent = [record.operation for record in server.emulator.requests]
    assert [operation for operation in sent if not operation.startswith(READS)] == []
    assert sorted(tmp_path.rglob("*")) == before
    assert (dry.code, dry.err) == (0, "")
    *would, summary = map(json.loads, dry.lines)
    assert summary["summary"]["dry_run"] is True

    told = shell(*words(case), "--dry-run")
    assert [line for line in told.lines if not line.startswith("would ")] == []
    assert len(told.lines) == len(would) > 0

    real = shell(*words(case), "--json")
    done = [json.loads(line) for line in real.lines[:-1]]

    assert in_order(would, "would") == in_order(done, "done")


def in_order(records, action):
    """The records, without the word that tells what would be from what is done."""
    facts = [{"what": record.pop(action), **record} for record in records]
    return sorted(facts, key=lambda fact: json.dumps(fact, sort_keys=True))


# -- what can be wrong ---------------------------------------------------------


def assert_one_line(outcome):
    assert outcome.code in {1, 2}, outcome
    assert len(outcome.complaints) == 1, outcome.err
    assert outcome.err.startswith("aiocos: ")
    assert "Traceback" not in outcome.err
    assert "unexpected" not in outcome.err


def assert_one_error(outcome):
    """The same for a program."""
    assert outcome.code in {1, 2}, outcome
    (line,) = outcome.complaints
    assert agrees(json.loads(line), shapes()["stderr"])


@pytest.mark.parametrize("json_", [(), ("--json",)], ids=["", "json"])
@pytest.mark.parametrize("case", [c for c in TALKING if c.needs_bucket], ids=str)
def test_missing_bucket(shell, words, case, json_):
    """A bucket that is not there is one line."""
    outcome = shell(*words(case, of="nowhere-1250000000"), *json_)

    (assert_one_error if json_ else assert_one_line)(outcome)


@pytest.mark.parametrize("case", DIFFERENT, ids=str)
def test_wrong_key(shell, words, monkeypatch, case):
    """A secret key that is not the one is one line, which does not show it."""
    monkeypatch.setenv("COS_SECRET_KEY", "canary-key-8d1b")

    outcome = shell(*words(case))

    assert_one_line(outcome)
    assert "canary" not in outcome.err


@pytest.mark.parametrize("case", DIFFERENT, ids=str)
def test_no_permission(shell, healthy, words, case):
    """A refusal is one line."""
    healthy.emulator.fail("*", status=403, code="AccessDenied")

    outcome = shell(*words(case))

    assert_one_line(outcome)
    assert "AccessDenied" in outcome.err or "403" in outcome.err


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("case", DIFFERENT, ids=str)
def test_dead_endpoint(shell, words, case):
    """An endpoint where nobody listens is one line."""
    outcome = shell(*words(case), "--endpoint", "127.0.0.1:1")

    assert_one_line(outcome)
    assert "connect" in outcome.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
@pytest.mark.parametrize("case", [case for case in ENDING if case.prints], ids=str)
def test_full_disk(shell, words, monkeypatch, case):
    """Output that finds no room is one line."""
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys.stdout, "fileno", full.fileno)
        outcome = shell(*words(case), "--json")
        monkeypatch.undo()

    assert outcome.code == 1
    assert "No space left" in outcome.complaints[-1]
    assert_one_error(outcome)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a read-only directory")
@pytest.mark.parametrize(
    "case", [case for case in ENDING if not case.is_kin and case.is_local], ids=str
)
def test_read_only_directory(bare_shell, words, case):
    """A directory for --local that takes no files is one line."""
    assert_one_line(bare_shell(*words(case), "--local", "/sys/kernel/x"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_unknown_option(shell, words, case):
    """An option that is none is one line, and nothing else happens."""
    outcome = shell(*words(case), "--no-such-option")

    assert_one_line(outcome)
    assert outcome.code == 2

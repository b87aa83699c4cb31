"""What ``aiocos emulator`` says and takes: it is used as it prints, by any program."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.request

import pytest
import requests

import aiocos
from aiocos.emulator import CosEmulator, RemoteEmulator

BUCKET = "examplebucket-1250000000"
STORE = """
client.put_object(Bucket="examplebucket-1250000000", Body=b"v", Key="theirs")
"""


@pytest.fixture
def running(start):
    """Starts a server and returns it with the JSON it printed."""

    def run(*words, **variables):
        process = start("emulator", "--json", *words, **variables)
        line = process.stdout.readline()
        assert line, process.stderr.read()
        return process, json.loads(line)

    return run


def end(process):
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    return process.stderr.read()


def blocks(process):
    """The announcement, cut at its headings."""
    told = ""
    while "/_emu/state" not in told:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        told += line
    return dict(re.findall(r"^(In [^\n]*):\n\n(.*?)\n\n", told, re.M | re.S))


def test_printed_code_works_when_it_is_pasted(start):
    """The lines for aiocos and for the SDK of Tencent Cloud run as they are."""
    process = start("emulator")
    told = blocks(process)

    theirs = told["In Python, with the SDK of Tencent Cloud"]
    subprocess.run([sys.executable, "-c", theirs + STORE], check=True, capture_output=True)
    names: dict[str, object] = {}
    exec(told["In Python, with aiocos"], names)

    async def read() -> bytes:
        async with aiocos.CosS3Client(names["config"]) as client:
            return await (await client.get_object(BUCKET, "theirs"))["Body"].read()

    assert asyncio.run(read()) == b"v"
    assert end(process) == ""


def test_other_programs_read_how_to_reach_it(running, tmp_path):
    """The JSON, on stdout and in the ready file, is all a program needs; the file goes."""
    ready = tmp_path / "ready.json"
    process, told = running("--ready-file", ready, "--bucket", "a-1", "--bucket", "b-1")
    assert json.loads(ready.read_text()) == told
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    assert (told["bucket"], told["buckets"], told["pid"]) == ("a-1", ["a-1", "b-1"], process.pid)
    with urllib.request.urlopen(f"{told['url']}/_emu/health", timeout=5) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    end(process)
    assert list(tmp_path.iterdir()) == []


def test_a_ready_file_that_cannot_be_written(start, tmp_path):
    """The server ends and says which file it is; no keys are printed, and none left on disk."""
    (tmp_path / "ready").mkdir()
    process = start("emulator", "--ready-file", tmp_path / "ready")
    told, error = process.communicate(timeout=20)
    assert (told, process.returncode) == ("", 1)
    assert f"{tmp_path / 'ready'} cannot be written" in error
    assert list(tmp_path.iterdir()) == [tmp_path / "ready"]


def test_a_data_directory_is_told_in_full(running, tmp_path, monkeypatch):
    """What another program is to trust is named so that it is found from anywhere."""
    monkeypatch.chdir(tmp_path)
    process, told = running("--data", "kept", "--tls")
    assert told["ca_file"] == told["environment"]["COS_CA_FILE"] == f"{tmp_path}/kept/tls/ca.pem"
    end(process)


def test_it_ends_with_its_parent(running):
    """With --until-eof the server ends when its standard input does, however its parent ended."""
    process, _ = running("--until-eof")  # stdin is /dev/null
    assert process.wait(10) == 0


def test_what_it_holds_and_how_it_fails(running, tmp_path):
    """Seed, faults and time come from the command line."""
    (tmp_path / "seed" / "photos").mkdir(parents=True)
    (tmp_path / "seed" / "photos" / "a.txt").write_text("text")
    faults = tmp_path / "faults.json"
    faults.write_text('[{"operation": "GetObject", "nth": 1, "status": 404}]')
    process, told = running(
        "--seed", tmp_path / "seed", "--faults", faults, "--starts-at", "2026-01-01T00:00:00Z",
        "--no-auth",
    )  # fmt: skip
    control = RemoteEmulator(told["url"])
    assert control.clock()["now_iso"].startswith("2026-01-01T00:00")
    for status in (404, 200):
        got = requests.get(f"{told['url']}/photos-1250000000/a.txt", timeout=5)
        assert got.status_code == status
    assert got.text == "text"
    assert got.headers["Last-Modified"].startswith("Thu, 01 Jan 2026 00:00")
    assert [(fault["seen"], fault["fired"]) for fault in control.faults()] == [(2, 1)]
    end(process)


def test_files_can_be_kept(running, tmp_path):
    """With --retain the temporary directory stays, and the last line says where."""
    process, _ = running("--retain", TMPDIR=str(tmp_path))
    told = end(process)
    (kept,) = tmp_path.iterdir()
    assert str(kept) in told
    assert "--data goes on with them" in told
    process, _ = running("--data", kept)
    end(process)


def test_kept_data_is_not_steered_unasked(running, tmp_path):
    """Over --data there are control endpoints only if they are asked for."""
    for words, status in (((), 404), (("--control",), 200)):
        process, told = running("--data", tmp_path / "data", *words)
        answer = requests.get(f"{told['url']}/_emu/state", timeout=5)
        assert answer.status_code in {status, 403 if status == 404 else status}
        end(process)


def test_keys_of_a_function(running, start, tmp_path):
    """With --identity the exports are a cloud function's, and commands find its keys by them."""
    process, told = running("--identity")
    exported = told["environment"]
    assert "TENCENTCLOUD_SESSIONTOKEN" in exported
    (tmp_path / "a.txt").write_text("text")
    home = {"HOME": str(tmp_path), **exported}
    explained = start("credentials", "explain", **home).communicate(timeout=20)[0]
    used = [line for line in explained.splitlines() if "used" in line]
    assert len(used) == 1
    assert exported["TENCENTCLOUD_SECRETID"][:4] in used[0]
    upload = start("cp", tmp_path / "a.txt", f"cos://{BUCKET}/", **home)
    assert upload.communicate(timeout=20)[1] == ""
    assert upload.returncode == 0
    assert requests.get(f"{told['identity']}/meta-data/cam/security-credentials/", timeout=5).ok
    end(process)


def test_other_machines_are_warned_of(start):
    """An address that others can reach is said on stderr, and has no control without signatures."""
    process = start("emulator", "--host", "0.0.0.0", "--json")
    assert json.loads(process.stdout.readline())["endpoint"].startswith("127.0.0.1:")
    assert "reachable from other machines" in end(process)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0", "--no-auth"], "loopback only"),
        (["--starts-at", "tomorrow"], "must be as in 2026-01-01T00:00:00Z"),
        (["--starts-at", "2026-01-01"], "must be as in 2026-01-01T00:00:00Z"),
        (["--seed", "none"], "none is no folder of buckets"),
        (["--faults", "none"], "none"),
        (["--bucket", "no"], "--bucket is 'no'"),
    ],
)
def test_what_cannot_be(bare_shell, words, said):
    """A wish that cannot be is one line and an exit code, and no server is left."""
    outcome = bare_shell("emulator", *words)
    assert outcome.code in {1, 2}
    assert outcome.out == ""
    assert len(outcome.complaints) == 1
    assert said in outcome.err


def test_a_wrong_fault_is_found_before_it_could_fire(bare_shell, tmp_path):
    """The file, the rule and the field are named."""
    path = tmp_path / "faults.json"
    path.write_text('[{"status": 503}, {"operation": "GetObject", "staus": 503}]')
    outcome = bare_shell("emulator", "--faults", path)
    assert outcome.code == 2
    assert f"{path}: rule 2: a rule has no 'staus'; did you mean status?" in outcome.err


@pytest.mark.alone
def test_it_starts_at_once():
    """A server in the process is there within a fifth of a second."""
    taken_s = []
    for _ in range(3):
        begun = time.perf_counter()
        with CosEmulator.in_thread():
            taken_s.append(time.perf_counter() - begun)
    assert min(taken_s) < 0.2

"""What a person at a terminal sees, and what Ctrl-C and SIGTERM leave."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time

import pytest

from tests.support.terminal import Terminal

MIB = 1024 * 1024
GOES_ON = (
    r"aiocos: interrupted; the same command goes on from where it was: "
    r"([0-9,]+) of ([0-9,]+) bytes are there"
)


@pytest.fixture
def large(tmp_path):
    """A file that goes in parts."""
    path = tmp_path / "large.bin"
    path.write_bytes(random.Random(1).randbytes(24 * MIB))
    return path


@pytest.fixture
def terminal(no_environment, server, tmp_path):
    """Start ``aiocos`` on a terminal."""

    def start(*words):
        command = [sys.executable, "-W", "error", "-m", "aiocos", *map(str, words)]
        variables = {"PYTHONASYNCIODEBUG": "", "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm"}
        return Terminal(command, {**os.environ, **server.environment(), **variables})

    return start


def kept(text):
    """How many bytes a line says are there, and of how many."""
    match = re.search(GOES_ON, " ".join(text.split()))
    assert match, text
    return [int(number.replace(",", "")) for number in match.groups()]


def test_ctrl_c_keeps_what_was_uploaded(terminal, server, bucket, large):
    """A bar for the file and for the whole; Ctrl-C ends both at once, and says how to go on."""
    place = f"cos://{bucket}/dir/"
    with terminal("cp", large, place, "--bandwidth", "16M") as screen:
        screen.wait_for(r"Copying .* 1\d\.\d/24\.0 MiB")
        assert re.search(r"dir/large\.bin .*/24\.0 MiB", screen.text)
        begun = time.monotonic()
        screen.type("\x03")
        code = screen.end()

    assert code == 130
    assert time.monotonic() - begun < 2
    done, total = kept(screen.text)
    assert 0 < done < total == 24 * MIB
    assert "Traceback" not in screen.text

    server.emulator.forget_requests()
    with terminal("cp", large, place) as screen:
        assert screen.end() == 0
    # COS may have parts whose answers were under way at Ctrl-C: no more than the rest is sent.
    assert 0 < server.emulator.count("UploadPart", 200) <= (total - done) // MIB
    assert server.read(bucket, "dir/large.bin") == large.read_bytes()


def test_sigterm_keeps_what_was_downloaded(start, server, bucket, large, tmp_path):
    """SIGTERM is as good as Ctrl-C, and has its own exit code; no file is there in part."""
    server.put(bucket, large=large.read_bytes())
    target, state = tmp_path / "target", {"XDG_STATE_HOME": str(tmp_path)}
    words = ("cp", f"cos://{bucket}/large", target, "--part-size", 1)
    server.emulator.forget_requests()
    process = start(*words, "--bandwidth", "16M", **state)
    end = time.monotonic() + 20
    while server.emulator.count("GetObject", 206) < 8 and time.monotonic() < end:
        time.sleep(0.02)

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)

    assert (process.returncode, out) == (143, "")
    done, total = kept(err)
    assert 0 < done < total == 24 * MIB
    assert not target.exists()

    server.emulator.forget_requests()
    again = start(*words, **state)
    assert again.communicate(timeout=20) == ("", "")
    assert server.emulator.count("GetObject", 206) == (total - done) // MIB
    assert target.read_bytes() == large.read_bytes()


def test_two_signals_end_it_in_any_case(start, healthy, bucket):
    """Who presses Ctrl-C twice does not wait for anything to be put away."""
    silence = healthy.emulator.fail("HeadObject", blackhole=True)
    process = start("stat", f"cos://{bucket}/a")
    end = time.monotonic() + 10
    while not silence.fired and time.monotonic() < end:
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)

    out, err = process.communicate(timeout=10)
    assert out == ""
    assert err in {"", "aiocos: interrupted\n"}
    assert process.returncode in {130, -signal.SIGINT}, "which a shell calls 130 too"


def test_quiet_draws_nothing(terminal, bucket, large):
    """--quiet shows no bars on a terminal, and no count at the end."""
    with terminal("cp", "-r", large.parent, f"cos://{bucket}", "--quiet") as screen:
        assert screen.end() == 0
    assert screen.text == ""


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 1), ("y", 0)])
def test_rm_asks_a_person(terminal, shell, server, bucket, answer, code):
    """On a terminal ``rm -r`` names what it would delete, and deletes when told to."""
    server.put_all(bucket, {"dir/a": b"", "dir/b": b"", "other": b""})

    with terminal("rm", "-r", f"cos://{bucket}/dir") as screen:
        screen.wait_for(rf"delete everything below cos://{bucket}/dir/\? \[y/N\]")
        screen.type(f"{answer}\n")
        assert screen.end() == code

    left = [line.split()[-1] for line in shell("ls", "-r", f"cos://{bucket}").lines]
    assert left == (["other"] if answer == "y" else ["dir/a", "dir/b", "other"])


def test_ctrl_c_is_an_answer_too(terminal, server, bucket):
    """Ctrl-C where a question is asked deletes nothing."""
    server.put_all(bucket, {"dir/a": b""})

    with terminal("rm", "-r", f"cos://{bucket}/dir") as screen:
        screen.wait_for(r"\[y/N\]")
        screen.type("\x03")
        assert screen.end() == 130

    assert server.read(bucket, "dir/a") == b""


@pytest.mark.parametrize("verb", ["cat", "cp"])
def test_a_pipe_that_nobody_reads_holds_nothing_up(start, server, bucket, large, verb):
    """SIGTERM ends a command whose reader has stopped, though it keeps the pipe open."""
    server.put(bucket, large=large.read_bytes())
    process = start(verb, f"cos://{bucket}/large", *(["-"] if verb == "cp" else []))
    assert len(process.stdout.buffer.read(1000)) == 1000
    time.sleep(0.3)  # until the pipe is full

    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 143
    process.stdout.close()

"""``aiocos emulator``: a server for another shell."""

from __future__ import annotations

import signal

import pytest


def exported(process):
    """Read the announcement; return the variables of its export block."""
    variables = {}
    while not (line := process.stdout.readline()).startswith("aiocos ls"):
        assert line or process.poll() is None, process.stderr.read()
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value.strip("'")
    return variables


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_export_block_makes_another_shell_use_it(start, tmp_path, number):
    """The printed lines are all another shell needs; Ctrl-C ends the server, its data stays."""
    words = ("emulator", "--data", tmp_path / "data", "--bucket", "mine-1250000000")
    first = start(*words)
    variables = exported(first)
    (tmp_path / "a.txt").write_bytes(b"text")

    upload = start("cp", tmp_path / "a.txt", "cos://mine-1250000000/", **variables)
    assert upload.communicate(timeout=20) == ("", "")
    listing = start("ls", **variables).communicate(timeout=20)[0]
    assert listing.strip().endswith("\tap-guangzhou\tmine-1250000000")

    first.send_signal(number)
    assert first.wait(10) == 0
    assert first.stderr.read() == ""

    variables = exported(start(*words))
    assert start("cat", "cos://mine-1250000000/a.txt", **variables).communicate()[0] == "text"


def test_port_that_is_taken(start, server):
    """A port in use is one line."""
    process = start("emulator", "--port", server.emulator.port)

    out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "in use" in err

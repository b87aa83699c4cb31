"""``aiocos emulator``: a server for another shell."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

USE = """
import requests
bucket = "mine-1250000000"
client.put_object(bucket, b"text", "a")
source = {"Bucket": bucket, "Key": "a", "Region": client.get_conf()._region}
client.copy(bucket, "b", source)
print(client.get_object(bucket, "b")["Body"].get_raw_stream().read())
url = client.get_presigned_url(bucket, "b", "GET")
print(requests.get(url, proxies=client.get_conf()._proxies, timeout=20).content)
"""


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


def test_block_for_the_sync_sdk_through_the_proxy(start):
    """The second block for Tencent's SDK, pasted, copies here and makes URLs that are served."""
    process = start("emulator", "--bucket", "mine-1250000000")
    exported(process)
    shown = "".join(iter(process.stdout.readline, "In a browser, what it holds and was asked:\n"))
    code = "from qcloud_cos" + shown.rpartition("from qcloud_cos")[2]
    assert "Proxies={'http': 'http://127.0.0.1:" in code
    used = subprocess.run(
        [sys.executable, "-c", code + USE], capture_output=True, text=True, check=False, timeout=60
    )
    assert used.stdout.split() == ["b'text'", "b'text'"], used.stderr


def test_port_that_is_taken(start, server):
    """A port in use is one line."""
    process = start("emulator", "--port", server.emulator.port)

    out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert f"port {server.emulator.port} of 127.0.0.1 is in use" in err

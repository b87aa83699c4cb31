"""``aiocos credentials explain`` says whose keys are used, and shows none of them."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from aiocos.cli import main
from aiocos.emulator import CosEmulator, IdentityEmulator

SECRETS = ("canarySecretKey0123456789", "canaryToken0123456789")
COS = {
    "COS_SECRET_ID": "AKIDcanary0123456789abcd",
    "COS_SECRET_KEY": SECRETS[0],
    "COS_TOKEN": SECRETS[1],
}


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """A user without keys, on a machine outside the cloud."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("COS", "TENCENTCLOUD", "TKE"))]:
        monkeypatch.delenv(name)
    from aiocos.identity import asking

    monkeypatch.setattr(asking.socket, "getaddrinfo", lambda *_, **__: [])
    return tmp_path


@pytest.fixture
def run(capfd):
    def run(*words):
        code = main(list(words))
        told = capfd.readouterr()
        return code, told.out, told.err

    return run


def test_the_winner_is_named_and_its_secrets_are_not(run, monkeypatch):
    """The source that won, its shortened id and why; key and token are nowhere."""
    for name, value in COS.items():
        monkeypatch.setenv(name, value)
    code, out, err = run("credentials", "explain")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert lines[0][:2] == ["environment", "used"]
    assert "AKID***abcd, temporary" in lines[0][2]
    assert {line[1] for line in lines[1:]} == {"not asked"}
    assert not any(secret in out + err for secret in (*SECRETS, COS["COS_SECRET_ID"]))


def test_what_is_missing_is_told_for_each_source(run, bare):
    """Without keys each place that was looked at is listed, with what it lacks."""
    code, out, _ = run("credentials", "explain")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 1
    assert [line[1] for line in lines] == ["absent"] * 8
    told = {line[0]: line[2] for line in lines}
    assert told["configuration of coscli"] == f"no file {bare}/.cos.yaml"
    assert told["environment"].startswith("none of COS_SECRET_ID, TENCENTCLOUD_SECRET_ID")
    assert "no metadata service" in told["CVM role"]


def test_a_broken_source_is_told_with_its_fault(run, bare):
    """A file with half a pair is named as what ended the search; its half is not shown."""
    file = bare / ".cos.conf"
    file.write_text(f"[common]\nsecret_key = {SECRETS[0]}\n")
    file.chmod(0o600)
    code, out, err = run("credentials", "explain")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 1
    assert lines[4][1:] == [
        "broken",
        f"{file} [common]: secret_key is set, but secret_id is not",
    ]
    assert [line[1] for line in lines[5:]] == ["not asked"] * 3
    assert SECRETS[0] not in out + err


def test_the_end_of_temporary_keys_is_told(run, bare):
    """Keys with an end are told with it, in UTC."""
    folder = bare / ".tccli"
    folder.mkdir()
    file = folder / "default.credential"
    file.touch(mode=0o600)
    file.write_text(
        f'{{"secretId": "AKIDcanary0123456789abcd", "secretKey": "{SECRETS[0]}", '
        f'"token": "{SECRETS[1]}", "expiresAt": 4102444800}}'
    )
    code, out, _ = run("credentials", "explain")
    assert code == 0
    assert "AKID***abcd, temporary, until 2100-01-01T00:00:00Z" in out
    assert not any(secret in out for secret in SECRETS)


def test_commands_use_the_same_keys(run, bare, monkeypatch):
    """``ls`` without keys in the environment takes those of the files; COS_SECRET_ID still wins."""

    async def serve(words):
        async with CosEmulator() as cos, IdentityEmulator(cos):
            monkeypatch.setenv("COS_ENDPOINT", cos.url)
            file = bare / ".cos.conf"
            file.touch(mode=0o600)
            text = f"[common]\nsecret_id={cos.secret_id}\nsecret_key={cos.secret_key}\n"
            file.write_text(text)
            found = await asyncio.to_thread(run, *words)
            monkeypatch.setenv("COS_SECRET_ID", "AKIDnobody")
            monkeypatch.setenv("COS_SECRET_KEY", "wrong")
            monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", cos.secret_id)
            monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", cos.secret_key)
            return found, await asyncio.to_thread(run, *words)

    (code, out, _), (refused, _, why) = asyncio.run(serve(("ls",)))
    assert (code, out.split("\t")[-1]) == (0, "examplebucket-1250000000\n")
    assert refused == 1
    assert "InvalidAccessKeyId" in why


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "set COS_SECRET_ID and COS_SECRET_KEY"),
        ({"COS_SECRET_ID": "a"}, "COS_SECRET_ID is set, but COS_SECRET_KEY is not"),
    ],
)
def test_commands_without_keys_end_as_a_wrong_command_line(run, monkeypatch, environ, said):
    """Without keys, or with half a pair, a command ends with 2 and says what to set."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    code, out, err = run("ls", "--region", "ap-guangzhou")
    assert (code, out) == (2, "")
    assert said in err
    assert "--local DIR needs no account" in err


def test_help_needs_no_network_libraries():
    """Importing the package, and the command line's help, load none of the sources of keys."""
    code = (
        "import sys, aiocos\n"
        "assert 'aiocos.identity' not in sys.modules and 'aiohttp' not in sys.modules\n"
        "from aiocos.cli import main\n"
        "main(['credentials', '--help'])\n"
        "assert 'aiocos.identity' not in sys.modules and 'aiohttp' not in sys.modules\n"
        "assert aiocos.default_credentials and 'aiocos.identity' in sys.modules\n"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

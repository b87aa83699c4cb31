"""What a user has written down once counts where nothing else is said."""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
import subprocess

import pytest

from aiocos.cli import profiles
from aiocos.cli.failing import UsageError
from aiocos.cli.keys import chain_of
from aiocos.cli.profiles import Profile

CANARY, TOKEN = "canarySecretKey0123456789", "canaryToken0123456789"
KEYS = f'secret_id = "AKIDwritten"\nsecret_key = "{CANARY}"\ntoken = "{TOKEN}"\n'
SEVERAL = """
[default]
region = "ap-guangzhou"

[profiles.work]
region = "ap-shanghai"
endpoint = "http://127.0.0.1:9000"
concurrency = 8
part_size = 16
bandwidth = 1000000
hedge = true

[profiles.home]
region = "ap-beijing"
"""


@pytest.fixture
def write(tmp_path):
    """Write the file, for its owner only; return the environment that leads to it."""

    def written(text, mode=0o600):
        path = tmp_path / "aiocos" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return {"XDG_CONFIG_HOME": str(tmp_path)}

    return written


def keys_of(environ, profile):
    found = asyncio.run(chain_of(environ, profile).get_credentials())
    return found.secret_id, found.secret_key, found.token


def test_a_profile_is_what_is_written_under_its_name(write):
    """Each setting of the profile that was named, and none of another."""
    environ = write(SEVERAL)

    work = profiles.find("work", environ)

    assert (work.name, work.region, work.endpoint) == (
        "work", "ap-shanghai", "http://127.0.0.1:9000",
    )  # fmt: skip
    assert (work.concurrency, work.part_size, work.bandwidth) == (8, 16, 1_000_000)
    assert work.hedge is True
    home = profiles.find("home", environ)
    assert (home.region, home.endpoint, home.concurrency) == ("ap-beijing", None, None)


def test_without_a_name_the_variable_counts_and_then_default(write):
    """COS_PROFILE names one; without it [default] is taken, and without that nothing."""
    environ = write(SEVERAL)

    assert profiles.find(None, environ).region == "ap-guangzhou"
    assert profiles.find(None, {**environ, "COS_PROFILE": "home"}).region == "ap-beijing"
    assert profiles.find("work", {**environ, "COS_PROFILE": "home"}).region == "ap-shanghai"
    assert profiles.find(None, {**environ, "COS_PROFILE": ""}).region == "ap-guangzhou"
    assert profiles.find(None, write("[profiles.work]\n")) == Profile()


def test_without_a_file_nothing_is_set(tmp_path, monkeypatch):
    """Nobody has to write the file; it is looked for below the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert profiles.find(None, {}) == Profile()
    file = tmp_path / ".config" / "aiocos" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[default]\nregion = "ap-here"\n')
    assert profiles.find(None, {}).region == "ap-here"
    assert profiles.find(None, {"XDG_CONFIG_HOME": "relative"}).region == "ap-here"


def test_a_missing_profile_names_the_ones_there_are(write, tmp_path):
    """A wrong name is answered with the right ones; a missing file is said to be missing."""
    environ = write(SEVERAL)
    with pytest.raises(UsageError, match=r"'wrok' .*there are: default, home, work"):
        profiles.find("wrok", environ)
    with pytest.raises(UsageError, match=r"'wrok'.*no file .*config\.toml"):
        profiles.find(None, {"COS_PROFILE": "wrok", "XDG_CONFIG_HOME": str(tmp_path / "no")})


def test_the_option_wins_over_variables_and_variables_over_default(write):
    """--region before --profile, that before COS_REGION, that before [default]."""
    environ = write(SEVERAL)
    named, default = profiles.find("work", environ), profiles.find(None, environ)

    assert named.over("region", "ap-option", "ap-variable") == "ap-option"
    assert named.over("region", None, "ap-variable") == "ap-shanghai"
    assert default.over("region", None, "ap-variable") == "ap-variable"
    assert default.over("region", None, "") == "ap-guangzhou"
    assert Profile().over("region", None, None) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_secret_that_others_can_read_is_refused(write, mode):
    """The error is a command that mends it, whichever profile was asked for."""
    environ = write(f"{SEVERAL}[profiles.secret]\n{KEYS}", mode)

    with pytest.raises(UsageError) as caught:
        profiles.find("work", environ)

    assert CANARY not in str(caught.value)
    command = "chmod" + str(caught.value).rpartition("chmod")[2]
    subprocess.run(shlex.split(command), check=True)
    assert profiles.find("work", environ).region == "ap-shanghai"
    path = profiles.path_of(environ)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_secret_others_may_read(write):
    """A file that only says regions can be everybody's."""
    assert profiles.find("work", write(SEVERAL, 0o644)).region == "ap-shanghai"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[default]\nregoin = "x"', "did you mean region"),
        ("[default]\nbanana = 1", "there are: region, endpoint"),
        ("[profile.work]", "did you mean profiles"),
        ("region = 1", "no setting 'region'"),
        ("profiles = 1", "NAME"),
        ("[profiles]\nwork = 1", "must be a table"),
        ("default = 1", "must be a table"),
        ("[default]\n[profiles.default]", "leave one of them out"),
        ("[default]\nregion = 1", "region must be a text"),
        ('[default]\nregion = ""', "region must be a text"),
        ("[default]\nconcurrency = 0", "concurrency must be a whole number, 1 to 256"),
        ("[default]\nconcurrency = true", "concurrency must be a whole number"),
        ('[default]\npart_size = "8"', "part_size must be a whole number"),
        ("[default]\nhedge = 1", "hedge must be true or false"),
        ('[default]\nsecret_id = "a"', "secret_id and secret_key go together"),
        (f'[default]\ntoken = "{TOKEN}"', "secret_id and secret_key go together"),
        (f'[default]\n{KEYS}env_prefix = "X"', "env_prefix and secret_id both say"),
        (f"[default]\nsecret_key = {CANARY}", "is not TOML"),
        (f'[default]\nsecret_id = "{CANARY}\\n"', "must be a text"),
        ("[" * 9000, "is not TOML"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(write, text, said):
    """One sentence that names file, profile and key, and quotes no value."""
    with pytest.raises(UsageError) as caught:
        profiles.find(None, write(text))
    assert said in str(caught.value)
    assert "config.toml" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (CANARY, TOKEN))


def test_what_is_no_file_is_refused(write):
    """A pipe holds nobody up; bytes that are no text and a file too large are refused."""
    environ = write("")
    path = profiles.path_of(environ)
    for make in (
        lambda: os.mkfifo(path),
        path.mkdir,
        lambda: path.write_bytes(b"\xff\xfe"),
        lambda: path.write_bytes(b"#" * 300_000),
    ):
        path.rmdir() if path.is_dir() else path.unlink()
        make()
        with pytest.raises(UsageError, match=r"config\.toml"):
            profiles.find(None, environ)


def test_secrets_stay_out_of_repr(write):
    """A profile can be printed."""
    profile = profiles.find(None, write(f"[default]\n{KEYS}"))

    assert profile.secret_key == CANARY
    assert CANARY not in repr(profile)
    assert TOKEN not in repr(profile)


def test_keys_come_whole_from_one_place(write, tmp_path, monkeypatch):
    """Written keys, keys of variables, keys of Tencent's own files: never half of each."""
    monkeypatch.setenv("HOME", str(tmp_path))
    files = tmp_path / ".tencentcloud"
    files.mkdir()
    (files / "credentials").touch(mode=0o600)
    (files / "credentials").write_text("[work]\nsecret_id = AKIDfile\nsecret_key = filekey\n")
    environ = write(
        f"[default]\n{KEYS}[profiles.prefixed]\nenv_prefix = 'WORK'\n"
        "[profiles.tencent]\ntencent_profile = 'work'\n"
    )
    work = {"WORK_SECRET_ID": "AKIDwork", "WORK_SECRET_KEY": "workkey", "WORK_TOKEN": "worktoken"}
    cos = {"COS_SECRET_ID": "AKIDcos", "COS_SECRET_KEY": "coskey"}
    everything = {**environ, **work, **cos}

    assert keys_of(environ, profiles.find(None, environ)) == ("AKIDwritten", CANARY, TOKEN)
    assert keys_of(everything, profiles.find(None, everything)) == ("AKIDcos", "coskey", None)
    assert keys_of(everything, profiles.find("default", everything)) == (
        "AKIDwritten", CANARY, TOKEN,
    )  # fmt: skip
    assert keys_of(everything, profiles.find("prefixed", everything)) == tuple(work.values())
    assert keys_of(everything, profiles.find("tencent", everything)) == (
        "AKIDfile", "filekey", None,
    )  # fmt: skip


def test_a_profile_whose_keys_are_missing_looks_nowhere_else(write):
    """The keys of another account never step in for those that a profile names."""
    from aiocos import CredentialsError

    environ = {**write("[profiles.p]\nenv_prefix = 'P'"), "P_SECRET_ID": "", "COS_SECRET_ID": "a"}
    with pytest.raises(CredentialsError, match="neither P_SECRET_ID nor P_SECRET_KEY"):
        keys_of(environ, profiles.find("p", environ))


def test_explain_shows_the_profile(bare_shell, write, monkeypatch):
    """``credentials explain`` says which profile was read, and what wins over what."""
    environ = write(f"[default]\n{KEYS}[profiles.work]\nenv_prefix = 'WORK'\n")
    variables = {"COS_SECRET_ID": "AKIDcos0123456789", "COS_SECRET_KEY": CANARY}
    variables |= {"WORK_SECRET_ID": "AKIDwork0123456789", "WORK_SECRET_KEY": CANARY}
    for name, value in {**environ, **variables}.items():
        monkeypatch.setenv(name, value)

    default = bare_shell("credentials", "explain")
    work = bare_shell("credentials", "explain", "--profile", "work")

    lines = [line.split("\t") for line in default.lines]
    assert [line[:2] for line in lines] == [
        ["profile default", "read"], ["environment", "used"], ["profile default", "not asked"],
    ]  # fmt: skip
    assert lines[0][2].endswith("keys of its own, ***, after the environment")
    lines = [line.split("\t") for line in work.lines]
    assert [line[:2] for line in lines] == [["profile work", "read"], ["profile work", "used"]]
    assert "WORK_SECRET_ID and its kin, before the environment" in lines[0][2]
    assert "AKID***6789" in lines[1][2]
    assert CANARY not in default.out + work.out

    missing = bare_shell("credentials", "explain", "--profile", "wrok", "--json")
    assert missing.code == 2
    assert "there are: default, work" in missing.err


def test_verbs_use_the_profile(bare_shell, server, bucket, write, monkeypatch):
    """Endpoint and keys of a profile are all that a command needs."""
    emulator = server.emulator
    text = (
        f'[profiles.local]\nendpoint = "{emulator.url}"\nsecret_id = "{emulator.secret_id}"\n'
        f'secret_key = "{emulator.secret_key}"\n'
    )
    for name, value in write(text).items():
        monkeypatch.setenv(name, value)

    assert bare_shell("ls", f"cos://{bucket}").code == 2
    assert bare_shell("ls", f"cos://{bucket}", "--profile", "local").code == 0
    monkeypatch.setenv("COS_PROFILE", "local")
    assert bare_shell("ls", f"cos://{bucket}").code == 0

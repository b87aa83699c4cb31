"""Keys are found in the files of Tencent's own tools, written as those tools write them."""

from __future__ import annotations

import configparser
import io
import json
import logging
import os
import time

import pytest

from aiocos import (
    CoscliCredentials,
    CoscmdCredentials,
    Credentials,
    CredentialsError,
    ProfileCredentials,
    TccliCredentials,
)
from aiocos.identity import reading
from aiocos.identity.coscli import base_section, decrypted

KEYS = Credentials("AKIDexample0123456789", "exampleSecretKey0123456789")
TEMPORARY = Credentials("AKIDexample0123456789", "exampleSecretKey0123456789", "exampleToken")

# What coscli 1.0 makes of "AKIDexample0123456789", "exampleSecretKey0123456789" and
# "exampleToken": AES-128-ECB under "coscli-secret" filled up with zeros, made with
# `openssl enc -aes-128-ecb -nopad -K 636f73636c692d736563726574000000`.
HIDDEN = (
    "ax1kG1BjdXkFnBbmycinimLvNW3O4ErpdzoWyQUEWPc=",
    "YyToQMKB+BnpKkiB8/a5Mxo9uv7pQyZGpiDlK1c2M6w=",
    "ceaLG+dRXP/vDgztVflY7g==",
)

COSCLI = """\
cos:
  base:
    closeautoswitchhost: ""
    cvmrolename: ""
    disableencryption: {encryption}
    mode: SecretKey
    protocol: https
    secretid: {0}
    secretkey: {1}
    sessiontoken: {2}
  buckets:
  - alias: pictures
    endpoint: cos.ap-guangzhou.myqcloud.com
    name: pictures-1250000000
    ofs: false
    region: ""
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user's home directory with nothing in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("TENCENTCLOUD_CREDENTIALS_FILE", "TCCLI_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def put(home, name, text, mode=0o600):
    path = home / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(mode)
    return path


# -- the SDKs' file


async def test_the_sdks_file_is_read(home):
    """``~/.tencentcloud/credentials`` gives the keys of its section [default]."""
    put(
        home,
        ".tencentcloud/credentials",
        "[default]\nsecret_id = AKIDexample0123456789\nsecret_key=exampleSecretKey0123456789\n",
    )
    assert await ProfileCredentials().get_credentials() == KEYS


async def test_another_profile_is_read_with_its_token(home):
    """A named profile gives its own keys; quotes around values are none of theirs."""
    text = (
        "[default]\nsecret_id = AKIDother\nsecret_key = other\n"
        '[prod]\nsecret_id = "AKIDexample0123456789"\n'
        "secret_key = 'exampleSecretKey0123456789'\ntoken = exampleToken\n"
    )
    put(home, ".tencentcloud/credentials", text)
    assert await ProfileCredentials("prod").get_credentials() == TEMPORARY
    with pytest.raises(CredentialsError, match=r"no \[test\] in"):
        await ProfileCredentials("test").get_credentials()


async def test_the_file_may_be_elsewhere(home, monkeypatch):
    """``TENCENTCLOUD_CREDENTIALS_FILE`` names the file; if it is not there, that is an error."""
    path = put(home, "elsewhere", "[default]\nsecret_id=AKIDx\nsecret_key=y\n")
    monkeypatch.setenv("TENCENTCLOUD_CREDENTIALS_FILE", str(path))
    assert (await ProfileCredentials().get_credentials()).secret_id == "AKIDx"
    path.unlink()
    with pytest.raises(CredentialsError, match="is not there"):
        await ProfileCredentials().get_credentials()


# -- tccli's file


async def test_tcclis_file_is_read(home):
    """``~/.tccli/default.credential``, as ``tccli configure`` writes it, gives its keys."""
    said = {"secretId": KEYS.secret_id, "secretKey": KEYS.secret_key}
    put(home, ".tccli/default.credential", json.dumps(said, indent=2))
    assert await TccliCredentials().get_credentials() == KEYS


async def test_the_end_of_a_login_is_respected(home, monkeypatch):
    """Keys of ``tccli auth login`` come with their end; past it they are refused, not sent."""
    said = {
        "type": "oauth",
        "secretId": TEMPORARY.secret_id,
        "secretKey": TEMPORARY.secret_key,
        "token": TEMPORARY.token,
        "expiresAt": int(time.time()) + 600,
        "oauth": {"openId": "x", "accessToken": "y", "refreshToken": "z", "site": "cn"},
    }
    put(home, ".tccli/work.credential", json.dumps(said))
    monkeypatch.setenv("TCCLI_PROFILE", "work")
    found = await TccliCredentials().get_credentials()
    assert found == Credentials(*_values(TEMPORARY), said["expiresAt"])
    put(home, ".tccli/work.credential", json.dumps(said | {"expiresAt": 1_700_000_000}))
    with pytest.raises(CredentialsError, match="profile work of tccli gave credentials that ended"):
        await TccliCredentials().get_credentials()


def _values(credentials):
    return credentials.secret_id, credentials.secret_key, credentials.token


# -- coscmd's file


async def test_coscmds_file_is_read(home):
    """``~/.cos.conf``, as ``coscmd config`` writes it, gives the keys of [common]."""
    parser = configparser.ConfigParser()
    parser.add_section("common")
    for name, value in {
        "secret_id": TEMPORARY.secret_id,
        "secret_key": TEMPORARY.secret_key,
        "token": TEMPORARY.token,
        "bucket": "pictures-1250000000",
        "region": "ap-guangzhou",
        "anonymous": "False",
    }.items():
        parser.set("common", name, value)
    text = io.StringIO()
    parser.write(text)
    put(home, ".cos.conf", text.getvalue())
    assert await CoscmdCredentials().get_credentials() == TEMPORARY


async def test_coscmds_old_name_of_the_id_is_known(home):
    """Files of coscmd's first versions say ``access_id``."""
    put(
        home,
        ".cos.conf",
        "[common]\naccess_id = AKIDexample0123456789\nsecret_key = exampleSecretKey0123456789\n",
    )
    assert await CoscmdCredentials().get_credentials() == KEYS


async def test_an_anonymous_coscmd_has_no_keys(home):
    """What stands beside ``anonymous = True`` is not used as keys."""
    put(home, ".cos.conf", "[common]\nsecret_id = x\nsecret_key = y\nanonymous = True\n")
    with pytest.raises(CredentialsError, match="asks as nobody"):
        await CoscmdCredentials().get_credentials()


# -- coscli's file


async def test_encrypted_coscli_keys_are_read(home):
    """``~/.cos.yaml``, with the keys encrypted as coscli does by default, gives them."""
    put(home, ".cos.yaml", COSCLI.format(*HIDDEN, encryption='""'))
    assert await CoscliCredentials().get_credentials() == TEMPORARY


@pytest.mark.parametrize("encryption", ['"true"', '"false"', '""'])
async def test_plain_coscli_keys_are_read(home, encryption):
    """Keys in the clear are taken as they are, whether or not the file says that they are."""
    text = COSCLI.format(KEYS.secret_id, KEYS.secret_key, '""', encryption=encryption)
    put(home, ".cos.yaml", text)
    assert await CoscliCredentials().get_credentials() == KEYS


async def test_other_ways_of_writing_the_same_are_read(home):
    """Comments, quotes, a deeper indentation and another order change nothing."""
    text = (
        "---\n# mine\nother: [1, 2]\ncos:   # coscli\n"
        "    buckets:\n        - name: a\n          alias: 'secretid: no'\n    base:\n\n"
        f"        secretkey: '{KEYS.secret_key}'  # the key\n"
        f'        SecretID: "{KEYS.secret_id}"\n        disableencryption: "true"\n'
        "        sessiontoken: null\nlast:\n  base:\n    secretid: AKIDno\n"
    )
    put(home, ".cos.yaml", text)
    assert await CoscliCredentials().get_credentials() == KEYS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cos: {base: {secretid: a, secretkey: b}}\n", 1),
        ("cos:\n  base: &anchor\n    secretid: a\n    secretkey: b\n", 2),
        ("cos:\n  base:\n    secretid: |\n      a\n    secretkey: b\n", 4),
        ("cos:\n  base:\n    secretid: a\n    secretid: b\n    secretkey: c\n", 4),
        ("cos:\n  base:\n    secretid: a\n      b\n    secretkey: c\n", 4),
        ('cos:\n  base:\n    secretid: "a\\n"\n    secretkey: b\n', 3),
        ("cos:\n  base:\n    <<: *other\n    secretkey: b\n", 3),
        ("cos:\n  base:\n    secretid: !!str a\n    secretkey: b\n", 3),
        ("cos:\n\tbase:\n\t\tsecretid: a\n", 2),
        ("cos:\n  base:\n    secretid: a\n---\ncos:\n  base:\n    secretid: b\n", 4),
        ("cos:\n  base:\n    secretid: a\ncos:\n  base:\n    secretid: b\n", 4),
        ("cos:\n  base:\n  - secretid: a\n", 3),
    ],
)
async def test_yaml_beyond_coscli_is_refused_by_line(home, text, line):
    """What coscli never writes is an error that names the line, and never half understood."""
    put(home, ".cos.yaml", text)
    with pytest.raises(CredentialsError, match=rf"\.cos\.yaml, line {line}: not written as coscli"):
        await CoscliCredentials().get_credentials()


def test_a_file_without_the_section_has_no_keys():
    """A file of coscli in which nothing was configured yet is read as empty."""
    assert base_section("cos:\n  base: {}\n  buckets: []\n", "f") == {}
    assert base_section("", "f") == {}


def test_what_was_not_encrypted_stays_as_it_is():
    """A key that happens to be Base64 of no whole block is not decrypted, as in coscli."""
    assert decrypted("AKIDexample0123456789abcdefghijklmnop") == (
        "AKIDexample0123456789abcdefghijklmnop"
    )
    assert decrypted("") == ""


async def test_garbage_from_decryption_is_refused(home):
    """Keys that decrypt to no text are an error, and are not sent as they are."""
    text = COSCLI.format("A" * 43 + "=", "A" * 43 + "=", '""', encryption='""')
    put(home, ".cos.yaml", text)
    with pytest.raises(CredentialsError, match=r"\.cos\.yaml: secret_id must be"):
        await CoscliCredentials().get_credentials()


# -- all of them

BROKEN = {
    "half a pair, ini": (ProfileCredentials, ".tencentcloud/credentials",
        "[default]\nsecret_id = a\n", "secret_id is set, but secret_key is not"),
    "no ini": (ProfileCredentials, ".tencentcloud/credentials",
        "secret_id = a\n", "is not an ini file as it should be at line 1"),
    "a role": (ProfileCredentials, ".tencentcloud/credentials",
        "[default]\nsecret_id=a\nsecret_key=b\nrole_arn=qcs::c\n", "use AssumeRoleCredentials"),
    "half a pair, tccli": (TccliCredentials, ".tccli/default.credential",
        '{"secretKey": "a"}', "secretKey is set, but secretId is not"),
    "no JSON": (TccliCredentials, ".tccli/default.credential", "[1]", "is not a JSON object"),
    "half a pair, coscmd": (CoscmdCredentials, ".cos.conf",
        "[common]\nsecret_id = a\n", "secret_id is set, but secret_key is not"),
    "no section": (CoscmdCredentials, ".cos.conf", "[other]\na = b\n", r"has no \[common\]"),
    "half a pair, coscli": (CoscliCredentials, ".cos.yaml",
        "cos:\n  base:\n    secretid: a\n", "secretid is set, but secretkey is not"),
    "line break in it": (TccliCredentials, ".tccli/default.credential",
        '{"secretId": "a", "secretKey": "b\\r\\nx: y"}', "secret_key must be a text of printable"),
    "a role's name that is none": (CoscliCredentials, ".cos.yaml",
        "cos:\n  base:\n    mode: CvmRole\n    cvmrolename: a/b\n", "must be the name of a CAM"),
    "a role that is none": (TccliCredentials, ".tccli/default.credential",
        '{"secretId": "a", "secretKey": "b", "role-arn": "c", "role-session-name": "dd"}',
        "RoleArn is 'c'"),
    "not text": (CoscmdCredentials, ".cos.conf", "[common]\n\udcff", "is not UTF-8 text"),
    "too large": (CoscmdCredentials, ".cos.conf", "#" * 300_000, "is larger than 256 KiB"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_file_is_an_error_that_names_it(home, case):
    """A file that is there and cannot be used says which it is and what is wrong with it."""
    source, name, text, wrong = BROKEN[case]
    path = put(home, name, text)
    with pytest.raises(CredentialsError, match=wrong) as caught:
        await source().get_credentials()
    assert str(path) in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
async def test_a_file_that_others_can_read_is_warned_of_once(home, caplog):
    """Keys in a file that is open to others are used, with one warning that says what to do."""
    path = put(home, ".cos.conf", "[common]\nsecret_id=a\nsecret_key=b\n", mode=0o640)
    for _ in range(3):
        await CoscmdCredentials().get_credentials()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"chmod 600 {path}" in record.getMessage()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
async def test_a_pipe_in_place_of_a_file_holds_nothing_up(home):
    """A named pipe where a file should be is refused, rather than waited for."""
    os.mkfifo(home / ".cos.conf")
    with pytest.raises(CredentialsError, match="is not a regular file"):
        await CoscmdCredentials().get_credentials()


async def test_files_are_read_beside_the_event_loop(home, monkeypatch):
    """A home directory on a slow network holds up no other task."""
    put(home, ".cos.conf", "[common]\nsecret_id=a\nsecret_key=b\n")
    import asyncio
    import threading

    threads = []
    original = os.open

    def noting(path, *rest, **more):
        if str(path).endswith(".cos.conf"):
            threads.append(threading.current_thread())
        return original(path, *rest, **more)

    monkeypatch.setattr(reading.os, "open", noting)
    await CoscmdCredentials().get_credentials()
    assert threads
    assert threading.main_thread() not in threads
    assert asyncio.get_running_loop().is_running()

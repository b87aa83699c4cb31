"""A filesystem from its options to its end: processes, pickles, secrets, errors."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys

import fsspec
import pytest
from fsspec.asyn import sync

from aiocos import CosConfig, ParameterError, RetryPolicy, TransferConfig
from aiocos.fs import CosFileSystem

STRICT = [sys.executable, "-W", "error"]


def test_it_is_found_under_both_names(fs, bucket, options):
    """fsspec.open and fsspec.filesystem find it as cos and as cosn."""
    for protocol in ("cos", "cosn"):
        with fsspec.open(f"{protocol}://{bucket}/x", "wb", **options) as file:
            file.write(protocol.encode())
        assert fsspec.filesystem(protocol, **options).cat_file(f"{bucket}/x") == protocol.encode()


def test_the_same_options_are_the_same_filesystem(options):
    """fsspec keeps one filesystem for the same options, and another for another secret."""
    first = CosFileSystem(**options)
    assert CosFileSystem(**options) is first
    assert CosFileSystem(**(options | {"secret_key": "other"})) is not first
    config = CosConfig(Region="ap-guangzhou", SecretId="id", SecretKey="one")
    second = CosFileSystem(config=config)
    assert CosFileSystem(config=config.replace(SecretKey="one")) is second
    assert CosFileSystem(config=config.replace(SecretKey="two")) is not second


def test_secrets_show_nowhere(options, bucket, caplog):
    """The key and the token are in no repr, no token, no log and no error."""
    secret, token = "s3cretK3y" * 3, "t0kenT0ken" * 3
    caplog.set_level(logging.DEBUG)
    filesystem = CosFileSystem(**(options | {"secret_key": secret, "token": token}))
    with pytest.raises(PermissionError) as raised:
        filesystem.ls(bucket)
    told = [
        repr(filesystem),
        repr(filesystem.storage_options),
        repr(filesystem.__reduce__()),
        filesystem._fs_token,
        repr(raised.value),
        repr(raised.value.__cause__),
        caplog.text,
        filesystem.to_json(include_password=False),
    ]
    for text in told:
        assert secret not in text
        assert token not in text
    assert "***" in repr(filesystem.storage_options)
    assert json.loads(filesystem.to_json())["secret_key"] == secret


def test_secrets_of_fsspecs_configuration_are_hidden_too(options, monkeypatch):
    """Options that come from fsspec's own configuration are hidden like those that are given."""
    monkeypatch.setitem(fsspec.config.conf, "cos", options)
    filesystem = CosFileSystem()
    assert filesystem.ls("")
    assert options["secret_key"] not in repr(filesystem.storage_options)


def test_a_pickle_works_elsewhere(fs, bucket, options):
    """Row 45: a filesystem is pickled by its options, and opens its own connections."""
    filesystem = CosFileSystem(
        **options, retry=RetryPolicy(max_attempts=2), transfers=TransferConfig(single_mib=1)
    )
    filesystem.pipe_file(f"{bucket}/x", b"pickled")
    pickled = pickle.dumps(filesystem)
    assert pickle.loads(pickled) is filesystem
    script = "import pickle, sys; print(pickle.load(sys.stdin.buffer).cat_file(sys.argv[1]))"
    done = subprocess.run(
        [*STRICT, "-c", script, f"{bucket}/x"], input=pickled, capture_output=True, check=False
    )
    assert (done.stdout, done.stderr) == (b"b'pickled'\n", b"")
    again = fsspec.AbstractFileSystem.from_json(filesystem.__class__(**options).to_json())
    assert again.cat_file(f"{bucket}/x") == b"pickled"


def in_child(filesystem: CosFileSystem, path: str, answers: object) -> None:
    filesystem.pipe_file(path, b"of the child")
    answers.put((os.getpid(), filesystem.cat_file(path)))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("local", [True, False])
def test_a_fork_begins_anew(fs, bucket, options, local):
    """Row 45: a filesystem that was used before a fork works on both sides of it."""
    filesystem = fs if local else CosFileSystem(**options)
    filesystem.pipe_file(f"{bucket}/x", b"of the parent")
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=in_child, args=(filesystem, f"{bucket}/y", answers))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert answers.get() == (child.pid, b"of the child")
    assert filesystem.cat_file(f"{bucket}/x") == b"of the parent"
    assert filesystem.cat_file(f"{bucket}/y") == b"of the child"


@pytest.mark.parametrize(
    "script",
    [
        "fs = CosFileSystem(local=D); fs.touch(P)",
        "fs = CosFileSystem(local=D, asynchronous=True); asyncio.run(fs._touch(P))",
        "fs = CosFileSystem(local=D); f = fs.open(P, 'wb'); f.write(b'1'); f.close()",
        "CosFileSystem(local=D).touch(P); CosFileSystem.clear_instance_cache(); gc.collect()",
        "fs = CosFileSystem(local=D); fs.touch(P); fs = None; CosFileSystem.clear_instance_cache();"
        " gc.collect(); CosFileSystem(local=D).ls(B)",
    ],
)
def test_a_process_ends_without_a_warning(tmp_path, script):
    """Row 51: nothing needs to be closed by hand: a process ends without a complaint."""
    head = (
        "import asyncio, gc; from aiocos.fs import CosFileSystem;"
        f"D={str(tmp_path)!r}; B='examplebucket-1250000000'; P=B + '/x';"
    )
    done = subprocess.run(
        [*STRICT, "-c", head + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_ends_on_its_own(tmp_path):
    """Row 45: a child that was forked ends at once and clean, and its parent goes on."""
    script = (
        "import os, sys, time; from aiocos.fs import CosFileSystem;"
        f"fs = CosFileSystem(local={str(tmp_path)!r}); fs.ls('');"
        "begun = time.monotonic(); child = os.fork();"
        "child or (fs.ls(''), sys.exit(7));"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7;"
        "assert time.monotonic() - begun < 4.5; fs.ls('')"
    )
    quiet = ["-W", "ignore::DeprecationWarning"]
    done = subprocess.run(
        [*STRICT, *quiet, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_dropped_filesystem_closes_its_client(async_fs, bucket):
    """A filesystem that nobody has any more lets go of its connections."""
    filesystem = async_fs(skip_instance_cache=True)
    client = await filesystem.get_client()
    await filesystem._ls(bucket)
    assert client._session.is_open
    del filesystem
    gc.collect()
    await asyncio.sleep(0.1)
    assert not client._session.is_open


def test_a_closed_filesystem_opens_again(options, bucket):
    """close ends the connections; a use after it begins new ones."""
    filesystem = CosFileSystem(**options)
    first = sync(filesystem.loop, filesystem.get_client)
    filesystem.ls(bucket)
    filesystem.close()
    assert not first._session.is_open
    assert filesystem.ls(bucket) == []
    filesystem.close()


def test_errors_are_those_of_files(fs, bucket, emulator, options):
    """Each failure is the OSError that code for files expects, with COS's answer as its cause."""
    with pytest.raises(FileNotFoundError) as absent:
        fs.cat_file(f"{bucket}/no")
    cause = absent.value.__cause__
    assert cause.get_error_code() == "NoSuchKey"
    assert cause.get_request_id() in str(absent.value)
    assert absent.value.filename == f"{bucket}/no"
    with pytest.raises(PermissionError, match="SignatureDoesNotMatch"):
        CosFileSystem(**(options | {"secret_key": "wrong"})).ls(bucket)
    with pytest.raises(IsADirectoryError):
        fs.cat_file(bucket)
    fs.touch(f"{bucket}/d/x")
    with pytest.raises(IsADirectoryError):
        fs.cat_file(f"{bucket}/d")
    emulator.fail("GetObject", status=503, code="SlowDown")
    with pytest.raises(OSError, match="SlowDown") as slow:
        fs.cat_file(f"{bucket}/d/x")
    assert slow.value.__cause__.status == 503
    emulator.heal()
    nobody = CosFileSystem(
        endpoint="http://127.0.0.1:9", secret_id="i", secret_key="k", retry=0, asynchronous=False
    )
    with pytest.raises(ConnectionError):
        nobody.ls(bucket)


def test_looking_at_what_is_forbidden(fs, bucket, options):
    """exists raises where it may not look; isdir and isfile are False, as on a disk."""
    wrong = CosFileSystem(**(options | {"secret_key": "wrong"}))
    with pytest.raises(PermissionError):
        wrong.exists(f"{bucket}/x")
    assert not wrong.isdir(bucket)
    assert not wrong.isfile(f"{bucket}/x")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"local": "d", "region": "ap-guangzhou"}, "leave out region"),
        ({"region": "ap-guangzhou", "secret_id": "i"}, "go together"),
        ({"region": "ap-guangzhou", "token": "t"}, "go together"),
        ({"endpoint": "ftp://x"}, "must be as in"),
        ({"endpoint": "http://h/path"}, "must be as in"),
        ({"region": "a b", "anon": True}, "Region"),
        ({"local": "d", "transfers": object()}, "TransferConfig"),
    ],
)
def test_options_that_cannot_be_right_are_refused(wrong, told):
    """Options that contradict each other are refused at once, and say which."""
    with pytest.raises(ParameterError, match=told):
        CosFileSystem(**wrong)


def test_a_misspelt_option_is_refused():
    """An option that does not exist is an error, not ignored."""
    with pytest.raises(TypeError, match="regoin"):
        CosFileSystem(regoin="ap-guangzhou")


def test_place_and_keys_come_from_the_environment(emulator, options, bucket, monkeypatch):
    """Without options, COS_ENDPOINT and the keys of the environment are used."""
    monkeypatch.setenv("COS_ENDPOINT", options["endpoint"].replace("127.0.0.1", "localhost"))
    monkeypatch.setenv("COS_SECRET_ID", options["secret_id"])
    monkeypatch.setenv("COS_SECRET_KEY", options["secret_key"])
    filesystem = CosFileSystem(skip_instance_cache=True)
    assert filesystem.ls(bucket) == []
    filesystem.close()


def test_two_processes_cannot_share_a_directory(fs, shared_directory, bucket):
    """A directory that another process's server holds is refused, with what to do instead."""
    fs.ls(bucket)
    script = (
        "import sys; from aiocos.fs import CosFileSystem; CosFileSystem(local=sys.argv[1]).ls('')"
    )
    done = subprocess.run(
        [*STRICT, "-c", script, str(shared_directory)], capture_output=True, text=True, check=False
    )
    assert "aiocos emulator --data" in done.stderr


def test_a_misspelt_option():
    """An option that is not there is a TypeError that names the one that was meant."""
    with pytest.raises(TypeError, match="no option regoin; did you mean region"):
        fsspec.filesystem("cos", regoin="ap-guangzhou")

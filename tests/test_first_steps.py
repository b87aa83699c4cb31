"""What a newcomer tries on the first day works, or says what to do."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

import aiocos
from aiocos.emulator import CosEmulator, FaultRule
from tests.conftest import BUCKET


async def test_an_endpoint_on_this_machine_is_enough(emulator):
    """The address that the local server prints can be given as Endpoint."""
    config = aiocos.CosConfig(
        Endpoint=emulator.endpoint,
        Scheme="http",
        SecretId=emulator.secret_id,
        SecretKey=emulator.secret_key,
    )
    async with aiocos.CosS3Client(config) as client:
        await client.put_object(BUCKET, b"hello", "a")
        assert [item["Key"] async for item in client.iter_objects(BUCKET)] == ["a"]
        listed = await client.list_buckets()
    assert [bucket["Name"] for bucket in listed["Buckets"]["Bucket"]] == [BUCKET]


async def test_a_local_server_keeps_its_keys_with_its_data(tmp_path):
    """A server that is started again over the same data knows its clients again."""
    async with CosEmulator(data=tmp_path) as first:
        pair = first.secret_id, first.secret_key
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
    async with CosEmulator(data=tmp_path) as second:
        assert (second.secret_id, second.secret_key) == pair


async def test_metadata_that_came_back_can_be_sent_again(client):
    """What user_metadata returns is what Metadata takes."""
    await client.put_object(BUCKET, b"x", "a", Metadata={"x-cos-meta-author": "张三"})
    metadata = aiocos.user_metadata(await client.head_object(BUCKET, "a"))
    await client.put_object(BUCKET, b"x", "b", Metadata=metadata)
    head = await client.head_object(BUCKET, "b")
    assert metadata == {"x-cos-meta-author": "张三"} == aiocos.user_metadata(head)


@pytest.mark.parametrize(
    "read", [lambda body: body.read(), lambda body: body.read(30)], ids=["all", "some"]
)
async def test_a_body_that_was_read_does_not_become_a_short_file(client, tmp_path, read):
    """Saving a body of which something was read is refused, and the old file stays."""
    await client.put_object(BUCKET, bytes(100), "a")
    target = tmp_path / "target"
    target.write_bytes(b"old")
    body = (await client.get_object(BUCKET, "a"))["Body"]
    async with body:
        await read(body)
        with pytest.raises(aiocos.ClientStateError, match="were read already"):
            await body.get_stream_to_file(target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


async def test_a_body_is_saved_once(client, tmp_path):
    """Saving a body a second time is refused, and the good file stays."""
    await client.put_object(BUCKET, b"content", "a")
    body = (await client.get_object(BUCKET, "a"))["Body"]
    await body.get_stream_to_file(tmp_path / "target")
    with pytest.raises(aiocos.ClientStateError):
        await body.get_stream_to_file(tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"content"


@pytest.mark.parametrize(
    "make",
    [lambda: iter([b"he", b"llo"]), lambda: io.BytesIO(b"hello"), lambda: b"hello"],
    ids=["iterator", "file", "bytes"],
)
async def test_a_callable_makes_any_form_of_body(client, emulator, make):
    """A callable is called again for each attempt, whatever it makes."""
    fault = emulator.fail("PutObject", times=1)
    await client.put_object(BUCKET, make, "a")
    assert fault.fired == 1
    assert await emulator.read(BUCKET, "a") == b"hello"


async def test_a_missing_bucket_is_not_taken_for_a_missing_object(client):
    """An answer to HEAD does not say what is missing, and the error says that it does not."""
    with pytest.raises(aiocos.NotFoundError, match=r"or no bucket at none-1250000000\.cos"):
        await client.head_object("none-1250000000", "a")


def test_a_fault_for_an_operation_that_is_none_is_refused():
    """A rule that could never fire is an error, and the right name is suggested."""
    with pytest.raises(ValueError, match="did you mean GetObject"):
        FaultRule(operation="get_object")


async def test_a_keyword_is_suggested_also_from_the_method_itself(client):
    """A misspelt keyword finds its neighbour among all that the method takes."""
    with pytest.raises(aiocos.ParameterError, match="did you mean Prefix"):
        await client.list_objects(BUCKET, prefix="a")
    with pytest.raises(aiocos.ParameterError, match=r"no parameter progress_callback$"):
        await client.put_object(BUCKET, b"", "a", progress_callback=print)


def test_the_package_shows_what_it_offers():
    """dir() names the client, and nothing that is not meant for use."""
    assert {"CosS3Client", "CosConfig", "StreamBody", "types"} <= set(dir(aiocos))
    assert all(hasattr(aiocos, name) for name in aiocos.__all__)
    assert "TYPE_CHECKING" not in dir(aiocos)


def test_the_command_without_its_libraries_says_what_to_install(tmp_path):
    """Without the extra, the command names the extra in one line."""
    (tmp_path / "cyclopts.py").write_text("raise ModuleNotFoundError(name='cyclopts')")
    done = subprocess.run(
        [sys.executable, "-m", "aiocos", "ls"],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent.parent}"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "aiocos: the command line needs: pip install 'aiocos[cli]'\n"


async def test_a_place_that_cannot_hold_objects_is_a_typed_error(tmp_path):
    """A local client over something that is not a directory says so."""
    (tmp_path / "file").write_bytes(b"")
    client = aiocos.CosS3Client(aiocos.CosConfig.local(tmp_path / "file" / "below"))
    with pytest.raises(aiocos.ClientStateError, match="no local server over"):
        await client.head_bucket(BUCKET)
    await client.aclose()

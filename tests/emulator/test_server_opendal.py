"""OpenDAL's COS service, as it is, works against the server."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from cos_wire import BUCKET, HOST

from tests.support.bulk import fill

SCENARIOS = Path(__file__).with_name("opendal_scenarios.py")


@pytest.fixture
def play(server):
    """Run a scenario with the server as its proxy; what it printed."""

    async def run(scenario):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCENARIOS),
            scenario,
            BUCKET,
            server.secret_id,
            server.secret_key,
            env={**os.environ, "http_proxy": server.url, "no_proxy": ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = await child.communicate()
        assert child.returncode == 0, errors.decode()
        return printed.decode().strip()

    return run


async def test_objects(server, play):
    """Objects are written, read, copied, listed and deleted."""
    await play("objects")
    assert await server.read(BUCKET, "copy") == b"hello"
    assert server.count("DeleteObject", status=204) == 1
    assert {record.status for record in server.requests} <= {200, 204, 206, 404}


async def test_multipart(server, play):
    """A large object is written in parts."""
    await play("multipart")
    assert server.count("UploadPart", status=200) == 6
    assert server.count("CompleteMultipartUpload", status=200) == 1


async def test_append(server, play):
    """Appending goes on where the object ends."""
    await play("appending")
    assert server.count("AppendObject", status=200) == 2


async def test_pages(server, play):
    """A listing of several pages is complete."""
    await fill(server, (f"d/{number:04d}" for number in range(1500)))
    await play("pages")
    assert server.count("ListObjects", status=200) == 2


async def test_presigned_url(server, wire, play):
    """A URL presigned by OpenDAL, which signs no host, is served."""
    await server.put(BUCKET, "a b", b"hello")
    url = await play("presigned")
    assert url.startswith(f"http://{HOST}/")
    assert "q-header-list=&" in url
    assert (
        await wire.ask("GET", url.removeprefix(f"http://{HOST}"), signed=False)
    ).body == b"hello"

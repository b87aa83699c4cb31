"""The server inside a CosConfig.local client is within reach."""

from __future__ import annotations

import aiohttp
import pytest

from aiocos import ClientStateError, CosConfig, CosS3Client, CosServiceError
from tests.conftest import BUCKET


async def test_clock_faults_and_requests_of_a_local_client(tmp_path):
    """The server's clock, faults and account are reached through the client."""
    async with CosS3Client(CosConfig.local(tmp_path), retry=0) as client:
        server = client.local_server
        await client.put_object(BUCKET, b"cold", "k", StorageClass="ARCHIVE")
        await client.restore_object(BUCKET, "k", {"Days": 1})
        server.clock.advance(hours=6)
        body = (await client.get_object(BUCKET, "k"))["Body"]
        assert await body.read() == b"cold"
        fault = server.fail("GetObject", times=1)
        with pytest.raises(CosServiceError):
            await client.get_object(BUCKET, "k")
        assert fault.fired == 1
        server.requests.assert_count("GetObject", 1, status=500)


async def test_a_local_client_cannot_be_steered_over_http(tmp_path):
    """Nobody else on the machine has control of the server inside a client."""
    async with CosS3Client(CosConfig.local(tmp_path)) as client, aiohttp.ClientSession() as http:
        url = f"{client.local_server.url}/_emu/state"
        async with http.get(url) as answer:
            assert answer.status in {403, 404}


async def test_where_there_is_no_local_server(emulator, client, tmp_path):
    """A client of another server, or one that has not begun, says that it has none."""
    for without in (client, CosS3Client(CosConfig.local(tmp_path))):
        with pytest.raises(ClientStateError, match="there is no local server"):
            _ = without.local_server

"""A site that serves objects, once by each framework, on a real socket.

In: a client of COS. Out: a port. ``GET`` and ``HEAD /objects/KEY`` give an object, ``PUT``
stores one. The site keeps what its handlers raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from aiohttp import web
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

import aiocos.web.aiohttp
import aiocos.web.starlette
from aiocos import CosS3Client
from tests.support.leftovers import assert_nothing_left, connections_in_use

BUCKET = "examplebucket-1250000000"
MIB = 1 << 20
CONTENT = random.Random(7).randbytes(3 * MIB + 5)
PATH = "/objects/%E5%9B%BE/a%20b.bin"


async def store_example(client: CosS3Client) -> Any:
    """Store an object at PATH, with every header that is given back."""
    return await client.put_object(
        BUCKET,
        CONTENT,
        "图/a b.bin",
        ContentType="video/mp4",
        ContentDisposition="inline; filename=a.mp4",
        ContentLanguage="zh",
        CacheControl="max-age=60",
        Expires="Thu, 01 Dec 2033 16:00:00 GMT",
        Metadata={"x-cos-meta-secret": "canary"},
    )


@dataclass
class Site:
    """Where it listens, and what became of its requests."""

    client: CosS3Client
    serve: dict[str, Any] = field(default_factory=dict)
    """Keywords for ``object_response``."""
    take: dict[str, Any] = field(default_factory=lambda: {"max_bytes": 64 << 20})
    """Keywords for ``receive_object``."""
    port: int = 0
    raised: list[BaseException] = field(default_factory=list)
    under_way: int = 0

    @contextlib.contextmanager
    def _watched(self) -> Any:
        self.under_way += 1
        try:
            yield
        except BaseException as error:
            self.raised.append(error)
            raise
        finally:
            self.under_way -= 1

    async def aiohttp_object(self, request: web.Request) -> web.StreamResponse:
        with self._watched():
            place = (request, self.client, BUCKET, request.match_info["key"])
            if request.method == "PUT":
                return await aiocos.web.aiohttp.receive_object(*place, **self.take)
            return await aiocos.web.aiohttp.object_response(*place, **self.serve)

    async def starlette_object(self, request: Request) -> Response:
        place = (request, self.client, BUCKET, request.path_params["key"])
        if request.method == "PUT":
            return await aiocos.web.starlette.receive_object(*place, **self.take)
        return await aiocos.web.starlette.object_response(*place, **self.serve)


async def settled(site: Site) -> None:
    """Wait until the handlers are done, and nothing of a request to COS is left."""
    async with asyncio.timeout(10):
        while site.under_way or connections_in_use(site.client):
            await asyncio.sleep(0.005)
    assert_nothing_left(site.client)


@contextlib.asynccontextmanager
async def aiohttp_site(site: Site) -> AsyncIterator[Site]:
    app = web.Application()
    app.router.add_route("*", "/objects/{key:.*}", site.aiohttp_object)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site.port = runner.addresses[0][1]
        yield site
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def starlette_site(site: Site) -> AsyncIterator[Site]:
    methods = ["GET", "HEAD", "PUT", "DELETE"]
    inner = Starlette(routes=[Route("/objects/{key:path}", site.starlette_object, methods=methods)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with site._watched():
            await inner(scope, receive, send)

    config = uvicorn.Config(app, log_level="critical", lifespan="off", http="h11", ws="none")
    config.load()
    # Without uvicorn's own main loop, which takes a fifth of a second to end.
    state, make = ServerState(), config.http_protocol_class
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: make(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    site.port = listener.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        listener.close()
        for connection in set(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await listener.wait_closed()


SITES = {"aiohttp": aiohttp_site, "starlette": starlette_site}


@dataclass
class Got:
    """One answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    is_whole: bool
    """Whether it ended where it said that it would."""


async def head_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read the head of an answer."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split(" ")[1]), {name.lower(): text.strip() for name, _, text in pairs}


async def ask(
    site: Site,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Got:
    """Send one request, and read its answer to the end, whatever end that is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        sent = {"Host": "site", "Connection": "close", **(headers or {})}
        if body is not None and "Transfer-Encoding" not in sent:
            sent.setdefault("Content-Length", str(len(body)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))
        status, told = await head_of(reader)
        if method == "HEAD" or status in (204, 304):
            return Got(status, told, await reader.read(), True)
        try:
            if "content-length" in told:
                content = await reader.readexactly(int(told["content-length"]))
            else:
                content = b""
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    content += await reader.readexactly(size)
                    await reader.readexactly(2)
        except asyncio.IncompleteReadError as cut:
            return Got(status, told, cut.partial, False)
        except ConnectionError:
            return Got(status, told, b"", False)
        return Got(status, told, content, True)
    finally:
        writer.transport.abort()

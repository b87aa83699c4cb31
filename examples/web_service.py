"""Objects in and out over HTTP with aiohttp.web, however large, without holding one in memory.

    python examples/web_service.py [PORT]

Then open the address it prints, or ``curl -T FILE`` to another name; Ctrl-C ends it. Ranges and
conditions of the browser are understood, a slow reader slows down the read from COS, and what
is damaged on the way never ends as if it were whole.
"""

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator

from aiohttp import web

import aiocos
from aiocos.web.aiohttp import object_response, receive_object

BUCKET = "examplebucket-1250000000"
CLIENT = web.AppKey("client", aiocos.CosS3Client)


def key_of(request: web.Request) -> str:
    """Keep to one prefix: this service decides who may read and write what."""
    return f"public/{request.match_info['name']}"


async def hand_out(request: web.Request) -> web.StreamResponse:
    """Answer GET and HEAD /objects/{name}."""
    return await object_response(request, request.app[CLIENT], BUCKET, key_of(request))


async def take_in(request: web.Request) -> web.Response:
    """Store the body of PUT /objects/{name}, 100 MB at most."""
    client = request.app[CLIENT]
    return await receive_object(request, client, BUCKET, key_of(request), max_bytes=100_000_000)


async def with_client(app: web.Application) -> AsyncIterator[None]:
    """Give the service one client for its whole life."""
    with tempfile.TemporaryDirectory() as store:
        # Your own bucket: CosConfig(Region=..., SecretId=..., SecretKey=...)
        async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:
            text = "hello world\n" * 1_000_000
            await client.put_object(BUCKET, text, "public/hello.txt", ContentType="text/plain")
            app[CLIENT] = client
            yield


async def main(port: int) -> None:
    app = web.Application()
    app.cleanup_ctx.append(with_client)
    app.router.add_get("/objects/{name:.+}", hand_out)
    app.router.add_put("/objects/{name:.+}", take_in)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ended.set)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, port = runner.addresses[0][:2]
        print(f"http://{host}:{port}/objects/hello.txt", flush=True)
        await ended.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 0))

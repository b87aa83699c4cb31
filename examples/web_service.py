"""Hand objects out over HTTP, however large, without holding one in memory.

    python examples/web_service.py [PORT]

Then open the address it prints; Ctrl-C ends it. Each piece is asked for when the browser
has taken the one before: a slow reader slows down the read from COS, and nothing piles up.
"""

import asyncio
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

import aiocos

BUCKET = "examplebucket-1250000000"
CLIENT = web.AppKey("client", aiocos.CosS3Client)


async def hand_out(request: web.Request) -> web.StreamResponse:
    """Answer GET /objects/{key} with the object's bytes."""
    try:
        response = await request.app[CLIENT].get_object(BUCKET, request.match_info["key"])
    except aiocos.NotFoundError:
        return web.Response(status=404, text="there is no such object\n")
    except aiocos.CosException as error:
        return web.Response(status=502, text=f"COS does not give it: {type(error).__name__}\n")
    async with response["Body"] as body:  # closed whatever happens
        answer = web.StreamResponse()
        answer.content_type = response.get("Content-Type", "application/octet-stream")
        answer.content_length = body.length
        await answer.prepare(request)
        with suppress(ConnectionResetError):  # the browser went away
            async for piece in body:
                await answer.write(piece)  # waits until the browser has room for it
            await answer.write_eof()
    return answer


async def with_client(app: web.Application) -> AsyncIterator[None]:
    """Give the service one client for its whole life."""
    with tempfile.TemporaryDirectory() as store:
        # Your own bucket: CosConfig(Region=..., SecretId=..., SecretKey=...)
        async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:
            text = "hello world\n" * 1_000_000
            await client.put_object(BUCKET, text, "hello.txt", ContentType="text/plain")
            app[CLIENT] = client
            yield


async def main(port: int) -> None:
    app = web.Application()
    app.cleanup_ctx.append(with_client)
    app.router.add_get("/objects/{key:.+}", hand_out, allow_head=False)
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

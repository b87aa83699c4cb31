"""Objects in and out over HTTP with Starlette, however large, without holding one in memory.

    python examples/starlette_service.py [PORT]

Then open the address it prints, or ``curl -T FILE`` to another name; Ctrl-C ends it. In FastAPI
the two handlers are the same: its ``Request`` and ``Response`` are Starlette's.
"""

import contextlib
import socket
import sys
import tempfile
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import aiocos
from aiocos.web.starlette import object_response, receive_object

BUCKET = "examplebucket-1250000000"


def key_of(request: Request) -> str:
    """Keep to one prefix: this service decides who may read and write what."""
    return f"public/{request.path_params['name']}"


async def hand_out(request: Request) -> Response:
    """Answer GET and HEAD /objects/{name}."""
    return await object_response(request, request.state.client, BUCKET, key_of(request))


async def take_in(request: Request) -> Response:
    """Store the body of PUT /objects/{name}, 100 MB at most."""
    client = request.state.client
    return await receive_object(request, client, BUCKET, key_of(request), max_bytes=100_000_000)


@contextlib.asynccontextmanager
async def with_client(app: Starlette) -> AsyncIterator[dict[str, aiocos.CosS3Client]]:
    """Give the service one client for its whole life."""
    with tempfile.TemporaryDirectory() as store:
        # Your own bucket: CosConfig(Region=..., SecretId=..., SecretKey=...)
        async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:
            text = "hello world\n" * 1_000_000
            await client.put_object(BUCKET, text, "public/hello.txt", ContentType="text/plain")
            yield {"client": client}


app = Starlette(
    lifespan=with_client,
    routes=[
        Route("/objects/{name:path}", hand_out, methods=["GET"]),
        Route("/objects/{name:path}", take_in, methods=["PUT"]),
    ],
)


def main(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listening:
        host, port = listening.getsockname()
        print(f"http://{host}:{port}/objects/hello.txt", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        with contextlib.suppress(KeyboardInterrupt):
            server.run([listening])


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 0)

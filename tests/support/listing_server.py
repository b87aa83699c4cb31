"""A server whose buckets hold as many objects as their names say: ``million-1000000``.

In: requests for listings. Out: pages of keys such as ``a/0000000`` in order; in a bucket that
ends in ``9`` objects have another size. It keeps nothing. ``SCRIPT`` is it as a program, for
``server_process``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

SCRIPT = """
import asyncio
from tests.support.listing_server import main

asyncio.run(main())
"""
_ITEM = (
    "<Contents><Key>{}{:07}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;00000000000000000000000000000000&quot;</ETag><Size>{}</Size></Contents>"
)


def page(host: str, query: dict[str, list[str]]) -> bytes:
    """One page of a listing."""
    count = int(host.partition(".")[0].rpartition("-")[2])
    prefix = query.get("prefix", [""])[0]
    marker = query.get("marker", [""])[0]
    first = int(marker[-7:]) + 1 if marker else 0
    last = min(count, first + 1000)
    items = "".join(_ITEM.format(prefix, number, count % 10) for number in range(first, last))
    more = "true" if last < count else "false"
    return f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{items}</ListBucketResult>".encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection."""
    try:
        while True:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            host = next(line[5:].strip() for line in lines if line.lower().startswith("host:"))
            body = page(host, parse_qs(urlsplit(first.split(" ")[1]).query))
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}x-cos-request-id: none\r\n\r\n".encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The client has hung up.
    finally:
        writer.transport.abort()


async def main() -> None:
    """Serve until standard input ends."""
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    place = {"Scheme": "http", "IP": "127.0.0.1", "Port": port}
    keys = {"Region": "ap-guangzhou", "SecretId": "AKIDexample", "SecretKey": "example"}
    print(json.dumps(place | keys), flush=True)
    await asyncio.to_thread(sys.stdin.read)

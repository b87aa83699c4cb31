"""A server of zeros: objects of any size that take no room, and uploads that are forgotten.

In: requests as COS takes them. Out: what COS answers where all content is zeros, checksums
included, and an account of how many requests were under way at once. The key says how large
an object is: ``zeros-1048576``; of an upload under ``listed-...`` every part is there
already. It hashes nothing and keeps nothing, so that it is never the slower side.

``SCRIPT`` is it as a program, for ``server_process``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from collections import Counter
from functools import cache
from urllib.parse import parse_qs, urlsplit

import anycrc

BLOCK = 1 << 20
ZEROS = bytes(BLOCK)
SCRIPT = """
import asyncio, sys
from tests.support.sparse_server import main

asyncio.run(main(float(sys.argv[1]) if sys.argv[1:] else 0.0))
"""
_CRC64 = anycrc.Model("CRC64-XZ")


@cache
def crc_of_zeros(size: int) -> int:
    """CRC-64 of so many zeros, without going through them."""
    if size <= BLOCK:
        return int(_CRC64.calc(ZEROS[:size]))
    half = size // 2
    return int(_CRC64.combine(crc_of_zeros(size - half), crc_of_zeros(half), half))


@cache
def md5_of_zeros(size: int) -> str:
    """MD5 of so many zeros, in hex."""
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, size, BLOCK):
        digest.update(ZEROS[: size - start])
    return digest.hexdigest()


def size_of(path: str) -> int:
    """The size that a key tells of."""
    match = re.search(r"-(\d+)$", path)
    return int(match[1]) if match else 0


class SparseServer:
    """What it was asked, and answers to it."""

    def __init__(self, wait_s: float) -> None:
        self.most: Counter[str] = Counter()
        self._wait_s = wait_s
        self._now: Counter[str] = Counter()
        self._sizes: dict[str, dict[int, int]] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client has hung up.
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query, True).items()}
        is_data = (method == "PUT") or (method == "GET" and not query and url.path != "/stats")
        kinds = ["all", "data"] if is_data else ["all"]
        for kind in kinds:
            self._now[kind] += 1
            self.most[kind] = max(self.most[kind], self._now[kind])
        try:
            body = await _body(reader, headers, method)
            await asyncio.sleep(self._wait_s)
            await self._answer(writer, method, url.path, query, headers, body)
        finally:
            self._now.subtract(kinds)

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: tuple[int, bytes],
    ) -> None:
        if path == "/stats":
            await _reply(writer, {}, json.dumps(self.most).encode())
        elif method == "POST" and "uploads" in query:
            upload = f"upload{len(self._sizes)}"
            self._sizes[upload] = {}
            text = f"<UploadId>{upload}</UploadId>"
            await _reply(writer, {}, _xml("InitiateMultipartUploadResult", text))
        elif method == "POST":
            sizes = self._sizes[query["uploadId"]]
            size = size_of(path) if "listed-" in path else sum(sizes.values())
            text = "<ETag>&quot;done&quot;</ETag>"
            crc = {"x-cos-hash-crc64ecma": str(crc_of_zeros(size))}
            await _reply(writer, crc, _xml("CompleteMultipartUploadResult", text))
        elif method == "PUT":
            size, _ = body
            if "uploadId" in query:
                self._sizes[query["uploadId"]][int(query["partNumber"])] = size
            await _reply(writer, _facts(size), b"")
        elif method == "GET" and "uploadId" in query:
            await _reply(writer, {}, _parts(size_of(path) // BLOCK, query))
        elif method in {"HEAD", "GET"}:
            await _object(writer, method, size_of(path), headers.get("range"))
        else:
            await _reply(writer, {}, b"")


async def _body(
    reader: asyncio.StreamReader, headers: dict[str, str], method: str
) -> tuple[int, bytes]:
    left = size = int(headers.get("content-length", 0))
    kept = b""
    while left:
        piece = await reader.read(min(left, BLOCK))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        if method == "POST":
            kept += piece
        elif piece.strip(b"\0"):
            raise ConnectionError("not zeros")
    return size, kept


def _facts(size: int) -> dict[str, str]:
    return {"ETag": f'"{md5_of_zeros(size)}"', "x-cos-hash-crc64ecma": str(crc_of_zeros(size))}


def _xml(root: str, text: str) -> bytes:
    return f"<{root}>{text}</{root}>".encode()


def _parts(count: int, query: dict[str, str]) -> bytes:
    """One page of parts of 1 MiB, as if all had arrived."""
    first = int(query.get("part-number-marker", 0)) + 1
    last = min(count, first + int(query.get("max-parts", 1000)) - 1)
    etag = f"&quot;{md5_of_zeros(BLOCK)}&quot;"
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><Size>{BLOCK}</Size><ETag>{etag}</ETag></Part>"
        for number in range(first, last + 1)
    )
    more = f"<IsTruncated>{str(last < count).lower()}</IsTruncated>"
    return _xml(
        "ListPartsResult", f"{more}<NextPartNumberMarker>{last}</NextPartNumberMarker>{parts}"
    )


async def _reply(
    writer: asyncio.StreamWriter, headers: dict[str, str], body: bytes, status: str = "200 OK"
) -> None:
    told = {"Content-Length": str(len(body)), "x-cos-request-id": "none"} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    writer.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)
    await writer.drain()


async def _object(writer: asyncio.StreamWriter, method: str, size: int, asked: str | None) -> None:
    first, last, status = 0, size - 1, "200 OK"
    headers = {"ETag": '"zeros-1"', "x-cos-hash-crc64ecma": str(crc_of_zeros(size))}
    if asked:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        assert match
        first, last, status = int(match[1]), int(match[2]), "206 Partial Content"
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    left = last - first + 1
    await _reply(writer, headers | {"Content-Length": str(left)}, b"", status)
    while method == "GET" and left:
        writer.write(ZEROS[:left])
        left -= min(left, BLOCK)
        await writer.drain()


async def main(wait_s: float) -> None:
    """Serve until standard input ends."""
    server = SparseServer(wait_s)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=4 * BLOCK)
    port = listener.sockets[0].getsockname()[1]
    place = {"Scheme": "http", "IP": "127.0.0.1", "Port": port}
    keys = {"Region": "ap-guangzhou", "SecretId": "AKIDexample", "SecretKey": "example"}
    print(json.dumps(place | keys), flush=True)
    await asyncio.to_thread(sys.stdin.read)

"""aiohttp by hand, as one writes it first: no signature, no checks, a part as one bytes object."""

from __future__ import annotations

import os
import ssl

import aiohttp
from lxml import etree
from yarl import URL

from tests.benchmarks.job import BUCKET
from tests.benchmarks.peers.base import AsyncPeer, spans


class Adapter(AsyncPeer):
    """One session."""

    async def setup(self) -> None:
        trust = ssl.create_default_context(cafile=self.job.authority) if self.job.tls else True
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.job.pool, ssl=trust),
            timeout=aiohttp.ClientTimeout(total=None),
            raise_for_status=True,
        )

    def url(self, target: str) -> URL:
        return URL(f"{self.job.url}/{BUCKET}/{target}", encoded=True)

    async def upload(self, path: str, key: str) -> None:
        async with self.session.post(self.url(f"{key}?uploads")) as begun:
            upload = etree.fromstring(await begun.read()).findtext("UploadId")
        parts = spans(os.path.getsize(path), self.job.part_size)
        etags = [""] * len(parts)
        file = os.open(path, os.O_RDONLY)

        async def send(number: int) -> None:
            start, length = parts[number]
            url = self.url(f"{key}?partNumber={number + 1}&uploadId={upload}")
            async with self.session.put(url, data=os.pread(file, length, start)) as sent:
                etags[number] = sent.headers["ETag"]

        await self.run_all(lambda n=n: send(n) for n in range(len(parts)))
        os.close(file)
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        async with self.session.post(self.url(f"{key}?uploadId={upload}"), data=body) as done:
            await done.read()

    async def download(self, key: str, size: int, path: str) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        async def fetch(start: int, length: int) -> None:
            headers = {"Range": f"bytes={start}-{start + length - 1}"}
            async with self.session.get(self.url(key), headers=headers) as response:
                async for chunk in response.content.iter_any():
                    os.pwrite(file, chunk, start)
                    start += len(chunk)

        parts = spans(size, self.job.part_size)
        await self.run_all(lambda p=p: fetch(*p) for p in parts)
        os.close(file)

    async def put(self, key: str, data: bytes) -> None:
        async with self.session.put(self.url(key), data=data):
            pass

    async def get(self, key: str) -> bytes:
        async with self.session.get(self.url(key)) as response:
            return await response.read()

    async def list(self, prefix: str) -> tuple[int, int]:
        keys = size = 0
        marker: str | None = ""
        while marker is not None:
            target = f"?prefix={prefix}&max-keys=1000&marker={marker}"
            async with self.session.get(self.url(target)) as response:
                root = etree.fromstring(await response.read())
            for item in root.iterfind("Contents"):
                found = {child.tag: child.text for child in item}
                keys += 1
                size += int(found["Size"])
            marker = root.findtext("NextMarker")
        return keys, size

"""obstore, S3 by Rust's object_store; bodies are not signed, certificates are not verified.

Its ``put`` sends a file in parts; ranges come down with ``get_range``, one call for each part.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from tests.benchmarks.job import BUCKET, REGION, SECRET_ID, SECRET_KEY
from tests.benchmarks.peers.base import AsyncPeer, spans


class Adapter(AsyncPeer):
    """One store."""

    async def setup(self) -> None:
        self.store = S3Store(
            BUCKET,
            endpoint=self.job.url,
            access_key_id=SECRET_ID,
            secret_access_key=SECRET_KEY,
            region=REGION,
            virtual_hosted_style_request=False,
            unsigned_payload=True,
            client_options={"allow_http": True, "allow_invalid_certificates": self.job.tls},
        )

    async def upload(self, path: str, key: str) -> None:
        parts: dict[str, Any] = {}
        if self.job.concurrency is not None:
            parts = {"chunk_size": self.job.part_size, "max_concurrency": self.job.concurrency}
        await obstore.put_async(self.store, key, Path(path), use_multipart=True, **parts)

    async def download(self, key: str, size: int, path: str) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        async def fetch(start: int, length: int) -> None:
            os.pwrite(
                file,
                await obstore.get_range_async(self.store, key, start=start, length=length),
                start,
            )

        if self.job.concurrency is None:
            await self._stream(key, file)
        else:
            parts = spans(size, self.job.part_size)
            await self.run_all(lambda p=p: fetch(*p) for p in parts)
        os.close(file)

    async def _stream(self, key: str, file: int) -> None:
        response = await obstore.get_async(self.store, key)
        async for piece in response.stream():
            os.write(file, piece)

    async def put(self, key: str, data: bytes) -> None:
        await obstore.put_async(self.store, key, data, use_multipart=False)

    async def get(self, key: str) -> bytes:
        response = await obstore.get_async(self.store, key)
        return bytes(await response.bytes_async())

    async def list(self, prefix: str) -> tuple[int, int]:
        keys = size = 0
        async for page in obstore.list(self.store, prefix.rstrip("/"), chunk_size=1000):
            keys += len(page)
            size += sum(item["size"] for item in page)
        return keys, size

"""OpenDAL's ``cos`` service.

It moves one part at a time unless ``chunk`` and ``concurrent`` are given.

The service puts the bucket in front of the endpoint: bucket ``127`` of ``0.0.1`` is this machine.
"""

from __future__ import annotations

import os
from typing import Any

import opendal

from tests.benchmarks.job import SECRET_ID, SECRET_KEY
from tests.benchmarks.peers.base import AsyncPeer


class Adapter(AsyncPeer):
    """One operator; what it reads and writes passes through Python, as its files do."""

    async def setup(self) -> None:
        if self.job.tls:
            os.environ["SSL_CERT_FILE"] = self.job.authority
        bucket, rest = self.job.host.split(".", 1)
        self.operator = opendal.AsyncOperator(
            "cos",
            bucket=bucket,
            endpoint=f"{self.job.scheme}://{rest}",
            secret_id=SECRET_ID,
            secret_key=SECRET_KEY,
            disable_config_load="true",
            root="/",
        )
        self.parts: dict[str, Any] = {}
        if self.job.concurrency is not None:
            self.parts = {"chunk": self.job.part_size, "concurrent": self.job.concurrency}

    async def upload(self, path: str, key: str) -> None:
        writer = await self.operator.open(key, "wb", **self.parts)
        with open(path, "rb", buffering=0) as source:
            while piece := source.read(self.job.part_size):
                await writer.write(piece)
        await writer.close()

    async def download(self, key: str, size: int, path: str) -> None:
        reader = await self.operator.open(key, "rb", **self.parts)
        with open(path, "wb", buffering=0) as target:
            while piece := await reader.read(self.job.part_size):
                target.write(piece)
        await reader.close()

    async def put(self, key: str, data: bytes) -> None:
        await self.operator.write(key, data)

    async def get(self, key: str) -> bytes:
        return bytes(await self.operator.read(key))

    async def list(self, prefix: str) -> tuple[int, int]:
        keys = size = 0
        async for entry in await self.operator.list(prefix, recursive=True):
            keys += 1
            size += entry.metadata.content_length
        return keys, size

"""aiocos by its public methods; its checks cannot be turned off."""

from __future__ import annotations

from typing import Any

import aiocos
from tests.benchmarks.job import BUCKET, MIB, REGION, SECRET_ID, SECRET_KEY
from tests.benchmarks.peers.base import AsyncPeer


class Adapter(AsyncPeer):
    """One client; ``PartSize`` is in MiB."""

    async def setup(self) -> None:
        verify: dict[str, Any] = {"VerifySSL": self.job.authority} if self.job.tls else {}
        config = aiocos.CosConfig(
            Region=REGION,
            SecretId=SECRET_ID,
            SecretKey=SECRET_KEY,
            Scheme="https" if self.job.tls else "http",
            Domain=self.job.host,
            PoolMaxSize=self.job.pool,
            **verify,
        )
        self.client = await aiocos.CosS3Client(config).__aenter__()
        workers = self.job.concurrency
        self.parts: dict[str, Any] = {}
        if workers is not None:
            self.parts = {"PartSize": max(1, self.job.part_size // MIB), "MAXThread": workers}

    async def upload(self, path: str, key: str) -> None:
        await self.client.upload_file(BUCKET, key, path, **self.parts)

    async def download(self, key: str, size: int, path: str) -> None:
        await self.client.download_file(BUCKET, key, path, **self.parts)

    async def put(self, key: str, data: bytes) -> None:
        await self.client.put_object(BUCKET, data, key)

    async def get(self, key: str) -> bytes:
        response = await self.client.get_object(BUCKET, key)
        return await response["Body"].read()

    async def list(self, prefix: str) -> tuple[int, int]:
        keys = size = 0
        async for item in self.client.iter_objects(BUCKET, Prefix=prefix):
            keys += 1
            size += int(item["Size"])
        return keys, size

    async def upload_dir(self, root: str, prefix: str) -> None:
        if self.options.get("sync"):
            await self.client.sync(root, f"cos://{BUCKET}/{prefix}")
        else:
            await self.client.upload_dir(BUCKET, prefix, root, MAXThread=self.job.concurrency)

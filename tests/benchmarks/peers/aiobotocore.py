"""aiobotocore: botocore over aiohttp. It has no transfer manager, so parts are sent by hand."""

from __future__ import annotations

import os

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.benchmarks.job import BUCKET
from tests.benchmarks.peers import boto
from tests.benchmarks.peers.base import AsyncPeer, spans

STEP = 256 * 1024


class Adapter(AsyncPeer):
    """One client."""

    async def setup(self) -> None:
        settings = AioConfig(**boto.config(self.job))
        made = get_session().create_client("s3", config=settings, **boto.client(self.job))
        self.client = await made.__aenter__()

    async def upload(self, path: str, key: str) -> None:
        where = {"Bucket": BUCKET, "Key": key}
        begun = await self.client.create_multipart_upload(**where)
        where["UploadId"] = begun["UploadId"]
        parts = spans(os.path.getsize(path), self.job.part_size)
        etags = [""] * len(parts)
        file = os.open(path, os.O_RDONLY)

        async def send(number: int) -> None:
            start, length = parts[number]
            sent = await self.client.upload_part(
                **where, PartNumber=number + 1, Body=os.pread(file, length, start)
            )
            etags[number] = sent["ETag"]

        await self.run_all(lambda n=n: send(n) for n in range(len(parts)))
        os.close(file)
        listed = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
        await self.client.complete_multipart_upload(**where, MultipartUpload={"Parts": listed})

    async def download(self, key: str, size: int, path: str) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

        async def fetch(start: int, length: int) -> None:
            response = await self.client.get_object(
                Bucket=BUCKET, Key=key, Range=f"bytes={start}-{start + length - 1}"
            )
            async for chunk in response["Body"].iter_chunks(STEP):
                os.pwrite(file, chunk, start)
                start += len(chunk)

        parts = spans(size, self.job.part_size)
        await self.run_all(lambda p=p: fetch(*p) for p in parts)
        os.close(file)

    async def put(self, key: str, data: bytes) -> None:
        await self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    async def get(self, key: str) -> bytes:
        response = await self.client.get_object(Bucket=BUCKET, Key=key)
        async with response["Body"] as body:
            return await body.read()

    async def list(self, prefix: str) -> tuple[int, int]:
        keys = size = 0
        pages = self.client.get_paginator("list_objects_v2")
        async for page in pages.paginate(Bucket=BUCKET, Prefix=prefix):
            keys += len(page.get("Contents", ()))
            size += sum(item["Size"] for item in page.get("Contents", ()))
        return keys, size

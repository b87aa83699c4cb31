"""boto3 with s3transfer, in threads."""

from __future__ import annotations

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from tests.benchmarks.job import BUCKET
from tests.benchmarks.peers import boto
from tests.benchmarks.peers.base import ThreadPeer


class Adapter(ThreadPeer):
    """One client, the classic transfer manager."""

    def setup(self) -> None:
        settings = Config(**boto.config(self.job))
        self.client = boto3.client("s3", config=settings, **boto.client(self.job))
        if self.job.concurrency is None:
            self.transfers = TransferConfig()
        else:
            self.transfers = TransferConfig(
                multipart_threshold=self.job.part_size,
                multipart_chunksize=self.job.part_size,
                max_concurrency=self.job.concurrency,
                preferred_transfer_client="classic",
            )

    def upload(self, path: str, key: str) -> None:
        self.client.upload_file(path, BUCKET, key, Config=self.transfers)

    def download(self, key: str, size: int, path: str) -> None:
        self.client.download_file(BUCKET, key, path, Config=self.transfers)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def list(self, prefix: str) -> tuple[int, int]:
        keys = size = 0
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=BUCKET, Prefix=prefix):
            keys += len(page.get("Contents", ()))
            size += sum(item["Size"] for item in page.get("Contents", ()))
        return keys, size

"""Tencent's own SDK: requests in threads. Its checks are off unless asked for."""

from __future__ import annotations

import logging
import tempfile
from typing import Any

from qcloud_cos import CosConfig, CosS3Client

from tests.benchmarks.job import BUCKET, MIB, REGION, SECRET_ID, SECRET_KEY
from tests.benchmarks.peers.base import ThreadPeer


class Adapter(ThreadPeer):
    """One client."""

    def setup(self) -> None:
        logging.getLogger("qcloud_cos").setLevel(logging.ERROR)
        host, port = self.job.host.split(":")
        config = CosConfig(
            Region=REGION,
            SecretId=SECRET_ID,
            SecretKey=SECRET_KEY,
            Scheme=self.job.scheme,
            IP=host,
            Port=int(port),
            PoolMaxSize=self.job.pool,
            VerifySSL=self.job.authority if self.job.tls else None,
        )
        self.client = CosS3Client(config)
        self.parts: dict[str, Any] = {}
        if self.job.concurrency is not None:
            self.parts = {
                "PartSize": max(1, self.job.part_size // MIB),
                "MAXThread": self.job.concurrency,
            }

    def upload(self, path: str, key: str) -> None:
        checks = bool(self.options.get("checks"))
        self.client.upload_file(
            Bucket=BUCKET, Key=key, LocalFilePath=path, EnableMD5=checks, **self.parts
        )

    def download(self, key: str, size: int, path: str) -> None:
        checks = bool(self.options.get("checks"))
        with tempfile.TemporaryDirectory() as records:
            self.client.download_file(
                Bucket=BUCKET,
                Key=key,
                DestFilePath=path,
                EnableCRC=checks,
                DumpRecordDir=records,
                **self.parts,
            )

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].get_raw_stream().read()

    def list(self, prefix: str) -> tuple[int, int]:
        keys = size = 0
        marker = ""
        while marker is not None:
            page = self.client.list_objects(Bucket=BUCKET, Prefix=prefix, Marker=marker)
            keys += len(page.get("Contents", ()))
            size += sum(int(item["Size"]) for item in page.get("Contents", ()))
            marker = page.get("NextMarker")
        return keys, size

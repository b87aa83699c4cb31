"""awscrt's S3 client, in C from file to socket; only whole files."""

from __future__ import annotations

import os
from typing import Any

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import (
    ClientBootstrap,
    ClientTlsContext,
    DefaultHostResolver,
    EventLoopGroup,
    TlsContextOptions,
)
from awscrt.s3 import (
    S3Client,
    S3RequestTlsMode,
    S3RequestType,
    create_default_s3_signing_config,
)

from tests.benchmarks.job import BUCKET, REGION, SECRET_ID, SECRET_KEY
from tests.benchmarks.peers.base import Peer


class Adapter(Peer):
    """One client; the number of connections is an override of its own guess."""

    def setup(self) -> None:
        loops = EventLoopGroup(os.cpu_count())
        keys = AwsCredentialsProvider.new_static(SECRET_ID, SECRET_KEY)
        parts: dict[str, Any] = {}
        if self.job.concurrency is not None:
            parts = {
                "part_size": self.job.part_size,
                "multipart_upload_threshold": self.job.part_size,
                "max_active_connections_override": self.job.concurrency,
            }
        self.client = S3Client(
            bootstrap=ClientBootstrap(loops, DefaultHostResolver(loops)),
            region=REGION,
            signing_config=create_default_s3_signing_config(
                region=REGION, credential_provider=keys
            ),
            **parts,
            **self._tls(),
        )

    def _tls(self) -> dict[str, Any]:
        if not self.job.tls:
            return {"tls_mode": S3RequestTlsMode.DISABLED}
        options = TlsContextOptions()
        options.override_default_trust_store_from_path(ca_filepath=self.job.authority)
        connection = ClientTlsContext(options).new_connection_options()
        return {"tls_mode": S3RequestTlsMode.ENABLED, "tls_connection_options": connection}

    def _request(self, method: str, key: str, *headers: tuple[str, str]) -> HttpRequest:
        fields = HttpHeaders([("host", self.job.host), *headers])
        return HttpRequest(method, f"/{BUCKET}/{key}", fields)

    def upload(self, path: str, key: str) -> None:
        request = self._request("PUT", key, ("content-length", str(os.path.getsize(path))))
        self.client.make_request(
            type=S3RequestType.PUT_OBJECT, request=request, send_filepath=path
        ).finished_future.result(600)

    def download(self, key: str, size: int, path: str) -> None:
        self.client.make_request(
            type=S3RequestType.GET_OBJECT, request=self._request("GET", key), recv_filepath=path
        ).finished_future.result(600)

"""The server: how it is set up, what it tells, how it ends.

In: a port, credentials, buckets, faults. Out: a COS on loopback, and an account of what
was asked of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from . import buckets, versions
from .auth import Credential, Keyring
from .blobs import BlobStore
from .clock import Clock
from .configurations import Configurations
from .database import Database, Job
from .errors import CosError
from .expiring import Sweeper
from .faults import SELECTORS, Fault, FaultBook, FaultRule
from .handling import Handler
from .journal import Journal, RequestRecord
from .records import Bucket, Version
from .routing import Hosts
from .sending import Ids, refusal
from .wire import Limits, Services

log = logging.getLogger("aiocos.emulator")

_SHUTDOWN_S = 2.0


class _Connection(web.RequestHandler):
    """A connection whose broken requests get an answer of COS, and no line in the log.

    What is broken may hold a secret.
    """

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        self.log_exception()
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun already.")
        error = CosError("InvalidRequest" if status == 400 else "InternalError", status=status)
        ids = Ids.new(time.time())
        reply = refusal(error, request.raw_path, ids)
        response = web.Response(status=status, body=reply.body, headers=reply.headers)
        response.headers["x-cos-request-id"] = ids.request
        response.force_close()
        return response

    def log_exception(self, *_args: object, **_kwargs: object) -> None:
        kind = sys.exc_info()[0]
        log.error("a request broke: %s", kind.__name__ if kind is not None else "not HTTP")


class _Refusing(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (create_server makes these)
        transport.abort()


class CosEmulator:
    """A local COS.

    Without ``data`` everything is kept in a temporary directory and removed in the end;
    with it, what was acknowledged survives a crash. Without credentials they are made up,
    and kept with the data.
    ``hosts`` are further names to answer to, by path or with the bucket in front;
    ``domains`` map a name to a bucket. ``anonymous`` turns off the check of signatures,
    on loopback only.
    """

    def __init__(
        self,
        data: Path | str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        secret_id: str | None = None,
        secret_key: str | None = None,
        region: str = "ap-guangzhou",
        appid: str = "1250000000",
        buckets: Iterable[str] = ("examplebucket-1250000000",),
        min_part_size: int = 1 << 20,
        faults: Iterable[FaultRule] = (),
        hosts: Iterable[str] = (),
        domains: Mapping[str, str] | None = None,
        anonymous: bool = False,
        limits: Limits | None = None,
    ) -> None:
        if not _is_loopback(host):
            if anonymous:
                raise ValueError("Anonymous mode is for loopback only.")
            log.warning("listening on %s: reachable from other machines", host)
        self.host, self.port, self.region, self.appid = host, port, region, appid
        self._data = None if data is None else Path(data)
        kept_id, kept_key = _kept_pair(self._data)
        self.secret_id, self.secret_key = secret_id or kept_id, secret_key or kept_key
        self.clock = Clock()
        self._first_buckets = tuple(buckets)
        self._limits = limits or Limits(min_part_size=min_part_size)
        self._hosts = Hosts(hosts, domains)
        self._keyring = Keyring(open_to=appid if anonymous else None)
        self.add_credentials(self.secret_id, self.secret_key)
        self._faults = FaultBook(faults)
        self._journal = Journal()
        self._is_closing = False

    # -- life

    async def start(self) -> Self:
        self._root = self._data or Path(tempfile.mkdtemp(prefix="cos-emulator-"))
        self._services = await asyncio.to_thread(self._open_store)
        try:
            for name in self._first_buckets:
                await self.create_bucket(name)
            await self._listen()
        except BaseException:
            self._close_store()
            raise
        return self

    async def _listen(self) -> None:
        handler = Handler(
            services=self._services,
            keyring=self._keyring,
            faults=self._faults,
            journal=self._journal,
            is_closing=lambda: self._is_closing,
        )
        self._http = web.Server(handler.handle)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._accept, self.host, self.port, backlog=1024)
        self.port = self._listener.sockets[0].getsockname()[1]

    def _open_store(self) -> Services:
        durable = self._data is not None
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        blobs = BlobStore(self._root, durable=durable)
        try:
            database = Database(self._root / "metadata.sqlite", blobs, durable=durable)
        except RuntimeError:
            blobs.close()
            raise
        known, configurations = database.run_now(buckets.load), Configurations()
        database.run_now(configurations.load)
        return Services(
            database,
            blobs,
            self.clock,
            self._limits,
            self.region,
            self._hosts,
            known,
            configurations,
            Sweeper(database, configurations, self.clock),
            self._keyring,
        )

    def _accept(self) -> asyncio.Protocol:
        if len(self._http.connections) >= self._limits.max_connections:
            return _Refusing()
        return _Connection(
            self._http,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # its lines would show presigned URLs
            auto_decompress=False,
            keepalive_timeout=self._limits.idle_s,
            max_line_size=self._limits.max_header_size,
            max_field_size=self._limits.max_header_size,
            max_headers=1000,
            read_bufsize=256 * 1024,
        )

    async def close(self) -> None:
        self._is_closing = True
        self._listener.close()
        self._http.pre_shutdown()
        await self._http.shutdown(_SHUTDOWN_S)
        await self._listener.wait_closed()
        await asyncio.to_thread(self._close_store)

    def _close_store(self) -> None:
        self._services.database.close()
        self._services.blobs.close()
        if self._data is None:
            shutil.rmtree(self._root)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # -- how to reach it

    @property
    def endpoint(self) -> str:
        """Address and port, as a client on this machine reaches them."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "localhost") else self.host  # noqa: S104
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.endpoint}"

    def settings(self) -> dict[str, Any]:
        """Keywords for a client's ``CosConfig``."""
        return {
            "Region": self.region,
            "SecretId": self.secret_id,
            "SecretKey": self.secret_key,
            "Scheme": "http",
            "IP": self.endpoint.rpartition(":")[0],
            "Port": self.port,
            "ServiceDomain": self.endpoint,
        }

    def add_credentials(
        self,
        secret_id: str,
        secret_key: str,
        token: str | None = None,
        expires: float | None = None,
        appid: str | None = None,
    ) -> None:
        """Accept one more key pair; ``expires`` is Unix time by ``clock.now()``.

        Pairs of another ``appid`` are another account, which does not own our buckets.
        """
        owner = appid or self.appid
        self._keyring.add(Credential(secret_id, secret_key, owner, token or "", expires))

    def credential(self, secret_id: str) -> Credential | None:
        """What this server knows under a key id."""
        return self._keyring.find(secret_id)

    # -- faults

    def add_fault(self, rule: FaultRule) -> Fault:
        """Put a rule in force; what is returned counts how often it fired."""
        return self._faults.add(rule)

    def fail(self, operation: str = "*", **rule: Any) -> Fault:
        """Put a rule in force that answers 500, unless told otherwise."""
        if set(rule) <= SELECTORS:
            rule["status"] = 500
        return self.add_fault(FaultRule(operation=operation, **rule))

    def heal(self) -> None:
        """Drop all rules."""
        self._faults.heal()

    # -- what happened

    @property
    def requests(self) -> list[RequestRecord]:
        """The requests so far, oldest first."""
        return list(self._journal.records)

    def count(self, operation: str, status: int | None = None) -> int:
        """How many requests there were, or how many were answered with this status."""
        return self._journal.count(operation, status)

    def forget_requests(self) -> None:
        self._journal.clear()

    # -- what is stored, without a client

    async def create_bucket(self, name: str, *, acl: str = "private") -> None:
        """Make sure there is such a bucket, of this server's own account."""
        if name in self._services.buckets:
            return
        now = int(self.clock.now())
        bucket = Bucket(name, self.appid, self.region, now, acl, "")
        await self._services.database.run(buckets.create, bucket)
        self._services.buckets[name] = bucket

    async def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object."""
        blob = await self._services.blobs.store(content)
        new = Version(
            bucket=bucket,
            key=key,
            modified=int(self.clock.now()),
            size=blob.size,
            etag=blob.md5,
            crc=blob.crc,
            layout=blob.layout,
        )
        await self._services.database.run(versions.save, new)

    async def read(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        database, blobs = self._services.database, self._services.blobs
        await self._services.sweeper.settle(bucket)
        version = await database.run(versions.find, bucket, key)
        try:
            return b"".join([piece async for piece in blobs.read(version.layout)])
        finally:
            database.release(version.layout)

    async def uploads(self, bucket: str) -> list[tuple[str, str]]:
        """Key and id of each multipart upload under way, oldest first."""
        await self._services.sweeper.settle(bucket)
        return await self._services.database.run(_uploads, bucket)


def _uploads(job: Job, bucket: str) -> list[tuple[str, str]]:
    rows = job.rows("SELECT key, id FROM uploads WHERE bucket = ? ORDER BY row", bucket)
    return [(key.decode(), identity) for key, identity in rows]


def _kept_pair(data: Path | None) -> tuple[str, str]:
    """The key pair of a directory, made up when it is new, so that a restart keeps it."""
    made = (f"AKID{secrets.token_hex(16)}", secrets.token_urlsafe(24))
    if data is None:
        return made
    path = data / "credentials.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return str(kept["secret_id"]), str(kept["secret_key"])
    except FileNotFoundError:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (ValueError, KeyError, TypeError):
        log.warning("%s cannot be read: a new key pair is made", path)
        path.unlink()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        json.dump(dict(zip(("secret_id", "secret_key"), made, strict=True)), stream)
    return made


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

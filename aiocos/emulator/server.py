"""The server: how it is set up, what it tells, how it ends.

In: a port, credentials, buckets, faults. Out: a COS on loopback, and an account of what
was asked of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from . import buckets, readable, versions
from .auth import Credential, Keyring
from .blobs import BlobStore
from .clock import Clock
from .configurations import Configurations
from .connections import Doors
from .console import Console
from .database import Database, Job
from .expiring import Sweeper
from .faults import SELECTORS, Fault, FaultBook, FaultRule
from .handling import Handler
from .journal import Journal, RequestRecord
from .records import Bucket, Version
from .routing import Hosts, is_loopback
from .wire import Limits, Services

log = logging.getLogger("aiocos.emulator")

_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared with, not bound)
_NEAR = _ALL | {"localhost": "127.0.0.1"}
"""Where this machine reaches a server that listens there. One name can be two addresses."""


class CosEmulator:
    """A local COS.

    Without ``data`` everything is kept in a temporary directory and removed in the end;
    with it, what was acknowledged survives a crash. Without credentials they are made up,
    and kept with the data.
    ``hosts`` are further names to answer to, by path or with the bucket in front;
    ``domains`` map a name to a bucket. ``anonymous`` turns off the check of signatures,
    on loopback only. With ``tls`` it is reached over https as well, on ``tls_port``.
    ``console`` says whether there is a web console; if it does not, there is one on loopback.
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
        tls: bool = False,
        tls_port: int = 0,
        console: bool | None = None,
    ) -> None:
        if not is_loopback(host):
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
        hosts = tuple(hosts)
        self._hosts = Hosts(hosts, domains)
        self._names = (*hosts, *(domains or {}))
        self._has_tls, self.tls_port = tls, tls_port
        self.console, self.is_anonymous, self.began = console, anonymous, time.time()
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
        serving = await asyncio.to_thread(self._prepare_tls) if self._has_tls else None
        self._doors = doors = Doors(self._limits, self._faults, serving)
        handler = Handler(
            services=self._services,
            keyring=self._keyring,
            faults=self._faults,
            journal=self._journal,
            is_closing=lambda: self._is_closing,
            tunnel=doors.tunnel,
        )
        self._web = Console(self, self._services, self._hosts)
        aside = [] if self.console is False else [self._web]

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            for other in aside:
                if other.concerns(request):
                    return await other.answer(request)
            return await handler.handle(request)

        host = self.host if self.host in _ALL else _NEAR.get(self.host, self.host)
        opened = await doors.open(handle, host, self.port, self.tls_port)
        self.port, self.tls_port = opened

    def _prepare_tls(self) -> ssl.SSLContext:
        from . import trust  # noqa: PLC0415  (it brings cryptography, which only TLS needs)

        names = [self.host, *self._names] if self.host not in _ALL else self._names
        wanted = trust.names(self.region, names, self._services.buckets)
        return trust.keep(self._root / "tls", wanted).serving()

    def _open_store(self) -> Services:
        durable = self._data is not None
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        blobs = BlobStore(self._root, durable=durable)
        try:
            database = Database(self._root / "metadata.sqlite", blobs, durable=durable)
        except RuntimeError:
            blobs.close()
            raise
        if durable:
            readable.explain(self._root)
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

    async def close(self) -> None:
        self._is_closing = True
        await self._doors.close()
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
        """Address and port, as a client on this machine reaches them without TLS."""
        return f"{self._address}:{self.port}"

    @property
    def tls_endpoint(self) -> str:
        """The same for https."""
        return f"{self._address}:{self.tls_port}"

    @property
    def _address(self) -> str:
        host = _NEAR.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    @property
    def url(self) -> str:
        return f"http://{self.endpoint}"

    @property
    def tls_url(self) -> str:
        """Where it is reached over https, if it has TLS."""
        return f"https://{self.tls_endpoint}"

    @property
    def console_url(self) -> str:
        """Where a browser finds the web console. It holds a key, which is not for everybody."""
        return self._web.url

    @property
    def ca_file(self) -> Path | None:
        """The certificate a client must trust for https; None without TLS."""
        return self._root / "tls" / "ca.pem" if self._has_tls else None

    def settings(self) -> dict[str, Any]:
        """Keywords for a client's ``CosConfig``, for https if the server has TLS."""
        url = self.tls_url if self._has_tls else self.url
        scheme, _, endpoint = url.partition("://")
        host, _, port = endpoint.rpartition(":")
        settings: dict[str, Any] = {
            "Region": self.region,
            "SecretId": self.secret_id,
            "SecretKey": self.secret_key,
            "Scheme": scheme,
            "IP": host,
            "Port": int(port),
            "ServiceDomain": endpoint,
        }
        return settings if self.ca_file is None else settings | {"VerifySSL": str(self.ca_file)}

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

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The rules in force and how often they fired, in the order they were added."""
        return tuple(self._faults)

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
    # Letters and digits, as a real one: tools take a leading dash for an option.
    made = (f"AKID{secrets.token_hex(16)}", secrets.token_hex(16))
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

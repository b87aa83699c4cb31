"""The server: how it is set up, what it tells, how it ends.

In: a port, credentials, buckets, faults. Out: a COS on loopback, and an account of what
was asked of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import ssl
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self

from . import buckets, readable
from .auth import Credential, Keyring
from .blobs import BlobStore
from .clients import WithClient
from .clock import Clock
from .configurations import Configurations
from .connections import Doors
from .console import Console
from .control import Control
from .database import Database
from .expiring import Sweeper
from .faults import Fault, FaultBook, FaultRule, failing
from .front import Front
from .handling import Handler
from .journal import Requests
from .keypair import kept_pair
from .routing import Hosts, is_loopback
from .seeding import Seed
from .snapshots import START, Snapshots
from .stored import Stored
from .threaded import ThreadedEmulator
from .wire import Limits, Services

P = ParamSpec("P")

log = logging.getLogger("aiocos.emulator")

_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared with, not bound)
_NEAR = _ALL | {"localhost": "127.0.0.1"}
"""Where this machine reaches a server that listens there. One name can be two addresses."""


class CosEmulator(Stored, WithClient):
    """A local COS.

    Without ``data`` everything is kept in a temporary directory and removed in the end;
    with it, what was acknowledged survives a crash. Without credentials they are made up,
    and kept with the data.
    ``hosts`` are further names to answer to, by path or with the bucket in front;
    ``domains`` map a name to a bucket. ``anonymous`` turns off the check of signatures,
    on loopback only. ``seed`` is what is stored from the beginning: a folder with one folder
    for each bucket, or {bucket: {key: content}}; with ``data`` only where that is new, so that
    no later start brings back what was changed or deleted. ``start`` is the time that stored things
    begin at. ``retain`` leaves the temporary directory where it is. ``control`` says
    whether this machine may steer it at ``/_emu``; if it does not, only without ``data``.
    With ``tls`` it is reached over https as well, on ``tls_port``.
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
        seed: Seed | None = None,
        start: datetime | float | None = None,
        retain: bool = False,
        control: bool | None = None,
        tls: bool = False,
        tls_port: int = 0,
        console: bool | None = None,
    ) -> None:
        if not is_loopback(host):
            if anonymous:
                raise ValueError("Anonymous mode is for loopback only.")
            log.warning("listening on %s: reachable from other machines", host)
        self.host, self.port, self.region, self.appid = host, port, region, appid
        self._data = None if data is None else Path(data).absolute()
        kept_id, kept_key = kept_pair(self._data)
        self.secret_id, self.secret_key = secret_id or kept_id, secret_key or kept_key
        self.clock = Clock(start=start)
        self.requests = Requests()
        """The requests so far, oldest first, to be looked at and counted."""
        self._seed, self._is_retained = seed, retain
        self.has_control = data is None if control is None else control
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
        self._is_running = self._is_closing = False

    @classmethod  # pyright: ignore[reportArgumentType]  (callers are checked by it all the same)
    def in_thread(
        cls: Callable[P, CosEmulator], *args: P.args, **options: P.kwargs
    ) -> ThreadedEmulator:
        """The same server, made of the same arguments, in a thread of its own.

        For code without an event loop: ``with CosEmulator.in_thread() as server``.
        """
        return ThreadedEmulator(cls(*args, **options))

    # -- life

    async def start(self) -> Self:
        if self._is_running or self._is_closing:
            raise RuntimeError("a server starts once: make another")
        self._root = self._data or self._make_directory()
        self._services = await asyncio.to_thread(self._open_store)
        self._snapshots = Snapshots(self._services)
        try:
            await self._fill()
            await self._listen()
        except BaseException:
            self._close_store()
            raise
        self._is_running = True
        return self

    def _make_directory(self) -> Path:
        """A temporary directory, which goes at the process's end if nobody closes the server."""
        made = Path(tempfile.mkdtemp(prefix="cos-emulator-"))
        if not self._is_retained:
            weakref.finalize(self, _remove, made, os.getpid())
        return made

    async def _fill(self) -> None:
        """What is there from the beginning."""
        for name in self._first_buckets:
            await self.create_bucket(name)
        if self._seed is not None:
            if self._unseeded.exists():
                await self.seed(self._seed)
            else:
                log.info("%s is not new: it was not seeded", self._root)
        self._unseeded.unlink(missing_ok=True)
        # What somebody keeps is not to be thrown away by a reset.
        if self._data is None:
            await self._snapshots.take(START)

    async def _listen(self) -> None:
        serving = await asyncio.to_thread(self._prepare_tls) if self._has_tls else None
        self._doors = doors = Doors(self._limits, self._faults, serving)
        handler = Handler(
            services=self._services,
            keyring=self._keyring,
            faults=self._faults,
            journal=self.requests,
            is_closing=lambda: self._is_closing,
            tunnel=doors.tunnel,
        )
        console = Console(self, self._services, self._hosts)
        aside = [Control(self, self._hosts)] if self.has_control else []
        others = [] if self.console is False else [console]
        self._front = Front(handler.handle, *aside, *others)
        host = self.host if self.host in _ALL else _NEAR.get(self.host, self.host)
        opened = await doors.open(self._front.handle, host, self.port, self.tls_port)
        self.port, self.tls_port = opened
        self.console_url = console.url
        """Where a browser finds the web console. It holds a key, which is not for everybody."""

    def _prepare_tls(self) -> ssl.SSLContext:
        from . import trust  # noqa: PLC0415  (it brings cryptography, which only TLS needs)

        names = [self.host, *self._names] if self.host not in _ALL else self._names
        wanted = trust.names(self.region, names, self._services.buckets)
        return trust.keep(self._root / "tls", wanted).serving()

    def _open_store(self) -> Services:
        durable = self._data is not None
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file, self._unseeded = self._root / "metadata.sqlite", self._root / "unseeded"
        if self._seed is not None and not file.exists():
            self._unseeded.touch()  # goes when all of the seed is stored, whoever ends meanwhile
        blobs = BlobStore(self._root, durable=durable)
        try:
            database = Database(file, blobs, durable=durable)
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
        """End it, and the requests under way. May be called more than once."""
        if not self._is_running:
            return
        self._is_running, self._is_closing = False, True
        await self._doors.close()
        await asyncio.to_thread(self._close_store)

    def _close_store(self) -> None:
        self._snapshots.close()
        self._services.database.close()
        self._services.blobs.close()
        if self._data is None and not self._is_retained:
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
    def directory(self) -> Path:
        """Where its files are, once it was started."""
        return self._root

    @property
    def tls_url(self) -> str:
        """Where it is reached over https, if it has TLS."""
        return f"https://{self.tls_endpoint}"

    @property
    def best_url(self) -> str:
        """Where a client should reach it: over https, if it has TLS."""
        return self.tls_url if self._has_tls else self.url

    @property
    def ca_file(self) -> Path | None:
        """The certificate a client must trust for https; None without TLS."""
        return self._root / "tls" / "ca.pem" if self._has_tls else None

    def settings(self) -> dict[str, Any]:
        """Keywords for a client's ``CosConfig``, for https if the server has TLS."""
        scheme, _, endpoint = self.best_url.partition("://")
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

    def connection(self) -> dict[str, Any]:
        """All that another program needs, as JSON can say it. It holds the secret key."""
        return {
            "endpoint": self.endpoint,
            "url": self.url,
            "tls_url": self.tls_url if self._has_tls else None,
            "ca_file": None if self.ca_file is None else str(self.ca_file),
            "console_url": self.console_url,
            "region": self.region,
            "appid": self.appid,
            "buckets": sorted(self._services.buckets),
            "secret_id": self.secret_id,
            "secret_key": self.secret_key,
            "settings": self.settings(),
            "pid": os.getpid(),
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
        """Put a rule in force that answers 500, unless told otherwise.

        Raises TypeError for a field that rules do not have.
        """
        return self.add_fault(failing(operation, rule))

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The rules in force and how often they fired, in the order they were added."""
        return tuple(self._faults)

    def drop_fault(self, fault: Fault) -> None:
        """Drop one rule; what was counted stays in it."""
        self._faults.remove(fault)

    def heal(self) -> None:
        """Drop all rules."""
        self._faults.heal()

    # -- what happened

    def count(self, operation: str, status: int | None = None) -> int:
        """How many requests there were, or how many were answered with this status."""
        return self.requests.count(operation, status)

    async def wait_for(
        self, operation: str, number: int = 1, *, status: int | None = None, timeout_s: float = 5
    ) -> None:
        """Wait until there were so many requests, or so many answered with this status.

        Raises TimeoutError, with a list of what came.
        """
        await self.requests.reach(operation, number, status=status, timeout_s=timeout_s)

    def snapshots(self) -> list[str]:
        """The names of the snapshots there are."""
        return self._snapshots.names()

    def forget_requests(self) -> None:
        self.requests.clear()


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a process that was forked
        shutil.rmtree(directory, ignore_errors=True)

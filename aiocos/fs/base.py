"""What a filesystem is made of: its options, its clients, its paths.

In: storage options, and paths ``bucket/key``. Out: the client of the running event loop, and
bucket and key. Keys are taken as they are: nothing is decoded or simplified, except that fsspec
takes slashes off a path's end.
"""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiocos.client import CosS3Client
from aiocos.config import CosConfig
from aiocos.errors import ParameterError
from aiocos.fs.clients import Clients
from aiocos.fs.local import Lease
from aiocos.fs.settings import SECRETS, hide_secrets, make_config
from aiocos.fs.untyped import AsyncFileSystem, FileSystemKind, apply_config, blocking, get_loop
from aiocos.retry import RetryPolicy
from aiocos.transfer.manager import TransferConfig

AT_ONCE = 48
"""Requests of one call at a time; a client has 64 connections, if not more."""


class Place(NamedTuple):
    """A bucket and a key; both may be empty."""

    bucket: str
    key: str

    @property
    def prefix(self) -> str:
        """What the keys inside begin with, where the place is taken as a directory."""
        return f"{self.key}/" if self.key else ""

    @property
    def path(self) -> str:
        """Bucket and key, as fsspec writes them."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket


class _Kind(FileSystemKind):  # type: ignore[misc]  # fsspec has no types
    """Keeps one filesystem for each set of options, whose secrets it hides before that."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        known = inspect.signature(self.__init__).parameters  # type: ignore[misc]  # of a class
        for name in options.keys() - known.keys() - {"skip_instance_cache"}:  # fsspec's own
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            if near and all(one.kind is not one.VAR_KEYWORD for one in known.values()):
                raise TypeError(f"{self.__name__} has no option {name}; did you mean {near[0]}?")
        return super().__call__(*args, **hide_secrets(apply_config(self, options)))


class CosBase(AsyncFileSystem, metaclass=_Kind):  # type: ignore[misc]  # fsspec has no types
    """Options, clients and paths of ``CosFileSystem``, which documents them."""

    protocol = ("cos", "cosn")
    root_marker = ""

    def __init__(
        self,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
        token: str | None = None,
        anon: bool = False,
        profile: str | None = None,
        local: str | os.PathLike[str] | None = None,
        config: CosConfig | None = None,
        client: CosS3Client | None = None,
        retry: int | RetryPolicy | None = None,
        transfers: TransferConfig | None = None,
        identity: str | None = None,
        use_listings_cache: bool = False,
        listings_expiry_time: float | None = None,
        max_paths: int | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        batch_size: int | None = None,
    ) -> None:
        place = {"region": region, "endpoint": endpoint}
        keys = {"secret_id": secret_id, "secret_key": secret_key, "token": token}
        who: dict[str, Any] = {**place, **keys, "anon": anon, "profile": profile}
        _check_ways({"local": local, "config": config, "client": client}, who)
        if client is not None:
            _check_client(client, asynchronous=asynchronous)
        if not isinstance(transfers, TransferConfig | None):
            raise ParameterError("transfers must be a TransferConfig: each event loop has limits")
        super().__init__(
            asynchronous=asynchronous,
            loop=loop,
            batch_size=batch_size or AT_ONCE,
            use_listings_cache=use_listings_cache,
            listings_expiry_time=listings_expiry_time,
            max_paths=max_paths,
        )
        self._given_loop = loop
        self._home_pid = os.getpid()
        self._client = client
        self._retry, self._transfers = retry, transfers
        self._lease = None if local is None else Lease(local)
        self._config = config
        if config is not None and config.local_dir is not None:
            self._lease = Lease(config.local_dir)
        elif config is None and client is None and local is None:
            self._config = make_config(**who)
        self._clients = Clients(self._make_client)

    # -- clients -------------------------------------------------------------

    async def get_client(self) -> CosS3Client:
        """Return the client of the running event loop; it is closed with the filesystem."""
        if self._client is not None:
            return self._client
        return await self._clients.get()

    async def _make_client(self) -> CosS3Client:
        config = self._config
        if self._lease is not None:
            settings = await self._lease.settings()
            config = CosConfig(**settings)
        assert config is not None  # noqa: S101  (no lease and no client: it was made)
        return CosS3Client(config, self._retry, transfers=self._transfers)

    async def aclose(self) -> None:
        """Close the running event loop's client; the next use opens another.

        A client that was given is its owner's to close.
        """
        await self._clients.close()

    async def __aenter__(self) -> CosBase:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    close = blocking(aclose)

    @property
    def loop(self) -> Any:
        """The event loop in which calls that are not awaited are carried out."""
        if self._home_pid != os.getpid() and not self.asynchronous and self._given_loop is None:
            # A child's loop is a new one.
            self._pid = self._home_pid = os.getpid()
            self._loop = get_loop()
        return super().loop

    # -- copies of itself ----------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        if self._client is not None:
            raise ParameterError(
                "a filesystem with a client= cannot be pickled: give config= or plain options"
            )
        made: tuple[Any, ...] = super().__reduce__()
        return made

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return what another such filesystem can be made of; with its secrets, unless told."""
        told: dict[str, Any] = super().to_dict(include_password=include_password)
        told.pop("identity", None)
        return told if include_password else {k: told[k] for k in told if k not in SECRETS}

    # -- paths ---------------------------------------------------------------

    def split_path(self, path: str) -> Place:
        """Return the bucket and the key of a path.

        Raises:
            ParameterError: no such key can be stored.
        """
        bucket, _, key = self._strip_protocol(path).partition("/")
        if key.startswith("/"):
            raise ParameterError(f"{path!r}: COS drops a slash at the beginning of a key")
        if key and not bucket:
            raise ParameterError(f"{path!r} names no bucket: write cos://BUCKET/KEY")
        return Place(bucket, key)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listings that a change at ``path`` makes wrong; all of them without one."""
        if path is None:
            self.dircache.clear()
        else:
            top: str = self._strip_protocol(path)
            within = [known for known in self.dircache if known.startswith(f"{top}/")]
            for known in {*within, *_upwards(top)}:
                if known in self.dircache:
                    del self.dircache[known]
        super().invalidate_cache(path)


def _upwards(path: str) -> Iterable[str]:
    """Give a path and all that it is in, the root last."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def _check_ways(ways: dict[str, Any], who: dict[str, Any]) -> None:
    given = [name for name, value in ways.items() if value is not None]
    rest = [name for name, value in who.items() if value]
    if len(given) > 1 or (given and rest):
        raise ParameterError(f"{given[0]} says all: leave out {', '.join(given[1:] + rest)}")


def _check_client(client: object, *, asynchronous: bool) -> None:
    if not isinstance(client, CosS3Client):
        raise ParameterError(f"client must be a CosS3Client, not {type(client).__name__}")
    if client.coding is not None:
        raise ParameterError(
            "client encrypts: listings tell the sizes of what it stored, and files would be cut"
        )
    if not asynchronous:
        raise ParameterError(
            "client= belongs to one event loop: give asynchronous=True as well and await, or "
            "give config= in its place"
        )

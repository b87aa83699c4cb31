"""The two sides of a sync: a directory on this machine, or what a prefix holds in COS.

In: what the caller wrote. Out: a LocalFolder or a CosFolder, checked, and its form in a plan.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiocos.config import CosConfig
from aiocos.errors import ParameterError

SCHEME: Final = "cos://"
_LIKE_A_SCHEME: Final = re.compile("[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True, slots=True)
class CosFolder:
    """Everything below a prefix of a bucket; the empty prefix is the whole bucket.

    ``Prefix`` is a directory, with or without its last slash. ``Region`` or ``Endpoint`` are
    for a source that is elsewhere than the client; the destination is always the client's.
    """

    Bucket: str
    Prefix: str = ""
    Region: str | None = None
    Endpoint: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.Bucket, str) or not self.Bucket:
            raise ParameterError(f"CosFolder needs a Bucket, not {self.Bucket!r}")
        if not isinstance(self.Prefix, str):
            raise ParameterError(f"Prefix must be a str, not {self.Prefix!r}")
        prefix = self.Prefix.removeprefix("/")
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        object.__setattr__(self, "Prefix", prefix)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it need not be where the client is."""
        return bool(self.Region or self.Endpoint)

    def key(self, path: str) -> str:
        """Return the key of what has this path below the folder."""
        return self.Prefix + path

    def source(self, path: str) -> dict[str, str]:
        """Return the ``CopySource`` of what has this path below the folder."""
        known = {"Bucket": self.Bucket, "Key": addressed(self.key(path))}
        known |= {"Region": self.Region} if self.Region else {}
        return known | ({"Endpoint": self.Endpoint} if self.Endpoint else {})

    def __str__(self) -> str:
        return f"{SCHEME}{self.Bucket}/{self.Prefix}"


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """Everything below a directory; the path is absolute."""

    path: Path

    def file(self, path: str) -> str:
        """Return where a file below the folder is."""
        return os.path.join(self.path, path)

    def __str__(self) -> str:
        return str(self.path)


Folder = LocalFolder | CosFolder


def folder_of(place: str | os.PathLike[str] | CosFolder, name: str) -> Folder:
    """Read a source or destination: a path, a CosFolder, or ``cos://BUCKET/PREFIX``.

    Raises:
        ParameterError: it is none of them.
    """
    if isinstance(place, CosFolder):
        return place
    if isinstance(place, str) and place.startswith(SCHEME):
        bucket, _, prefix = place.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise ParameterError(f"{name} is {place!r}, and must be as in cos://BUCKET/PREFIX")
        return CosFolder(bucket, prefix)
    if not isinstance(place, str | os.PathLike) or not os.fspath(place):
        raise ParameterError(f"{name} must be a path, cos://BUCKET/PREFIX or a CosFolder")
    path = os.fspath(place)
    if not isinstance(path, str) or "\0" in path:
        raise ParameterError(f"{name} is {path!r}, which is no path")
    if isinstance(place, str) and is_like_an_address(path):
        raise ParameterError(
            f"{name} is {path!r}: what is in COS begins with cos://, and a path with such a name "
            "with ./"
        )
    return LocalFolder(Path(os.path.abspath(path)))


def is_like_an_address(word: str) -> bool:
    """Whether a word that is to be a path was meant as something else: ``s3://x``, ``COS://x``."""
    return _LIKE_A_SCHEME.match(word) is not None


def to_json(folder: Folder) -> dict[str, str]:
    """Return a side as the header of a plan has it."""
    if isinstance(folder, LocalFolder):
        return {"dir": str(folder.path)}
    told = {"bucket": folder.Bucket, "prefix": folder.Prefix}
    told |= {"region": folder.Region} if folder.Region else {}
    return told | ({"endpoint": folder.Endpoint} if folder.Endpoint else {})


def from_json(told: Mapping[str, Any]) -> Folder:
    """Return the side that the header of a plan names.

    Raises:
        ValueError: it names none.
    """
    values = {name: value for name, value in told.items() if isinstance(value, str)}
    if "dir" in values and os.path.isabs(values["dir"]):
        return LocalFolder(Path(values["dir"]))
    if "bucket" in values and "prefix" in values:
        places = values.get("region"), values.get("endpoint")
        return CosFolder(values["bucket"], values["prefix"], *places)
    raise ValueError("it names no source or destination")


def server_of(config: CosConfig) -> str:
    """Return what tells the server of a client from any other: a plan is for one of them."""
    if config.local_dir is not None:
        # Such a server has another port each time.
        return str(config.local_dir.absolute())
    host = config.Domain or config.endpoint
    if config.IP is None:
        return host
    address = config.IP if config.Port is None else f"{config.IP}:{config.Port}"
    return f"{host} at {address}"


def addressed(key: str) -> str:
    """Return a listed key as a method takes it, which drops one slash at the beginning."""
    return f"/{key}" if key.startswith("/") else key

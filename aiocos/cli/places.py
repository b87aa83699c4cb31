"""Names of what a command is about: ``cos://BUCKET/KEY``, or a path.

In: a word of the command line. Out: bucket and key, or UsageError. Keys are taken as they
are: nothing is decoded or simplified.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aiocos.cli.failing import UsageError
from aiocos.encoding.urls import bucket_name

SCHEME: Final = "cos://"
STDIO: Final = "\0"
"""stdin or stdout; no word of a command line can hold this character."""
NEEDS_APPID: Final = "A bucket's name ends in the account's APPID, as in examplebucket-1250000000"
_APPID: Final = re.compile("-[0-9]+$")


@dataclass(frozen=True, slots=True)
class CosPlace:
    """A bucket and a key, or what keys begin with; the key may be empty."""

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    @property
    def prefix(self) -> str:
        """What the keys inside begin with, where the place is taken as a directory."""
        return self.key if not self.key or self.key.endswith("/") else f"{self.key}/"

    @property
    def is_directory(self) -> bool:
        """Whether it is spelt as a directory: the bucket itself, or with a slash at the end."""
        return not self.key or self.key.endswith("/")

    @property
    def name(self) -> str:
        """The last segment of the key."""
        return self.key.rpartition("/")[2]

    def at(self, key: str) -> CosPlace:
        """Return another key of the same bucket."""
        return CosPlace(self.bucket, key)


def is_cos(word: str) -> bool:
    """Whether a word names something in COS rather than a path."""
    return word.startswith(SCHEME)


def has_appid(bucket: str) -> bool:
    """Whether a bucket's name ends as all of them do."""
    return _APPID.search(bucket) is not None


def cos_place(word: str) -> CosPlace:
    """Read ``cos://BUCKET`` or ``cos://BUCKET/KEY``.

    Raises:
        UsageError: it is neither.
        ParameterError: no bucket can have that name.
    """
    if word == STDIO:
        raise UsageError("-, which is stdin or stdout, cannot stand here")
    if not is_cos(word):
        raise UsageError(f"{word!r} must be cos://BUCKET or cos://BUCKET/KEY")
    bucket, _, key = word.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise UsageError(f"{word!r} names no bucket: write cos://BUCKET/KEY")
    if key.startswith("/"):
        raise UsageError(f"{word!r}: COS drops a slash at the beginning of a key, write one only")
    return CosPlace(bucket_name(bucket), key)


def object_place(word: str) -> CosPlace:
    """Read ``cos://BUCKET/KEY``, the key required."""
    place = cos_place(word)
    if not place.key:
        raise UsageError(f"{word!r} names no object: write cos://BUCKET/KEY")
    return place

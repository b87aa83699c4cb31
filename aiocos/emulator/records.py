"""Buckets, object versions, uploads and parts as values, and their way into the database.

In: database rows, or values to keep. Out: the same facts the other way round. What the
rules of COS are is decided elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from .blobs import Layout, Segment

NULL = "null"
"""The version id of what was written without versioning."""


class Bucket(NamedTuple):
    name: str
    owner: str
    region: str
    created: int
    acl: str
    """As ``acls`` keeps it."""
    versioning: str
    """Empty, ``Enabled`` or ``Suspended``."""


class Restore(NamedTuple):
    """A readable copy of an archived object; times are Unix seconds."""

    requested: int
    ready: int
    expires: int
    tier: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request said about an object, besides its content."""

    headers: dict[str, str] = field(default_factory=dict)
    """Standard headers and user metadata, given back when the object is read."""
    storage_class: str = "STANDARD"
    acl: str = "default"
    encryption: dict[str, str] = field(default_factory=dict)
    """Headers that tell of encryption at rest; no key is among them."""
    customer_key: str = ""
    """Salted hash of the key that the customer must show again."""
    tagging: str = ""
    kind: str = "normal"
    """``normal``, ``appendable`` or ``symlink``."""
    target: str = ""
    """The key a symlink stands for."""
    restore: Restore | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Attributes:
        known: dict[str, Any] = json.loads(text)
        if known["restore"] is not None:
            known["restore"] = Restore(*known["restore"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one object, or a delete marker."""

    bucket: str
    key: str
    modified: int
    version: str = NULL
    marker: bool = False
    size: int = 0
    etag: str = ""
    """Without quotes."""
    crc: int = 0
    attributes: Attributes = field(default_factory=Attributes)
    layout: Layout = ()
    row: int = 0
    latest: bool = True

    COLUMNS = (
        "row, bucket, key, version, latest, marker, size, etag, crc, modified, attributes, layout"
    )

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> Version:
        number, bucket, key, version, latest, marker, size, etag, crc, modified, more, layout = row
        return cls(
            bucket=bucket,
            key=key.decode(),
            modified=modified,
            version=version,
            marker=bool(marker),
            size=size,
            etag=etag,
            crc=int(crc),
            attributes=Attributes.from_json(more),
            layout=layout_from_json(layout),
            row=number,
            latest=bool(latest),
        )

    def changed(self, **attributes: Any) -> Version:
        """The same with other attributes."""
        return replace(self, attributes=replace(self.attributes, **attributes))


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way."""

    id: str
    bucket: str
    key: str
    created: int
    attributes: Attributes
    row: int = 0

    COLUMNS = "row, id, bucket, key, created, attributes"

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> Upload:
        number, identity, bucket, key, created, more = row
        return cls(identity, bucket, key.decode(), created, Attributes.from_json(more), number)


class Part(NamedTuple):
    """One part of an upload."""

    number: int
    size: int
    etag: str
    crc: int
    modified: int
    layout: Layout

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> Part:
        number, size, etag, crc, modified, layout = row
        return cls(number, size, etag, int(crc), modified, layout_from_json(layout))


def layout_to_json(layout: Layout) -> str:
    return json.dumps(layout)


def layout_from_json(text: str) -> Layout:
    return tuple(Segment(*segment) for segment in json.loads(text))

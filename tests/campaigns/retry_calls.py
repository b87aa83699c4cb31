"""How each row of the retry table is called, and what the server holds before and after.

In: the name of a row. Out: what has to be there first, the call itself, and the state of a
local server read from its own tables, past every client.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiocos import CosS3Client
from aiocos.emulator import CosEmulator
from aiocos.emulator.database import Job
from tests.conftest import BUCKET
from tests.support import setting_samples
from tests.support.setting_samples import SENT
from tests.test_operation_table import METHODS as OBJECT_METHODS
from tests.test_operation_table import setting_arguments
from tests.test_settings_table import MADE_OF_OTHERS
from tests.test_settings_table import METHODS as SETTING_METHODS

CONTENT: Final = b"a,1\nb,2\n"
NEW: Final = b"what the call brings"
KEPT: Final = {"Bucket": BUCKET, "Key": "there", "Region": "ap-guangzhou"}
OTHER: Final = "second-1250000000"
METHODS: Final = {*OBJECT_METHODS, *SETTING_METHODS} - MADE_OF_OTHERS
"""Every method of the client that is one operation of the table."""

Call = Callable[[CosS3Client, Any], Awaitable[Any]]
Prepare = Callable[[CosS3Client], Awaitable[Any]]


@dataclass(frozen=True)
class Way:
    """What is done first, by a client that nothing befalls, and then the call."""

    call: Call
    prepare: Prepare | None = None


async def _whole(getting: Awaitable[Any]) -> bytes:
    """The content of an object; a client that is done with it closes it."""
    async with (await getting)["Body"] as body:
        return bytes(await body.read())


async def _records(client: CosS3Client) -> bytes:
    response = await client.select_object_content(
        BUCKET, "there", "Select * from COSObject", "SQL", {"CSV": {}}, {"CSV": {}}
    )
    async with response["Body"] as body:
        pieces = [event["Records"]["Payload"] async for event in body if "Records" in event]
    return b"".join(pieces)


async def _stream() -> AsyncIterator[bytes]:
    yield NEW


async def _begun(client: CosS3Client) -> str:
    return (await client.create_multipart_upload(BUCKET, "new"))["UploadId"]


async def _with_part(client: CosS3Client) -> tuple[str, Any]:
    made = await _begun(client)
    part = await client.upload_part(BUCKET, "new", NEW, 1, made)
    return made, {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}


async def _appended(client: CosS3Client) -> None:
    await client.append_object(BUCKET, "log", 0, b"first")


async def _archived(client: CosS3Client) -> None:
    await client.put_object(BUCKET, NEW, "cold", StorageClass="ARCHIVE")


async def _versioned(client: CosS3Client) -> str:
    await client.put_bucket_versioning(BUCKET, "Enabled")
    return (await client.put_object(BUCKET, b"newest", "there"))["x-cos-version-id"]


async def _versioning(client: CosS3Client) -> None:
    await client.put_bucket_versioning(BUCKET, "Enabled")


async def _second(client: CosS3Client) -> None:
    await client.create_bucket(OTHER)


_SAID_ONCE: Final = {"ContentLength": len(NEW)}
_OBJECTS: Final[dict[str, Way]] = {
    "put_object": Way(lambda c, _: c.put_object(BUCKET, NEW, "new")),
    "append_object": Way(lambda c, _: c.append_object(BUCKET, "log", 5, NEW), _appended),
    "head_object": Way(lambda c, _: c.head_object(BUCKET, "there")),
    "get_object": Way(lambda c, _: _whole(c.get_object(BUCKET, "there"))),
    "restore_object": Way(lambda c, _: c.restore_object(BUCKET, "cold", {"Days": 1}), _archived),
    "select_object_content": Way(lambda c, _: _records(c)),
    "delete_object": Way(lambda c, _: c.delete_object(BUCKET, "there")),
    "delete_objects": Way(lambda c, _: c.delete_objects(BUCKET, {"Object": [{"Key": "there"}]})),
    "copy_object": Way(lambda c, _: c.copy_object(BUCKET, "new", KEPT)),
    "create_multipart_upload": Way(lambda c, _: c.create_multipart_upload(BUCKET, "new")),
    "upload_part": Way(lambda c, made: c.upload_part(BUCKET, "new", NEW, 1, made), _begun),
    "upload_part_copy": Way(
        lambda c, made: c.upload_part_copy(BUCKET, "new", 1, made, KEPT), _begun
    ),
    "complete_multipart_upload": Way(
        lambda c, made: c.complete_multipart_upload(BUCKET, "new", *made), _with_part
    ),
    "abort_multipart_upload": Way(
        lambda c, made: c.abort_multipart_upload(BUCKET, "new", made), _begun
    ),
    "list_objects": Way(lambda c, _: c.list_objects(BUCKET)),
    "list_objects_versions": Way(lambda c, _: c.list_objects_versions(BUCKET)),
    "list_multipart_uploads": Way(lambda c, _: c.list_multipart_uploads(BUCKET)),
    "list_parts": Way(lambda c, made: c.list_parts(BUCKET, "new", made), _begun),
    "list_buckets": Way(lambda c, _: c.list_buckets()),
    "create_bucket": Way(lambda c, _: c.create_bucket(OTHER)),
    "delete_bucket": Way(lambda c, _: c.delete_bucket(OTHER), _second),
    "head_bucket": Way(lambda c, _: c.head_bucket(BUCKET)),
    # -- the same operations under conditions, which change what may be repeated
    "put_object under a condition": Way(
        lambda c, _: c.put_object(BUCKET, NEW, "new", IfNoneMatch="*")
    ),
    "put_object that forbids overwriting": Way(
        lambda c, _: c.put_object(BUCKET, NEW, "new", ForbidOverwrite="true")
    ),
    "put_object of a stream": Way(
        lambda c, _: c.put_object(BUCKET, _stream(), "new", **_SAID_ONCE)
    ),
    "upload_part of a stream": Way(
        lambda c, made: c.upload_part(BUCKET, "new", _stream(), 1, made, **_SAID_ONCE), _begun
    ),
    "get_object of a range": Way(
        lambda c, _: _whole(c.get_object(BUCKET, "there", Range="bytes=2-5"))
    ),
    "delete_object of a version": Way(
        lambda c, made: c.delete_object(BUCKET, "there", VersionId=made), _versioned
    ),
    "delete_object under versioning": Way(
        lambda c, _: c.delete_object(BUCKET, "there"), _versioning
    ),
    "put_object under versioning": Way(
        lambda c, _: c.put_object(BUCKET, NEW, "there"), _versioning
    ),
    "put_object over another": Way(lambda c, _: c.put_object(BUCKET, NEW, "there")),
    "append_object that begins": Way(lambda c, _: c.append_object(BUCKET, "log", 0, NEW)),
}


def _setting_prepared(name: str) -> Prepare | None:
    """Set what is to be seen or deleted; None where nothing sets it."""
    verb, _, rest = name.partition("_")
    put = f"put_{rest}"
    if verb == "list":
        put = {
            "bucket_inventory_configurations": "put_bucket_inventory",
            "bucket_intelligenttiering_configurations": "put_bucket_intelligenttiering_v2",
        }[rest]
    if verb not in {"get", "delete", "list"} or put not in {*SENT, *_SETTING_PUTS}:
        return None

    async def prepare(client: CosS3Client) -> None:
        await getattr(client, put)(**_given(put))

    return prepare


_SETTING_PUTS: Final = {"put_symlink", "put_bucket_object_lock"}


def _given(name: str) -> dict[str, Any]:
    """The sample's keywords, for the object that is there."""
    given = setting_arguments(name)
    given.pop("VersionId", None)
    there = {"Key": "there", "SymlinkTarget": "there"}
    return given | {key: value for key, value in there.items() if key in given}


async def _open_to_all(client: CosS3Client) -> None:
    await client.put_bucket_cors(BUCKET, setting_samples.CORS)


def _setting(name: str) -> Way:
    given = _given(name)
    if name == "options_object":
        return Way(lambda c, _: c.options_object(**given), _open_to_all)
    return Way(lambda c, _: getattr(c, name)(**given), _setting_prepared(name))


def way_of(row: str) -> Way:
    """How a row of the table is called."""
    return _OBJECTS[row] if row in _OBJECTS else _setting(row)


def method_of(row: str) -> str:
    """The client's method that a row is about."""
    return row.partition(" ")[0]


# -- what the server holds

_TABLES: Final = (
    "SELECT name, owner, acl, versioning FROM buckets ORDER BY name",
    "SELECT bucket, key, latest, marker, size, crc, attributes FROM versions ORDER BY row",
    "SELECT bucket, key, attributes FROM uploads ORDER BY row",
    "SELECT number, size, etag FROM parts ORDER BY number, etag",
    "SELECT bucket, name, id, document FROM settings ORDER BY bucket, name, id",
)
_PASSING: Final = re.compile(r"[0-9]{9,13}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.Z+]+")
"""Times, which differ from run to run."""


async def stored(emulator: CosEmulator) -> list[list[str]]:
    """All that the server holds, but for what the hour and chance decide."""

    def tables(job: Job) -> list[list[str]]:
        return [[_PASSING.sub("T", repr(row)) for row in job.rows(sql)] for sql in _TABLES]

    return await emulator._services.database.run(tables)

"""Operations on the settings of a bucket.

In: a setting of the table, and a ``Call``. Out: a ``Reply``, or a refusal. One handler of
each kind serves all settings; what is particular to one stands in the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from . import access, cors, tiering
from .blobs import INLINE
from .errors import CosError
from .records import Bucket
from .settings import BY_NAME, Setting
from .wire import XML_TYPE, Call, Reply, xml_reply
from .xml import Node, document, parse

Handler: TypeAlias = Callable[[Call], Awaitable[Reply]]

PAGE = 100
"""So many inventories are listed at once."""
_INVENTORY = "BucketInventory"


def put(setting: Setting) -> Handler:
    async def handle(call: Call) -> Reply:
        bucket, identity = _owned(call), _identity(call, setting)
        body = await call.body.read()
        if setting.is_emptied and not body:
            await _delete(call, setting, identity)
            return Reply(200)
        await _keep(call, bucket, setting, identity, body)
        return Reply(200)

    return handle


def get(setting: Setting) -> Handler:
    async def handle(call: Call) -> Reply:
        bucket, identity = _owned(call), _identity(call, setting)
        stored = call.services.configurations.get(bucket.name, setting.name, identity)
        if stored is None and setting.absent:
            raise CosError(setting.absent)
        kind = XML_TYPE if setting.root else "application/json"
        return Reply(200, {"Content-Type": kind}, setting.nothing if stored is None else stored)

    return handle


def delete(setting: Setting) -> Handler:
    async def handle(call: Call) -> Reply:
        _owned(call)
        await _delete(call, setting, _identity(call, setting))
        return Reply(204)

    return handle


def _owned(call: Call) -> Bucket:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    return bucket


def _identity(call: Call, setting: Setting) -> str:
    if not setting.is_named:
        return ""
    identity = call.params.get("id", "")
    if not identity:
        raise CosError("InvalidArgument", f"Which {setting.name} is meant? The id is missing.")
    return identity


async def _keep(call: Call, bucket: Bucket, setting: Setting, identity: str, body: bytes) -> None:
    if len(body) <= INLINE:
        stored = setting.understand(body)
    else:
        stored = await asyncio.to_thread(setting.understand, body)
    if identity:
        _check_identity(setting, identity, stored)
    configurations = call.services.configurations
    await call.run(configurations.put, bucket.name, (setting.name, identity), stored)
    for name, equal in tiering.equals(setting.name, identity, stored):
        await call.run(configurations.put, bucket.name, name, equal)


def _check_identity(setting: Setting, identity: str, stored: bytes) -> None:
    named = parse(stored, setting.root).text("Id")
    if named is not None and named != identity:
        raise CosError("InvalidArgument", "The Id of the document is not the id of the request.")


async def _delete(call: Call, setting: Setting, identity: str) -> None:
    configurations, bucket = call.services.configurations, call.target.bucket
    for name in ((setting.name, identity), *tiering.twins(setting.name, identity)):
        await call.run(configurations.delete, bucket, name)


# -- what is particular


async def post_bucket_inventory(call: Call) -> Reply:
    setting, bucket = BY_NAME[_INVENTORY], _owned(call)
    identity = _identity(call, setting)
    if call.services.configurations.get(bucket.name, _INVENTORY, identity) is not None:
        raise CosError("DuplicateInventoryId")
    await _keep(call, bucket, setting, identity, await call.body.read())
    return Reply(200)


async def list_bucket_inventory_configurations(call: Call) -> Reply:
    bucket = _owned(call)
    start = call.number("continuation-token", 0, 0, 1 << 31)
    found = list(call.services.configurations.all(bucket.name, _INVENTORY).values())
    page, end = found[start : start + PAGE], start + PAGE
    nodes = await asyncio.to_thread(_contents, _INVENTORY, page)
    if call.params.get("continuation-token"):
        nodes.append(("ContinuationToken", str(start)))
    nodes.append(("IsTruncated", end < len(found)))
    if end < len(found):
        nodes.append(("NextContinuationToken", str(end)))
    return xml_reply("ListInventoryConfigurationResult", nodes)


async def list_bucket_intelligent_tiering_configurations(call: Call) -> Reply:
    found = call.services.configurations.all(_owned(call).name, tiering.RULES)
    nodes = await asyncio.to_thread(_contents, tiering.RULES, list(found.values()))
    return xml_reply("ListBucketIntelligentTieringConfigurationsOutput", nodes)


def _contents(name: str, documents: Iterable[bytes]) -> list[Node]:
    root = BY_NAME[name].root
    return [(root, parse(stored, root).value()) for stored in documents]


async def get_bucket_location(call: Call) -> Reply:
    located = document("LocationConstraint", _owned(call).region)
    return Reply(200, {"Content-Type": XML_TYPE}, located)


async def options_object(call: Call) -> Reply:
    """A browser's preflight, which nobody can sign."""
    bucket = call.bucket()
    if not call.headers.get("origin") or not call.headers.get("access-control-request-method"):
        raise CosError(
            "InvalidRequest", "A preflight needs Origin and Access-Control-Request-Method."
        )
    stored = call.services.configurations.get(bucket.name, "BucketCORS")
    allowed = None if stored is None else cors.preflight(stored, call.headers)
    if allowed is None:
        raise CosError("AccessForbidden")
    return Reply(200, allowed)

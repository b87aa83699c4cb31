"""ListBuckets, and the operations on a bucket as a whole.

In: a ``Call``. Out: a ``Reply``, or a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import ge, gt, le, lt

from . import access, acls, tags, versions
from .clock import short_date
from .configurations import Configurations
from .database import Job
from .errors import CosError
from .records import Bucket
from .routing import BUCKET_NAME
from .wire import Call, Reply, xml_reply
from .xml import Element, Node, document, parse

MAX_LISTED = 2000
_KINDS = "CreateBucketConfiguration"
_TOLD_AS = {
    "BucketAZConfig": "x-cos-bucket-az-type",
    "BucketArchConfig": "x-cos-bucket-arch",
}
_RANGES = {"lt": lt, "lte": le, "gt": gt, "gte": ge}


async def list_buckets(call: Call) -> Reply:
    if not call.caller.owner:
        raise CosError("AccessDenied")
    limit = call.number("max-keys", MAX_LISTED, 1, MAX_LISTED)
    owner, fits = call.caller.owner, _selection(call)
    found = [bucket for _, bucket in sorted(call.services.buckets.items()) if fits(bucket)]
    nodes: list[Node] = [
        ("Owner", [("ID", acls.principal(owner)), ("DisplayName", owner)]),
        ("Buckets", [_describe(bucket) for bucket in found[:limit]]),
    ]
    nodes += [("Marker", call.params.get("marker", "")), ("IsTruncated", len(found) > limit)]
    if len(found) > limit:
        nodes.append(("NextMarker", found[limit - 1].name))
    return xml_reply("ListAllMyBucketsResult", nodes)


def _selection(call: Call) -> Callable[[Bucket], bool]:
    """Which buckets the parameters of a listing ask for."""
    marker, region = call.params.get("marker", ""), call.params.get("region", "")
    tag = (call.params.get("tagkey", ""), call.params.get("tagvalue", ""))
    moment = call.number("create-time", 0, 0, 1 << 40)
    compare = _RANGES.get(call.params.get("range", ""))

    def fits(bucket: Bucket) -> bool:
        return (
            bucket.owner == call.caller.owner
            and bucket.name > marker
            and region in ("", bucket.region)
            and (not moment or compare is None or compare(bucket.created, moment))
            and (not all(tag) or tag in _tags(call, bucket))
        )

    return fits


def _tags(call: Call, bucket: Bucket) -> list[tags.Tag]:
    stored = call.services.configurations.get(bucket.name, "BucketTagging")
    listed = [] if stored is None else parse(stored, "Tagging").at("TagSet/Tag")
    return [(tag.text("Key") or "", tag.text("Value") or "") for tag in listed]


def _describe(bucket: Bucket) -> Node:
    nodes: list[Node] = [
        ("Name", bucket.name),
        ("Location", bucket.region),
        ("CreationDate", short_date(bucket.created)),
        ("BucketType", "cos"),
    ]
    return ("Bucket", nodes)


async def create_bucket(call: Call) -> Reply:
    if not call.caller.owner:
        raise CosError("AccessDenied")
    if not BUCKET_NAME.fullmatch(call.target.bucket):
        raise CosError("InvalidBucketName")
    kinds: list[Node] = []
    if call.body.declared_length:
        kinds = await call.body.xml(_KINDS, _kinds)
    bucket = Bucket(
        name=call.target.bucket,
        owner=call.caller.owner,
        region=call.target.region or call.services.region,
        created=call.now,
        acl=acls.from_headers(call.headers, call.caller.owner, "private"),
        versioning="",
    )
    await call.run(create, bucket)
    call.services.buckets[bucket.name] = bucket
    if kinds:
        put, stored = call.services.configurations.put, document(_KINDS, kinds)
        await call.run(put, bucket.name, (_KINDS, ""), stored)
    return Reply(200)


def _kinds(body: Element) -> list[Node]:
    """What of several kinds a bucket is to be."""
    found = [(name, kind) for name in _TOLD_AS if (kind := body.text(name))]
    if not all(kind.isascii() and kind.isalnum() for _, kind in found):
        raise CosError("MalformedXML", "The kinds of a bucket are single words.")
    return [*found]


def create(job: Job, bucket: Bucket) -> None:
    row = job.one("SELECT owner FROM buckets WHERE name = ?", bucket.name)
    if row is not None:
        mine = row[0] == bucket.owner
        raise CosError("BucketAlreadyOwnedByYou" if mine else "BucketAlreadyExists")
    job.rows("INSERT INTO buckets VALUES (?, ?, ?, ?, ?, ?)", *bucket)


def load(job: Job) -> dict[str, Bucket]:
    """All buckets."""
    return {row[0]: Bucket(*row) for row in job.rows("SELECT * FROM buckets")}


async def head_bucket(call: Call) -> Reply:
    bucket = call.bucket()
    access.list_objects(call.caller, bucket)
    stored = call.services.configurations.get(bucket.name, _KINDS)
    kinds = [] if stored is None else parse(stored, _KINDS).elements()
    told = {_TOLD_AS[kind.name]: kind.content for kind in kinds}
    told["x-cos-bucket-region"] = bucket.region
    return Reply(200, {"Content-Type": "application/xml", **told})


async def delete_bucket(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    await call.run(_delete, bucket.name, call.services.configurations)
    call.services.buckets.pop(bucket.name, None)
    return Reply(204)


def _delete(job: Job, bucket: str, configurations: Configurations) -> None:
    versions.bucket_named(job, bucket)
    for table in ("versions", "uploads"):
        if job.one(f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1", bucket):  # noqa: S608  (constants)
            raise CosError("BucketNotEmpty")
    job.rows("DELETE FROM buckets WHERE name = ?", bucket)
    configurations.forget(job, bucket)


async def put_bucket_versioning(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    status = await call.body.xml("VersioningConfiguration", lambda body: body.text("Status"))
    if status not in ("Enabled", "Suspended"):
        raise CosError("MalformedXML", "Status must be Enabled or Suspended.")
    await call.run(_set_versioning, bucket.name, status)
    call.services.buckets[bucket.name] = call.bucket()._replace(versioning=status)
    return Reply(200)


def _set_versioning(job: Job, bucket: str, status: str) -> None:
    versions.bucket_named(job, bucket)
    job.rows("UPDATE buckets SET versioning = ? WHERE name = ?", status, bucket)


async def get_bucket_versioning(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    nodes: list[Node] = [("Status", bucket.versioning)] if bucket.versioning else []
    return xml_reply("VersioningConfiguration", nodes)

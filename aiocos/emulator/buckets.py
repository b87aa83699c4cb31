"""ListBuckets, and the operations on a bucket as a whole.

In: a ``Call``. Out: a ``Reply``, or a refusal.
"""

from __future__ import annotations

from . import access, attributes, versions
from .clock import short_date
from .database import Job
from .errors import CosError
from .records import Bucket
from .routing import BUCKET_NAME
from .wire import Call, Reply, xml_reply
from .xml import Node

MAX_LISTED = 2000


async def list_buckets(call: Call) -> Reply:
    if not call.caller.owner:
        raise CosError("AccessDenied")
    limit = call.number("max-keys", MAX_LISTED, 1, MAX_LISTED)
    marker, region = call.params.get("marker", ""), call.params.get("region", "")
    found = [
        bucket
        for name, bucket in sorted(call.services.buckets.items())
        if bucket.owner == call.caller.owner and name > marker and region in ("", bucket.region)
    ]
    nodes: list[Node] = [
        ("Owner", [("ID", _principal(call.caller.owner)), ("DisplayName", call.caller.owner)]),
        ("Buckets", [_describe(bucket) for bucket in found[:limit]]),
    ]
    if len(found) > limit:
        nodes += [("IsTruncated", True), ("NextMarker", found[limit - 1].name)]
    return xml_reply("ListAllMyBucketsResult", nodes)


def _principal(owner: str) -> str:
    return f"qcs::cam::uin/{owner}:uin/{owner}"


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
    if call.body.declared_length:
        await call.body.xml("CreateBucketConfiguration", lambda _: None)
    bucket = Bucket(
        name=call.target.bucket,
        owner=call.caller.owner,
        region=call.target.region or call.services.region,
        created=call.now,
        acl=attributes.canned_acl(call.headers, "private"),
        versioning="",
    )
    await call.run(create, bucket)
    call.services.buckets[bucket.name] = bucket
    return Reply(200)


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
    return Reply(200, {"Content-Type": "application/xml", "x-cos-bucket-region": bucket.region})


async def delete_bucket(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    await call.run(_delete, bucket.name)
    call.services.buckets.pop(bucket.name, None)
    return Reply(204)


def _delete(job: Job, bucket: str) -> None:
    versions.bucket_named(job, bucket)
    for table in ("versions", "uploads"):
        if job.one(f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1", bucket):  # noqa: S608  (constants)
            raise CosError("BucketNotEmpty")
    job.rows("DELETE FROM buckets WHERE name = ?", bucket)


async def put_bucket_versioning(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    status = await call.body.xml("VersioningConfiguration", lambda body: body.text("Status"))
    if status not in ("Enabled", "Suspended"):
        raise CosError("MalformedXML", "Status must be Enabled or Suspended.")
    await call.run(_set_versioning, bucket.name, status)
    call.services.buckets[bucket.name] = bucket._replace(versioning=status)
    return Reply(200)


def _set_versioning(job: Job, bucket: str, status: str) -> None:
    versions.bucket_named(job, bucket)
    job.rows("UPDATE buckets SET versioning = ? WHERE name = ?", status, bucket)


async def get_bucket_versioning(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    nodes: list[Node] = [("Status", bucket.versioning)] if bucket.versioning else []
    return xml_reply("VersioningConfiguration", nodes)

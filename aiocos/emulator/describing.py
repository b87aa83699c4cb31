"""ACLs of buckets and objects, and the tags of objects.

In: a ``Call``. Out: a ``Reply``, or a refusal.
"""

from __future__ import annotations

from collections.abc import Callable

from . import access, acls, tags, versions
from .database import Job
from .errors import CosError
from .objects import locate
from .records import NULL, Bucket, Version
from .wire import Call, Reply, xml_reply
from .xml import parse


async def put_bucket_acl(call: Call) -> Reply:
    bucket = call.bucket()
    access.write_acl(call.caller, bucket)
    acl = await _given(call, bucket, "private")
    await call.run(_set_acl, bucket.name, acl)
    call.services.buckets[bucket.name] = call.bucket()._replace(acl=acl)
    return Reply(200)


def _set_acl(job: Job, bucket: str, acl: str) -> None:
    versions.bucket_named(job, bucket)
    job.rows("UPDATE buckets SET acl = ? WHERE name = ?", acl, bucket)


async def get_bucket_acl(call: Call) -> Reply:
    bucket = call.bucket()
    access.read_acl(call.caller, bucket)
    return xml_reply("AccessControlPolicy", acls.policy(bucket.acl, bucket.owner))


async def _given(call: Call, bucket: Bucket, default: str) -> str:
    """The list a request asks for, by its headers or by its body."""
    body = await call.body.read()
    if not body:
        return acls.from_headers(call.headers, bucket.owner, default)
    if acls.is_given(call.headers):
        raise CosError("UnexpectedContent", "An ACL stands in headers or in a body, not in both.")
    return acls.from_policy(parse(body, "AccessControlPolicy"))


async def put_object_acl(call: Call) -> Reply:
    bucket = call.bucket()
    acl = await _given(call, bucket, acls.DEFAULT)

    def change(version: Version) -> Version:
        access.write_acl(call.caller, bucket, version)
        return version.changed(acl=acl)

    return Reply(200, _told(await _change(call, change)))


async def get_object_acl(call: Call) -> Reply:
    bucket, version = call.bucket(), await _look(call)
    access.read_acl(call.caller, bucket, version)
    acl = version.attributes.acl
    told = {"x-cos-acl": acl} if acl == acls.DEFAULT else {}
    return xml_reply("AccessControlPolicy", acls.policy(acl, bucket.owner), told | _told(version))


async def put_object_tagging(call: Call) -> Reply:
    return Reply(200, await _tag(call, await call.body.xml("Tagging", tags.from_document)))


async def delete_object_tagging(call: Call) -> Reply:
    return Reply(204, await _tag(call, ""))


async def _tag(call: Call, tagging: str) -> dict[str, str]:
    access.own(call.caller, call.bucket())
    changed = await _change(call, lambda version: version.changed(tagging=tagging))
    # A rule may be about these tags, and due for long.
    call.services.sweeper.forget(call.target.bucket)
    return _told(changed)


async def get_object_tagging(call: Call) -> Reply:
    access.own(call.caller, call.bucket())
    version = await _look(call)
    nodes = tags.nodes(version.attributes.tagging)
    return xml_reply("Tagging", nodes, _told(version))


async def _look(call: Call) -> Version:
    return await call.run(locate, call)


async def _change(call: Call, change: Callable[[Version], Version]) -> Version:
    def job(job: Job) -> Version:
        changed = change(locate(job, call))
        versions.update(job, changed)
        return changed

    return await call.run(job)


def _told(version: Version) -> dict[str, str]:
    return {} if version.version == NULL else {"x-cos-version-id": version.version}

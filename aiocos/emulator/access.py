"""Who may do what.

In: a caller, a bucket, perhaps an object. Out: nothing, or AccessDenied. The owner of a
bucket may do everything; others what its canned ACL, or the object's, lets them.
"""

from __future__ import annotations

from .auth import Caller
from .errors import CosError
from .records import Bucket, Version

_READABLE = ("public-read", "public-read-write")


def own(caller: Caller, bucket: Bucket) -> None:
    if caller.owner != bucket.owner:
        raise CosError("AccessDenied")


def write(caller: Caller, bucket: Bucket) -> None:
    if bucket.acl != "public-read-write":
        own(caller, bucket)


def list_objects(caller: Caller, bucket: Bucket) -> None:
    if bucket.acl not in _READABLE:
        own(caller, bucket)


def read(caller: Caller, bucket: Bucket, version: Version) -> None:
    acl = version.attributes.acl
    if (bucket.acl if acl == "default" else acl) not in _READABLE:
        own(caller, bucket)

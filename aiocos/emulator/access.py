"""Who may do what.

In: a caller, a bucket, perhaps an object. Out: nothing, or AccessDenied. The owner of a
bucket may do everything; others what its ACL, or the object's own, lets them.
"""

from __future__ import annotations

from . import acls
from .auth import Caller
from .errors import CosError
from .records import Bucket, Version


def own(caller: Caller, bucket: Bucket) -> None:
    if caller.owner != bucket.owner:
        raise CosError("AccessDenied")


def write(caller: Caller, bucket: Bucket) -> None:
    _let(caller, bucket, bucket.acl, "WRITE")


def list_objects(caller: Caller, bucket: Bucket) -> None:
    _let(caller, bucket, bucket.acl, "READ")


def read(caller: Caller, bucket: Bucket, version: Version) -> None:
    _let(caller, bucket, _acl(bucket, version), "READ")


def read_acl(caller: Caller, bucket: Bucket, version: Version | None = None) -> None:
    _let(caller, bucket, _acl(bucket, version), "READ_ACP")


def write_acl(caller: Caller, bucket: Bucket, version: Version | None = None) -> None:
    _let(caller, bucket, _acl(bucket, version), "WRITE_ACP")


def _acl(bucket: Bucket, version: Version | None) -> str:
    acl = acls.DEFAULT if version is None else version.attributes.acl
    return bucket.acl if acl == acls.DEFAULT else acl


def _let(caller: Caller, bucket: Bucket, acl: str, permission: str) -> None:
    if caller.owner != bucket.owner and not acls.allows(
        acl, bucket.owner, caller.owner, permission
    ):
        raise CosError("AccessDenied")

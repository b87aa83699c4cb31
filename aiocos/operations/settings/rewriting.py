"""Change what is stored with an object: its storage class, its headers, its metadata.

COS cannot change them in place. The object is copied onto itself inside COS, and such a
copy keeps nothing of the old one by itself but its bytes: the headers and metadata would be
gone, the storage class STANDARD, the access control list the bucket's, the encryption off.
So all of that is looked at first and sent along, and the copy is tied to the object that
was looked at.

Source: COS API reference, "PUT Object - Copy".
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, Unpack

from aiocos.encoding.headers import ENVELOPE_HEADER, META_PREFIX, header_value, number
from aiocos.errors import CosException, ParameterError
from aiocos.operations.checks import MAX_PUT_BYTES
from aiocos.operations.copying import COPY_OBJECT, CopyOperations, stored_metadata
from aiocos.operations.objects import ObjectOperations
from aiocos.operations.options import (
    AccessOptions,
    CopySourceOptions,
    CustomerKey,
    ObjectHeaders,
    RequestHeaders,
    ServerEncryption,
    StorageClassName,
)
from aiocos.operations.results import CopyObjectResult
from aiocos.operations.settings.acl import ACLOperations, GetACLResult, is_everyone
from aiocos.operations.spec import Header, Operation
from aiocos.session import Settled

_SOURCE: Final = "CopySource"
_ENCRYPTION: Final = {
    "ServerSideEncryption": "x-cos-server-side-encryption",
    "SSEKMSKeyId": "x-cos-server-side-encryption-cos-kms-key-id",
}
_LEGACY_ENVELOPE: Final = f"{META_PREFIX}client-side-encryption"
_GRANTS: Final = {
    "READ": "x-cos-grant-read",
    "WRITE": "x-cos-grant-write",
    "READ_ACP": "x-cos-grant-read-acp",
    "WRITE_ACP": "x-cos-grant-write-acp",
    "FULL_CONTROL": "x-cos-grant-full-control",
}
_DONE_BY_HEAD: Final = frozenset(
    {
        "CopySourceIfNoneMatch",
        "CopySourceIfModifiedSince",
        "CopySourceIfUnmodifiedSince",
    }
)
"""Conditions that were met when the object was looked at; the copy has one of its own."""
REWRITE_OBJECT: Final[Operation[CopyObjectResult]] = replace(
    COPY_OBJECT,
    # After a lost answer: the copy was made, and is another object than the one looked at,
    # or it is archived by now and cannot be copied again.
    doubtful_codes=frozenset({"PreconditionFailed", "InvalidObjectState"}),
)


class RewriteOptions(
    RequestHeaders,
    CopySourceOptions,
    AccessOptions,
    ServerEncryption,
    CustomerKey,
    total=False,
):
    """Optional keywords of ``change_object_storage_class``."""


class UpdateObjectMetaOptions(RewriteOptions, ObjectHeaders, total=False):
    """Optional keywords of ``update_object_meta``."""


class RewritingOperations(ObjectOperations, CopyOperations, ACLOperations):
    """Changes that make an object anew, of the same bytes."""

    async def change_object_storage_class(
        self,
        Bucket: str,
        Key: str,
        StorageClass: StorageClassName,
        **options: Unpack[RewriteOptions],
    ) -> CopyObjectResult:
        """Move an object of at most 5 GiB to another storage class; all else stays.

        Headers, metadata, access control list and encryption are looked at and stored
        again, which takes permission to read them; with ``ACL`` or ``Grant...`` the list is
        not looked at. Tags COS keeps by itself. Under versioning it is a new version. An
        object that was appended to becomes a normal one.

        Raises:
            PreconditionError: the object was replaced meanwhile; nothing was changed.
            AccessDeniedError: not allowed, or archived and not restored.
            ParameterError: it is larger; ``copy`` with ``CopyStatus='Replaced'`` can do it.

        Options: ``aiocos.types.RewriteOptions``.

        Source: COS SDK for Python, ``change_object_storage_class``.
        """
        if not StorageClass:
            raise ParameterError("StorageClass is required, such as STANDARD_IA")
        return await self._rewrite(Bucket, Key, {**options, "StorageClass": StorageClass})

    async def update_object_meta(
        self, Bucket: str, Key: str, **options: Unpack[UpdateObjectMetaOptions]
    ) -> CopyObjectResult:
        """Change headers and metadata of an object of at most 5 GiB.

        Each keyword replaces what it names, ``Metadata`` all of the metadata; what is not
        named stays, also storage class, access control list and encryption, which are
        looked at and stored again. All that is said of ``change_object_storage_class``
        counts here too. The key of an object that its writer encrypted is never removed.

        Raises:
            PreconditionError: the object was replaced meanwhile; nothing was changed.
            AccessDeniedError: not allowed, or archived and not restored.
            ParameterError: it is larger; ``copy`` with ``CopyStatus='Replaced'`` can do it.

        Options: ``aiocos.types.UpdateObjectMetaOptions``.

        Source: COS SDK for Python, ``update_object_meta``.
        """
        if all(value is None for value in options.values()):
            raise ParameterError("update_object_meta was given nothing to change")
        return await self._rewrite(Bucket, Key, options)

    async def _rewrite(self, Bucket: str, Key: str, given: Mapping[str, Any]) -> CopyObjectResult:
        """Copy an object onto itself with everything that it had, but for what is given."""
        options = {name: value for name, value in given.items() if value is not None}
        session = await self._ready()
        self._request(session, REWRITE_OBJECT, options, Bucket, Key)  # refuses wrong options
        source = session.endpoints.copy_source(
            {"Bucket": Bucket, "Key": Key, "Endpoint": session.config.endpoint}
        )
        head: Mapping[str, Any] = {**await self.head_object(Bucket, Key, **_of_source(options))}
        size = number(head.get("Content-Length", ""))
        if size is not None and size > MAX_PUT_BYTES:
            raise ParameterError(
                f"{Key!r} has {size} bytes, and one copy takes {MAX_PUT_BYTES}: use copy with "
                "CopyStatus='Replaced'"
            )
        if "Metadata" in options:
            options["Metadata"] = await self._metadata_to_store(Key, head, options["Metadata"])
        headers = {"x-cos-copy-source": source, "x-cos-metadata-directive": "Replaced"}
        if AccessOptions.__annotations__.keys().isdisjoint(options):
            headers |= _acl_headers(await self.get_object_acl(Bucket, Key))
        if "Tagging" in options:
            headers["x-cos-tagging-directive"] = "Replaced"
        wanted = {**_kept(head, options), **options, "CopySourceIfMatch": head["ETag"]}
        for condition in _DONE_BY_HEAD:
            wanted.pop(condition, None)
        return await self._invoke(
            REWRITE_OBJECT,
            wanted,
            Bucket=Bucket,
            Key=Key,
            headers=headers,
            reconcile=partial(self._was_rewritten, Bucket, Key, head, wanted),
        )

    async def _metadata_to_store(
        self, Key: str, head: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Return the metadata that an object may be given in place of what it has.

        Raises:
            ParameterError: without what it has, nobody could read the object.
        """
        given = {name.lower() for name in metadata}
        lost = sorted(
            name
            for name in head
            if name == ENVELOPE_HEADER or (name.startswith(_LEGACY_ENVELOPE) and name not in given)
        )
        if lost:
            raise ParameterError(
                f"the object is encrypted by whoever wrote it, and other Metadata would not go "
                f"with {lost[0]}, without which nobody can read it: use a CosEncryptionClient, "
                "or give what head_object tells of it as well, if the sync SDK encrypted it"
            )
        return metadata

    async def _was_rewritten(
        self,
        Bucket: str,
        Key: str,
        before: Mapping[str, Any],
        wanted: Mapping[str, Any],
        error: CosException,
    ) -> Settled[Any] | None:
        """Look whether the object has the same bytes, and all that it was to have."""
        key: Any = {name: wanted[name] for name in CustomerKey.__annotations__ if name in wanted}
        now: dict[str, Any] = {**await self.head_object(Bucket, Key, **key)}
        checksum = "x-cos-hash-crc64ecma"
        is_same = checksum in before and before[checksum] == now.get(checksum)
        return Settled(now) if is_same and _told(now) == _headers_of(wanted) else None


def _of_source(options: Mapping[str, Any]) -> Any:
    """Return what is asked of the object as it is: conditions, and its key of SSE-C."""
    return {
        name.removeprefix(_SOURCE): value
        for name, value in options.items()
        if name.startswith(_SOURCE)
    }


def _told(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return as keywords what headers tell of an object."""
    storage_class = head.get("x-cos-storage-class", "STANDARD")
    return {"StorageClass": storage_class, **stored_metadata(head)}


def _headers_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return those keywords that headers tell, names of metadata in lower case."""
    names = ObjectHeaders.__annotations__.keys() - {"Metadata", "Tagging"}
    told = {name: wanted[name] for name in names if name in wanted}
    if metadata := wanted.get("Metadata"):
        told["Metadata"] = {name.lower(): text for name, text in metadata.items()}
    return {"StorageClass": "STANDARD", **told}


def _kept(head: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return as keywords what the object has, and a copy would lose."""
    kept = stored_metadata(head)
    if "x-cos-storage-class" in head:
        kept["StorageClass"] = head["x-cos-storage-class"]
    keys = CustomerKey.__annotations__.keys()
    if keys.isdisjoint(options):  # encrypted as it was, unless another key is given
        kept |= {name: value for name, value in _of_source(options).items() if name in keys}
    if (keys | ServerEncryption.__annotations__.keys()).isdisjoint([*kept, *options]):
        kept |= {word: head[name] for word, name in _ENCRYPTION.items() if name in head}
    return kept


def _acl_headers(acl: GetACLResult) -> dict[str, str]:
    """Return the headers that give an object the access control list it has."""
    if acl["CannedACL"] == "default":
        return {}
    headers: dict[str, str] = {"x-cos-acl": acl["CannedACL"]}
    owner = (acl.get("Owner") or {}).get("ID")
    for grant in acl["AccessControlList"]["Grant"]:
        who, permission = grant["Grantee"], grant["Permission"]
        is_group = is_everyone(who) or who.get("URI")
        if is_group and permission != "READ":
            raise ParameterError(
                f"the object's access control list grants {permission} to a group, which cannot "
                "be stored again: give ACL or Grant... with the change"
            )
        name = who.get("ID")
        if not is_group and name and name != owner:
            header, one = _GRANTS[permission], header_value(f'id="{name}"', "ID")
            headers[header] = f"{headers[header]},{one}" if header in headers else one
    return headers


def acl_options(acl: GetACLResult) -> dict[str, str | None]:
    """Return as keywords of a copy the access control list that an object has.

    Raises:
        ParameterError: no keyword can say it.
    """
    keywords = {
        option.place.name: keyword
        for keyword, option in COPY_OBJECT.accepts.items()
        if isinstance(option.place, Header)
    }
    headers = _acl_headers(acl)
    if unsaid := sorted(headers.keys() - keywords):
        raise ParameterError(f"the object's access control list needs {unsaid[0]}, put it again")
    return {keywords[name]: value for name, value in headers.items()}

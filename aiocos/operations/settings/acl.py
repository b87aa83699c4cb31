"""Access control lists of buckets and objects."""

from typing import Any, Final, Literal, NotRequired, TypedDict, Unpack

from aiocos.errors import ParameterError
from aiocos.operations.options import AccessOptions, RequestHeaders, VersionOption
from aiocos.operations.settings.setting import Setting, SettingOperations
from aiocos.operations.settings.shapes import Many
from aiocos.request import Reply

Permission = Literal["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"]
EVERYONE: Final = "http://cam.qcloud.com/groups/global/AllUsers"
ANYONE: Final = "qcs::cam::anyone:anyone"
"""The same, as an ID."""
LOGGED_IN: Final = "http://cam.qcloud.com/groups/global/AuthenticatedUsers"
"""Everyone who has an account."""


class ACLOwner(TypedDict, total=False):
    """Whose the bucket or object is."""

    ID: str
    DisplayName: str | None


Grantee = TypedDict(
    "Grantee",
    {
        "@xmlns:xsi": NotRequired[str],
        "@xsi:type": NotRequired[str],
        "Type": NotRequired[str],
        "ID": NotRequired[str | None],
        "DisplayName": NotRequired[str | None],
        "URI": NotRequired[str | None],
        "SubAccount": NotRequired[str | None],
    },
)
"""Who may: ``Type`` is ``CanonicalUser``, with an ``ID``, or ``Group``, with a ``URI``.

Keys with ``@`` are attributes, as in the sync SDK.
"""


class Grant(TypedDict):
    """Who may do what."""

    Grantee: Grantee
    Permission: Permission


class GrantList(TypedDict):
    """Every grant of a list that is put."""

    Grant: Many[Grant]


class AccessControlPolicy(TypedDict, total=False):
    """An access control list to put; it takes the place of the one there is."""

    Owner: ACLOwner
    AccessControlList: GrantList


class GrantListResult(TypedDict):
    """Every grant of a list that is there."""

    Grant: list[Grant]


class GetACLResult(TypedDict):
    """Of ``get_bucket_acl`` and ``get_object_acl``."""

    Owner: NotRequired[ACLOwner | None]
    AccessControlList: GrantListResult
    CannedACL: Literal[
        "default", "private", "public-read", "public-read-write", "authenticated-read"
    ]
    """The least of COS's ready-made lists that lets strangers do what this one does.
    ``private``: they may do nothing, though named accounts may. ``default``: an object has
    no list of its own, its bucket's counts."""


class PutBucketACLOptions(RequestHeaders, AccessOptions, total=False):
    """Optional keywords of ``put_bucket_acl``."""


class ObjectACLOptions(RequestHeaders, VersionOption, total=False):
    """Optional keywords of ``get_object_acl``."""


class PutObjectACLOptions(ObjectACLOptions, AccessOptions, total=False):
    """Optional keywords of ``put_object_acl``."""


class _ACL(Setting[GetACLResult]):
    def read(self, reply: Reply) -> Any:
        """Return the list, and what it comes to for strangers."""
        policy = super().read(reply)
        is_default = reply.headers.get("x-cos-acl") == "default"
        policy["CannedACL"] = "default" if is_default else _canned(policy)
        return policy

    def write(self, content: object, keyword: str) -> bytes:
        """Return the document of a list."""
        if isinstance(content, dict) and "CannedACL" in content:
            raise ParameterError(
                f"{keyword} holds CannedACL, which get derives from the grants and put does not "
                "take: remove it, or give ACL= in the place of grants"
            )
        return super().write(content, keyword)


class _ReadACL(TypedDict):
    """What of a result COS itself sends."""

    Owner: NotRequired[ACLOwner | None]
    AccessControlList: GrantListResult


BUCKET_ACL: Final[Setting[GetACLResult]] = _ACL(
    name="BucketACL",
    subresource="acl",
    root="AccessControlPolicy",
    content=AccessControlPolicy,
    result=_ReadACL,
    put_options=PutBucketACLOptions,
    sends=(),
)
OBJECT_ACL: Final[Setting[GetACLResult]] = _ACL(
    name="ObjectACL",
    subresource="acl",
    root="AccessControlPolicy",
    content=AccessControlPolicy,
    result=_ReadACL,
    scope="object",
    options=ObjectACLOptions,
    put_options=PutObjectACLOptions,
    sends=(),
)


def _canned(policy: _ReadACL) -> str:
    """Return the least canned list that lets strangers do what the grants do."""
    grants = policy["AccessControlList"]["Grant"]
    everyone = {grant["Permission"] for grant in grants if is_everyone(grant["Grantee"])}
    logged_in = {
        grant["Permission"] for grant in grants if grant["Grantee"].get("URI") == LOGGED_IN
    }
    if everyone & {"WRITE", "FULL_CONTROL"} or logged_in & {"WRITE", "FULL_CONTROL"}:
        return "public-read-write"
    if "READ" in everyone:
        return "public-read"
    return "authenticated-read" if "READ" in logged_in else "private"


def is_everyone(grantee: Grantee) -> bool:
    """Whether a grant is to everyone, with or without an account."""
    return grantee.get("URI") == EVERYONE or grantee.get("ID") == ANYONE


class ACLOperations(SettingOperations):
    """Who may do what."""

    async def put_bucket_acl(
        self,
        Bucket: str,
        AccessControlPolicy: AccessControlPolicy | None = None,
        **options: Unpack[PutBucketACLOptions],
    ) -> None:
        """Replace a bucket's access control list.

        Give a whole list, or a ready-made one by ``ACL`` with or without ``Grant...``.

        Raises:
            ParameterError: neither or both were given, or the list cannot be right.

        Options: ``aiocos.types.PutBucketACLOptions``.

        Source: COS SDK for Python, ``put_bucket_acl``.
        """
        await self._put_acl(BUCKET_ACL, AccessControlPolicy, options, Bucket)

    async def get_bucket_acl(self, Bucket: str, **options: Unpack[RequestHeaders]) -> GetACLResult:
        """Return a bucket's access control list, and what it comes to as ``CannedACL``.

        Source: COS SDK for Python, ``get_bucket_acl``.
        """
        return await self._get_setting(BUCKET_ACL, options, Bucket)

    async def put_object_acl(
        self,
        Bucket: str,
        Key: str,
        AccessControlPolicy: AccessControlPolicy | None = None,
        **options: Unpack[PutObjectACLOptions],
    ) -> None:
        """Replace an object's access control list.

        ``ACL='default'`` takes its own list away, so that the bucket's counts.

        Raises:
            NotFoundError: there is no such object or version.
            ParameterError: neither or both were given, or the list cannot be right.

        Options: ``aiocos.types.PutObjectACLOptions``.

        Source: COS SDK for Python, ``put_object_acl``.
        """
        await self._put_acl(OBJECT_ACL, AccessControlPolicy, options, Bucket, Key)

    async def get_object_acl(
        self, Bucket: str, Key: str, **options: Unpack[ObjectACLOptions]
    ) -> GetACLResult:
        """Return an object's access control list, and what it comes to as ``CannedACL``.

        Raises:
            NotFoundError: there is no such object or version.

        Options: ``aiocos.types.ObjectACLOptions``.

        Source: COS SDK for Python, ``get_object_acl``.
        """
        return await self._get_setting(OBJECT_ACL, options, Bucket, Key)

    async def _put_acl(
        self,
        setting: Setting[Any],
        policy: AccessControlPolicy | None,
        options: PutBucketACLOptions | PutObjectACLOptions,
        Bucket: str,
        Key: str | None = None,
    ) -> None:
        has_headers = any(options.get(name) is not None for name in AccessOptions.__annotations__)
        if bool(policy) == has_headers:
            said = "both" if has_headers else "neither"
            raise ParameterError(
                f"{said} AccessControlPolicy and ACL or Grant... were given: COS takes one of the "
                "two"
            )
        if policy:
            await self._put_setting(setting, options, Bucket, Key, AccessControlPolicy=policy)
        else:
            await self._invoke(setting.put, options, Bucket=Bucket, Key=Key)

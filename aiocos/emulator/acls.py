"""Access control lists.

In: request headers, or an AccessControlPolicy. Out: the text in which a list is kept, whom
it lets do what, and the policy document. The text is the name of a canned list, or
``grants:`` and pairs of permission and grantee.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .errors import CosError
from .xml import Element, Node

EVERYONE = "http://cam.qcloud.com/groups/global/AllUsers"
LOGGED_IN = "http://cam.qcloud.com/groups/global/AuthenticatedUsers"
"""Everyone who has an account."""
GROUPS = frozenset({EVERYONE, LOGGED_IN})
# Source: COS documentation, "ACL overview", preset ACLs.
CANNED = {
    "private": (),
    "public-read": ((EVERYONE, "READ"),),
    "public-read-write": ((EVERYONE, "READ"), (EVERYONE, "WRITE")),
    "authenticated-read": ((LOGGED_IN, "READ"),),
}
DEFAULT = "default"
"""The list of an object that has none of its own: the bucket's counts."""
_OF_OBJECTS = frozenset({"bucket-owner-read", "bucket-owner-full-control"})
"""Here an object belongs to the owner of its bucket: they come to ``private``."""
PERMISSIONS = frozenset({"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"})

_ANYONE = "qcs::cam::anyone:anyone"
_GRANTS = "grants:"
_GRANT_HEADERS = {
    f"x-cos-grant-{permission.lower().replace('_', '-')}": permission
    for permission in sorted(PERMISSIONS)
}
_LISTED = re.compile(r'\s*id="([^\s"=]+)"\s*')
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"


class Grant(NamedTuple):
    permission: str
    grantee: str
    """A principal, or the address that stands for everyone."""


def principal(owner: str) -> str:
    return f"qcs::cam::uin/{owner}:uin/{owner}"


def allows(acl: str, owner: str, caller: str, permission: str) -> bool:
    """Whether a list lets this account do it; an empty caller is anybody."""
    trusted = {*GROUPS, principal(caller)} if caller else {EVERYONE}
    return any(
        grant.grantee in trusted and grant.permission in (permission, "FULL_CONTROL")
        for grant in grants(acl, owner)
    )


def grants(acl: str, owner: str) -> list[Grant]:
    """Each grant of a list."""
    if acl.startswith(_GRANTS):
        pairs = (pair.partition("=") for pair in acl.removeprefix(_GRANTS).split())
        return [Grant(permission, grantee) for permission, _, grantee in pairs]
    public = [Grant(permission, group) for group, permission in CANNED.get(acl, ())]
    return [*public, Grant("FULL_CONTROL", principal(owner))]


def _text(listed: Iterable[Grant]) -> str:
    return _GRANTS + " ".join(f"{grant.permission}={grant.grantee}" for grant in listed)


def from_headers(headers: Mapping[str, str], owner: str, default: str) -> str:
    """The list x-cos-acl and x-cos-grant-... ask for; only objects can have ``default``."""
    canned = headers.get("x-cos-acl") or default
    if canned in _OF_OBJECTS and default == DEFAULT:
        canned = "private"
    if canned not in CANNED and canned != default:
        raise CosError("InvalidArgument", "x-cos-acl is not a canned ACL.")
    given = [
        Grant(permission, grantee)
        for name, permission in _GRANT_HEADERS.items()
        for grantee in _grantees(headers.get(name, ""))
    ]
    return _text([*grants(canned, owner), *given]) if given else canned


def is_given(headers: Mapping[str, str]) -> bool:
    """Whether the headers speak of a list at all."""
    return any(headers.get(name) for name in ("x-cos-acl", *_GRANT_HEADERS))


def _grantees(text: str) -> list[str]:
    matches = [_LISTED.fullmatch(item) for item in text.split(",") if item.strip()]
    found = [_normal(match[1]) for match in matches if match is not None]
    if len(found) != len(matches):
        raise CosError("InvalidArgument", 'Grantees are listed as id="...",id="...".')
    return found


def _normal(grantee: str) -> str:
    return EVERYONE if grantee == _ANYONE else grantee


def from_policy(body: Element) -> str:
    """The list of an AccessControlPolicy."""
    if body.child("AccessControlList") is None:
        raise CosError("MalformedXML", "The policy needs an AccessControlList.")
    return _text(_grant(grant) for grant in body.at("AccessControlList/Grant"))


def _grant(element: Element) -> Grant:
    permission, grantee = element.text("Permission"), element.child("Grantee")
    if permission not in PERMISSIONS or grantee is None:
        raise CosError("MalformedXML", "A Grant needs a Grantee and a Permission.")
    named = grantee.text("URI") or grantee.text("ID") or ""
    if not re.fullmatch(r"[^\s=]+", named) or (grantee.text("URI") or EVERYONE) not in GROUPS:
        raise CosError("MalformedXML", "A Grantee needs an ID, or the URI of a group.")
    return Grant(permission, _normal(named))


def policy(acl: str, owner: str) -> list[Node]:
    """The content of an AccessControlPolicy."""
    listed: list[Node] = [_described(grant) for grant in grants(acl, owner)]
    return [("Owner", _person(principal(owner))), ("AccessControlList", listed)]


def _person(identity: str) -> list[Node]:
    return [("ID", identity), ("DisplayName", identity)]


def _described(grant: Grant) -> Node:
    is_group = grant.grantee in GROUPS
    kind = "Group" if is_group else "CanonicalUser"
    named: list[Node] = [("URI", grant.grantee)] if is_group else _person(grant.grantee)
    nodes: list[Node] = [
        (f'Grantee xmlns:xsi="{_SCHEMA}" xsi:type="{kind}"', named),
        ("Permission", grant.permission),
    ]
    return ("Grant", nodes)

"""PostObject: an upload by a form of a web page, as far as a signed policy permits it.

In: a ``Call`` whose body is a form. Out: a ``Reply``, or a refusal. Who may upload what, and
under which key, the policy says in JSON; each of its conditions is weighed here before a
byte of the file is stored, and its size while it comes.

Source: COS API document "POST Object".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from . import access, attributes
from .auth import Caller
from .errors import CosError
from .formdata import Form, boundary_of
from .objects import save, written
from .records import Version
from .wire import Call, Reply
from .xml import document

_POLICY = "policy"
_RANGE = "content-length-range"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STATUSES = ("200", "201", "204")
_WINDOW = "q-sign-time"
"""What the policy calls the field ``q-key-time``."""
_REQUIRED = frozenset({"q-sign-algorithm", "q-ak", _WINDOW})
_MANY = 1000


class _Sizes(NamedTuple):
    """How many bytes the file may have."""

    least: int = 0
    most: int = 1 << 62


async def post_object(call: Call) -> Reply:
    bucket = call.bucket()
    call.body.require_length(or_chunked=True)
    boundary = boundary_of(call.headers.get("content-type", ""))
    form = Form(call.body.chunks(), boundary, call.services.limits.max_header_size)
    await form.read_fields()
    fields = form.fields
    key = fields.get("key", "").replace("${filename}", form.filename)
    caller, sizes = _judge(call, {**fields, "key": key, "bucket": bucket.name})
    access.write(caller, bucket)
    _check_key(call, key)
    upload = replace(
        call,
        caller=caller,
        headers=_headers(fields),
        target=replace(call.target, key=key, scope="object"),
    )
    answer = _answer(fields)
    described = attributes.from_headers(upload)
    saved = await _store(upload, form, sizes, described)
    return _reply(upload, saved, answer, fields)


def _check_key(call: Call, key: str) -> None:
    if not key:
        raise CosError("InvalidArgument", "The form has no key.")
    if len(key.encode()) > call.services.limits.max_key_size:
        raise CosError("KeyTooLong")


def _headers(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields as the headers that a PUT would have."""
    names = {*attributes.STORED_HEADERS, "content-md5"}
    headers = {
        name: value
        for name, value in fields.items()
        if name in names or (name.startswith("x-cos-") and name != "x-cos-acl")
    }
    if fields.get("acl"):
        headers["x-cos-acl"] = fields["acl"]
    if any(_CONTROL.search(value) for value in headers.values()):
        raise CosError("InvalidArgument", "A field holds control characters.")
    return headers


async def _store(call: Call, form: Form, sizes: _Sizes, described: Any) -> Version:
    expected = _md5(call.headers.get("content-md5", ""))
    blob = await call.receive(_measured(form.file(), sizes))
    if expected and blob.md5 != expected.hex():
        call.discard(blob)
        raise CosError("BadDigest")
    return await save(call, blob, described)


async def _measured(file: AsyncIterator[bytes], sizes: _Sizes) -> AsyncIterator[bytes]:
    """The file, refused as soon as it is too long, or at its end when it is too short."""
    size = 0
    async for piece in file:
        size += len(piece)
        if size > sizes.most:
            raise CosError("EntityTooLarge")
        yield piece
    if size < sizes.least:
        raise CosError("EntityTooSmall")


def _md5(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b"?"
    if text and len(digest) != 16:
        raise CosError("InvalidDigest")
    return digest


# -- who, and what is permitted


def _judge(call: Call, fields: Mapping[str, str]) -> tuple[Caller, _Sizes]:
    """For whom the form speaks, and how large its file may be."""
    if _POLICY not in fields and "q-signature" not in fields:
        return call.caller, _Sizes()
    text = _decoded(fields.get(_POLICY, ""))
    clock = call.services.clock
    caller = call.services.keyring.identify_form(fields, text, clock.wall(), clock.now())
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad_policy("it is not JSON") from None
    if not isinstance(policy, dict) or not isinstance(policy.get("conditions"), list):
        raise _bad_policy("it has no conditions")
    if clock.wall() > _expiration(policy.get("expiration")):
        raise CosError("AccessDenied", "Invalid according to Policy: Policy expired.")
    return caller, _weigh(policy["conditions"], {**fields, _WINDOW: fields.get("q-key-time", "")})


def _decoded(policy: str) -> bytes:
    try:
        return base64.b64decode(policy, validate=True)
    except (binascii.Error, ValueError):
        raise _bad_policy("it is not base64") from None


def _expiration(text: object) -> float:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise _bad_policy("expiration is not a time of ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _weigh(conditions: list[Any], fields: Mapping[str, str]) -> _Sizes:
    """Hold each condition against the form; the range of sizes is left for later."""
    sizes, seen = _Sizes(), set()
    if len(conditions) > _MANY:
        raise _bad_policy("it has too many conditions")
    for kind, name, value in map(_condition, conditions):
        if kind == _RANGE:
            sizes = _narrowed(sizes, name, value)
            continue
        field = str(name).removeprefix("$").lower()
        wanted, given = str(value), fields.get(field)
        holds = given == wanted
        if kind == "starts-with" and field not in {"bucket", *_REQUIRED}:
            holds = given is not None and given.startswith(wanted)
        if not holds:
            raise CosError(
                "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {field}"
            )
        seen.add(field)
    if missing := _REQUIRED - seen:
        raise _bad_policy(f"it has no condition for {', '.join(sorted(missing))}")
    return sizes


def _condition(condition: Any) -> tuple[str, Any, Any]:
    """Kind, field and value; for a range its two ends."""
    match condition:
        case dict() if len(condition) == 1:
            [(name, value)] = condition.items()
            return "eq", name, value
        case [str(kind), name, value] if kind.lower() in ("eq", "starts-with", _RANGE):
            return kind.lower(), name, value
    raise _bad_policy("a condition has neither of the known forms")


def _narrowed(sizes: _Sizes, least: Any, most: Any) -> _Sizes:
    try:
        low, high = int(least), int(most)
    except (TypeError, ValueError):
        raise _bad_policy(f"{_RANGE} needs two numbers") from None
    return _Sizes(max(sizes.least, low), min(sizes.most, high))


def _bad_policy(why: str) -> CosError:
    return CosError("InvalidPolicyDocument", f"The policy is not valid: {why}.")


# -- the answer


def _answer(fields: Mapping[str, str]) -> str:
    """The status to answer with, or the address to send the browser to."""
    redirect = fields.get("success_action_redirect", "")
    if redirect:
        if _CONTROL.search(redirect) or not redirect.startswith(("http://", "https://")):
            raise CosError("InvalidArgument", "success_action_redirect is not an address.")
        return redirect
    status = fields.get("success_action_status", "")
    return status if status in _STATUSES else "204"


def _reply(call: Call, saved: Version, answer: str, fields: Mapping[str, str]) -> Reply:
    etag = f'"{saved.etag}"'
    # The bucket is in the path where it is not in the host name.
    path = call.target.raw_path.rstrip("/")
    location = f"http://{call.target.host}{path}/{quote(call.key, safe='/-_.~')}"
    headers = {
        "ETag": etag,
        "Location": location,
        "x-cos-hash-crc64ecma": str(saved.crc),
        **written(call, saved),
    }
    if answer not in _STATUSES:
        found = {"bucket": saved.bucket, "key": call.key, "etag": etag}
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in found.items())
        headers["Location"] = f"{answer}{'&' if '?' in answer else '?'}{query}"
        return Reply(303, headers)
    if answer != "201":
        return Reply(int(answer), headers)
    nodes = [("Location", location), ("Bucket", saved.bucket), ("Key", call.key), ("ETag", etag)]
    return Reply(
        201, {"Content-Type": "application/xml", **headers}, document("PostResponse", nodes)
    )

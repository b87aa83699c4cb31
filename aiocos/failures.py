"""What a refusal says, and why a signature was refused.

In: an answer with an error status or an ``<Error>`` body, and what we had signed. Out: a
CosServiceError of the right class. Whatever is missing or malformed stays ``"Unknown"``;
no secret gets into the text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from lxml import etree

from aiocos.encoding import xml
from aiocos.encoding.urls import query_string
from aiocos.errors import (
    UNKNOWN,
    CosServiceError,
    ResponseParseError,
    ServiceFailure,
    service_error,
)
from aiocos.request import Reply, Request
from aiocos.retry import parse_retry_after, seconds_ahead
from aiocos.signing import SECRET_NAMES

_LINES: Final = ("method", "path", "query parameters", "headers")
_CAUSES: Final = {
    "method": "something on the way changed the method",
    "path": "the key was encoded twice, or a proxy or CDN rewrote the path",
    "query parameters": "a proxy or CDN added, removed or re-encoded a parameter",
    "headers": "a proxy or CDN changed a signed header",
    "host": "a proxy or CDN changed the host: sign for that Domain, or use SignHost=False",
}
_HEAD_NOT_FOUND: Final = ("NoSuchResource", "The Resource You Head Not Exist")
_SECRET: Final = re.compile(
    rb'((?:%b)"?\s*[=:]\s*"?)[^&\s<"]*' % "|".join(sorted(SECRET_NAMES)).encode(), re.IGNORECASE
)


def without_secrets(text: bytes) -> bytes:
    """Blot out what an answer repeats of a request: COS quotes all that was signed."""
    return _SECRET.sub(rb"\1***", text)


def read_failure(request: Request, reply: Reply, our_http_string: str = "") -> CosServiceError:
    """Return the error that an answer carries."""
    reply = replace(reply, body=without_secrets(reply.body))
    said = _said(request, reply)
    headers = reply.headers
    date = headers.get("Date", "")
    resource = said.get("Resource") or f"{request.target.origin}{request.raw_path}"
    hint = ""
    if said.get("Code") == "SignatureDoesNotMatch":
        hint = explain_signature(
            our_http_string, said.get("FormatString", ""), said.get("StringToSign", "")
        )
    if request.method == "HEAD" and reply.status == 404:
        hint = f"No such object, or no bucket at {request.target.host}: COS does not say which."
    elif request.method == "HEAD" and reply.status == 403:
        hint = (
            "An answer to HEAD says no more: no permission, or a SecretKey that does not belong to "
            "the SecretId; list_objects or get_object would be told which."
        )
    return service_error(
        ServiceFailure(
            status=reply.status,
            code=said.get("Code") or UNKNOWN,
            message=said.get("Message") or UNKNOWN,
            resource=resource,
            request_id=said.get("RequestId") or headers.get("x-cos-request-id") or UNKNOWN,
            trace_id=said.get("TraceId") or headers.get("x-cos-trace-id") or UNKNOWN,
            origin=reply.body.decode("utf-8", "replace"),
            method=request.method,
            location=_without_query(headers.get("Location", "")),
            retry_after_s=_retry_after(headers, date),
            date=date,
            hint=hint,
        )
    )


def stream_failure(
    request: Request, headers: Mapping[str, str], code: str, message: str
) -> CosServiceError:
    """Return the error that came inside an answer which had begun as a success."""
    query = f"?{query_string(request.query)}" if request.query else ""
    return service_error(
        ServiceFailure(
            status=200,
            code=code,
            message=without_secrets(message.encode()).decode(),
            resource=f"{request.target.origin}{request.raw_path}{query}",
            request_id=headers.get("x-cos-request-id") or UNKNOWN,
            trace_id=headers.get("x-cos-trace-id") or UNKNOWN,
            method=request.method,
            date=headers.get("Date", ""),
        )
    )


def _said(request: Request, reply: Reply) -> dict[str, str]:
    """Return the error document's fields, or what stands in for one."""
    if code := reply.headers.get("x-cos-error-code"):
        message = reply.headers.get("x-cos-error-message", "").encode() or reply.body
        return {"Code": code, "Message": without_secrets(message).decode("utf-8", "replace")}
    if not reply.body:
        if request.method == "HEAD" and reply.status == 404:
            return dict(zip(("Code", "Message"), _HEAD_NOT_FOUND, strict=True))
        return {}
    try:
        root = xml.parse(reply.body, ())
    except ResponseParseError:
        return {}
    return error_fields(root)


def error_fields(root: etree._Element) -> dict[str, str]:
    """Return the texts of an ``<Error>`` document by name."""
    return {xml.local_name(child): (child.text or "").strip(" ") for child in root}


def _retry_after(headers: Mapping[str, str], date: str) -> float | None:
    value = headers.get("Retry-After")
    if value is None:
        return None
    # A date is told from the server's own clock, which need not be ours.
    server_now = seconds_ahead(date, 0.0)
    return parse_retry_after(value, server_now or 0.0)


def _without_query(address: str) -> str:
    try:
        return urlsplit(address)._replace(query="", fragment="").geturl()
    except ValueError:
        return ""


def explain_signature(ours: str, theirs: str, string_to_sign: str) -> str:
    """Say where the canonical request that COS computed parts from ours, and why."""
    if not ours:
        return ""
    digest = hashlib.sha1(ours.encode(), usedforsecurity=False).hexdigest()
    if string_to_sign and digest in string_to_sign:
        return f"Both sides signed the same request: {_WRONG_KEY}."
    if theirs:
        return _first_difference(without_secrets(ours.encode()).decode(), theirs)
    return (
        "COS did not say what it computed. Likely causes, most frequent first: "
        f"{_WRONG_KEY}; {_CAUSES['host']}; {_CAUSES['path']}."
    )


_WRONG_KEY: Final = "the SecretKey does not belong to the SecretId, or is not copied whole"


def _first_difference(ours: str, theirs: str) -> str:
    our_lines, their_lines = ours.split("\n"), theirs.replace("\r\n", "\n").split("\n")
    for number, name in enumerate(_LINES):
        our_line = our_lines[number] if number < len(our_lines) else ""
        their_line = their_lines[number] if number < len(their_lines) else ""
        if our_line == their_line:
            continue
        if number < 2:
            return f"Line {number + 1} differs ({name}): we signed {our_line!r}, COS computed " + (
                f"{their_line!r}. Likely cause: {_CAUSES[name]}."
            )
        return _pair_difference(number, name, our_line, their_line)
    return f"Both sides signed the same request: {_WRONG_KEY}."


def _pair_difference(number: int, name: str, our_line: str, their_line: str) -> str:
    our_pairs, their_pairs = _pairs(our_line), _pairs(their_line)
    differing = sorted(
        item
        for item in our_pairs.keys() | their_pairs.keys()
        if our_pairs.get(item) != their_pairs.get(item)
    )
    first = differing[0] if differing else "order"
    cause = _CAUSES.get(first, _CAUSES[name])
    return (
        f"Line {number + 1} differs ({name}), first at {first!r}: we signed "
        f"{_shown(first, our_pairs)}, COS computed {_shown(first, their_pairs)}. "
        f"Likely cause: {cause}."
    )


def _pairs(line: str) -> dict[str, str]:
    split = (pair.partition("=") for pair in line.split("&") if pair)
    return {name: value for name, _, value in split}


def _shown(name: str, pairs: Mapping[str, str]) -> str:
    if name not in pairs:
        return "nothing"
    return "a value that is secret" if name in SECRET_NAMES else repr(pairs[name])

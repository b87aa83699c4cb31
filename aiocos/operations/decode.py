"""Answers into results, and the proof that what was sent has arrived.

In: a Reply. Out: the dict that the caller gets. An ``<Error>`` inside a success raises
EmbeddedError; anything else that COS would not send raises ResponseParseError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import unquote

from lxml import etree

from aiocos.encoding import records, xml
from aiocos.encoding.digest import md5_of_etag
from aiocos.encoding.headers import number
from aiocos.errors import CosException, DamagedUploadError, ResponseParseError
from aiocos.request import Reply
from aiocos.transport import Exchange

_SSE: Final = "x-cos-server-side-encryption"


class EmbeddedError(CosException):
    """A success status around an ``<Error>`` document; never leaves the session."""


def parse(reply: Reply, *roots: str) -> etree._Element:
    """Return the root of an answer, or raise what it carries."""
    root = xml.parse(reply.body, roots)
    if xml.local_name(root) == "Error":
        raise EmbeddedError
    return root


def refuse_page(reply: Reply) -> None:
    """Refuse a success that did not come from COS: a portal's page, or an error inside.

    COS sends no body here, or what a callback returned, which is not HTML.
    """
    if _begins(reply, b"<!doctype", b"<html"):
        raise ResponseParseError("the answer is an HTML page: it does not come from COS")
    if _begins(reply, b"<?xml", b"<error") and b"<Error>" in reply.body:
        parse(reply)


def _begins(reply: Reply, *marks: bytes) -> bool:
    return reply.body[:256].lstrip().lower().startswith(marks)


def nothing(reply: Reply) -> None:
    """Return None: the status says it all."""
    refuse_page(reply)


def refuse_stranger(headers: Mapping[str, str]) -> None:
    """Refuse a success without a trace of COS: a portal answers 200 to whatever is asked."""
    if "ETag" not in headers and "x-cos-request-id" not in headers:
        raise ResponseParseError(
            "the answer has neither ETag nor x-cos-request-id: it does not come from COS"
        )


def headers_only(reply: Reply) -> Any:
    """Return the answer's headers."""
    refuse_page(reply)
    refuse_stranger(reply.headers)
    return reply.headers


def stored_headers(reply: Reply) -> Any:
    """Return the headers of a write, which COS always answers with an ETag."""
    refuse_page(reply)
    if "ETag" not in reply.headers:
        raise ResponseParseError("the answer to an upload has no ETag: nothing may be stored")
    return reply.headers


def appended_headers(reply: Reply) -> Any:
    """Return the headers of an append, which COS answers with the next position."""
    refuse_page(reply)
    if number(reply.headers.get("x-cos-next-append-position", "")) is None:
        raise ResponseParseError("the answer to an append has no x-cos-next-append-position")
    return reply.headers


def headers_and(*roots: str) -> Callable[[Reply], Any]:
    """Return a decoder for headers and a document that must have an ETag."""

    def decode(reply: Reply) -> Any:
        tree = xml.to_tree(parse(reply, *roots), ())
        if not isinstance(tree.get("ETag"), str):
            raise ResponseParseError(f"the {roots[0]} document has no ETag")
        return {**reply.headers, **tree}

    return decode


def tree_of(
    *roots: str, needs: Collection[str] = (), lists: Collection[str] = ()
) -> Callable[[Reply], Any]:
    """Return a decoder for a document: every list is there, also when it is empty."""
    names = frozenset(lists)

    def decode(reply: Reply) -> Any:
        tree = records.tree_of(reply.body, roots, names)
        if tree is None:
            tree = xml.to_tree(parse(reply, *roots), names)
        for name in needs:
            if not isinstance(tree.get(name), str):
                raise ResponseParseError(f"the {roots[0]} document has no {name}")
        for name in names:
            listed: Any = tree.setdefault(name, [])
            if any(not isinstance(item, dict) for item in listed):
                raise ResponseParseError(f"a <{name}> of the {roots[0]} document is empty")
        return tree

    return decode


def read_names(
    tree: dict[str, Any], fields: Mapping[str, Collection[str]], *, is_encoded: bool
) -> None:
    """Check that the names in a listing are texts, and percent-decode them where encoded.

    ``fields`` maps "" to the names at the top, and each list to the names in its items.
    """
    for place, names in fields.items():
        for item in tree[place] if place else (tree,):
            for name in names:
                text = item.get(name)
                if not isinstance(text, str):
                    if place or text is not None:
                        raise ResponseParseError(f"a <{name}> of the listing is not a text")
                elif is_encoded and "%" in text:
                    # Mostly nothing else is encoded, and ``unquote`` takes ten times as long.
                    plain = text.replace("%2F", "/")
                    item[name] = unquote(text) if "%" in plain else plain


async def check_stored(reply: Reply, exchange: Exchange) -> None:
    """Compare what was sent with what COS says it stored, and note how in the result.

    Raises:
        DamagedUploadError: they differ.
    """
    upload = exchange.upload
    stored = number(reply.headers.get("x-cos-hash-crc64ecma", ""))
    if stored is not None:
        if stored != upload.crc64:
            raise _damaged(reply, f"CRC-64 {stored}, but {upload.crc64}")
        reply.headers["verified"] = "crc64"
        return
    etag = md5_of_etag(reply.headers.get("ETag", ""))
    body = upload.body
    if etag is None or body is None or not body.replayable or _is_encrypted(reply):
        reply.headers["verified"] = "size"
        return
    sent = (await body.md5(upload.executor)).hex()
    if sent != etag:
        raise _damaged(reply, f"MD5 {etag}, but {sent}")
    reply.headers["verified"] = "md5"


def _is_encrypted(reply: Reply) -> bool:
    """Whether COS encrypts the object: its ETag is not an MD5 of the content then."""
    return any(name.startswith(_SSE) for name in reply.headers)


def _damaged(reply: Reply, difference: str) -> DamagedUploadError:
    text = f"COS stored {difference} was sent: damaged on the way"
    return DamagedUploadError(text, headers=reply.headers)

"""Header values on their way out, and the headers of an answer under COS's names.

In: what the caller gave, or what a server sent. Out: text that is safe in a header, and a
dict whose keys do not depend on the server's spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, unquote

from aiocos.errors import ParameterError

META_PREFIX: Final = "x-cos-meta-"
ENVELOPE_HEADER: Final = f"{META_PREFIX}aiocos-encryption"
"""Of objects that were encrypted before their upload; it proves the rest of their metadata."""
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*")
_ASCII_EXCEPT_PERCENT: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

_CUSTOMER_KEY: Final = "x-cos-server-side-encryption-customer-key"
_SECRET: Final = re.compile(r"customer-?key\Z|token\Z|authorization\Z", re.IGNORECASE)

# The names COS documents that are not plain lower case or Title-Case.
_SPELLING: Final = {
    "etag": "ETag",
    "content-md5": "Content-MD5",
    f"{_CUSTOMER_KEY}-md5": f"{_CUSTOMER_KEY}-MD5",
}


def unicode_text(value: str, name: str) -> str:
    """Return a text that has a form in UTF-8, or refuse it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ParameterError(f"{name} holds half of a surrogate pair: not Unicode") from None
    return value


def header_value(value: object, name: str) -> str:
    """Return a value as header text, or refuse it before anything is sent."""
    text = value if isinstance(value, str) else str(value)
    if not _PRINTABLE.fullmatch(text):
        shown = "a secret with a character too many" if _SECRET.search(name) else repr(text)
        raise ParameterError(
            f"{name} is {shown}; a header holds printable ASCII only "
            "(percent-encode the rest, in ContentDisposition as filename*=UTF-8''...)"
        )
    return text.strip(" \t")


def metadata_headers(metadata: object) -> dict[str, str]:
    """Return user metadata as headers; values that are not ASCII are percent-encoded."""
    if not isinstance(metadata, Mapping):
        raise ParameterError(f"Metadata must be a dict, not {type(metadata).__name__}")
    headers = {}
    for name, value in metadata.items():
        if not (isinstance(name, str) and name.lower().startswith(META_PREFIX)):
            raise ParameterError(f"Metadata name {name!r} must begin with {META_PREFIX}")
        if len(name) == len(META_PREFIX) or not _TOKEN.fullmatch(name):
            raise ParameterError(f"Metadata name {name!r} is not a header name")
        if not isinstance(value, str):
            raise ParameterError(f"Metadata[{name!r}] must be a str, not {type(value).__name__}")
        headers[name] = header_value(encode_metadata(value), f"Metadata[{name!r}]")
    if len({name.lower() for name in headers}) < len(headers):
        raise ParameterError("Metadata has names that differ only in case, which are one header")
    return headers


def number(text: str) -> int | None:
    """Return what a header that should be a number says; None where it is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def encode_metadata(value: str) -> str:
    """Percent-encode a value that is not ASCII, and leave every other as it is."""
    if value.isascii():
        return value
    # A space at either end of a header would be lost on the way.
    safe = _ASCII_EXCEPT_PERCENT if value == value.strip(" ") else _ASCII_EXCEPT_PERCENT[1:]
    try:
        return quote(value, safe=safe)
    except UnicodeEncodeError:
        raise ParameterError("a Metadata value holds half of a surrogate pair") from None


def decode_metadata(value: str) -> str:
    """Undo ``encode_metadata``; a value that it cannot have made comes back unchanged."""
    if "%" not in value:
        return value
    decoded = unquote(value, errors="surrogateescape")
    try:
        is_ours = not decoded.isascii() and encode_metadata(decoded) == value
    except ParameterError:
        return value
    return decoded if is_ours else value


def canonical_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return an answer's headers in COS's spelling; repeated ones are joined by a comma."""
    result: dict[str, str] = {}
    for given, text in headers:
        name = _known_names.get(given) or _spell(given)
        value = decode_metadata(text) if "%" in text and name.startswith(META_PREFIX) else text
        result[name] = f"{result[name]}, {value}" if name in result else value
    return result


_known_names: dict[str, str] = {}


def _spell(name: str) -> str:
    lower = name.lower()
    if lower in _SPELLING:
        spelt = _SPELLING[lower]
    elif lower.startswith(("x-cos-", "x-ci-")):
        spelt = lower
    else:
        spelt = "-".join(word.capitalize() for word in lower.split("-"))
    if len(_known_names) < 1024:
        _known_names[name] = spelt
    return spelt


def user_metadata(headers: Mapping[str, object]) -> dict[str, str]:
    """Return the ``x-cos-meta-*`` entries of a result, as ``Metadata`` takes them."""
    return {name: str(value) for name, value in headers.items() if name.startswith(META_PREFIX)}

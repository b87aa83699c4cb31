"""Signatures equal the official SDK's, step by step.

The vectors hold what each step of the algorithm gives, so that a failure names the step.
Which host is signed, and whether parameters are, the caller of the signer decides; the rules
for that are written out here.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from aiocos import signing
from tests.support.vectors import load

VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector for vector in load("sign.json")["vectors"]
}


def _path(vector: dict[str, Any]) -> str:
    return "/" + (vector["key"] or "").removeprefix("/")


def _params(vector: dict[str, Any]) -> list[tuple[str, str]]:
    if not vector["config_sign_params"]:
        return []
    return [(name, str(value)) for name, value in vector["params"].items()]


def _headers(vector: dict[str, Any]) -> list[tuple[str, str]]:
    """A Host header counts as it stands; else the URL's host without port, in lower case."""
    headers = list(vector["headers"].items())
    sign_host = vector["sign_host_arg"]
    if sign_host is None:
        sign_host = vector["config_sign_host"]
    if sign_host and not any(name.lower() == "host" for name, _ in headers):
        headers.append(("host", urlsplit(vector["url"]).hostname or ""))
    return headers


@pytest.mark.parametrize("vector_id", VECTORS)
def test_each_step_of_a_signature_is_as_recorded(vector_id: str) -> None:
    """The canonical request, the text to sign, the key and the header all agree."""
    vector = VECTORS[vector_id]

    signature = signing.sign(
        method=vector["method"],
        path=_path(vector),
        params=_params(vector),
        headers=_headers(vector),
        secret_id=vector["secret_id"],
        secret_key=vector["secret_key"],
        now=vector["now"],
        expire_s=vector["expire"],
    )

    window = signing.key_time(vector["now"], vector["expire"])
    assert signature.http_string == vector["http_string"]
    assert signing.string_to_sign(window, signature.http_string) == vector["string_to_sign"]
    assert signing.sign_key(vector["secret_key"], window).decode() == vector["sign_key"]
    assert signature.authorization == vector["authorization"]


def test_vectors_are_all_there() -> None:
    """A file cut short would make the test above pass with less."""
    assert len(VECTORS) == 20

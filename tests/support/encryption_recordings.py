"""Recorded calls of the sync SDK's encrypting client, in the form of the other recordings.

In: ``vectors/crypto.json``, where a recording is an upload with all reads of what it made. Out:
one recording for each call, or for the calls of one upload in parts. What RSA has wrapped is
not the same twice, so it is unwrapped, by another library, before it is compared.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from Crypto.Cipher import AES, PKCS1_OAEP, PKCS1_v1_5
from Crypto.PublicKey import RSA

from tests.support import vectors
from tests.support.vectors import Report

FILE: dict[str, Any] = vectors.load("crypto.json")
KEY = "x-cos-meta-client-side-encryption-key"
START = "x-cos-meta-client-side-encryption-iv"
PROBES: dict[str, Report] = {
    vector["id"]: vector for vector in FILE["vectors"] if vector["kind"] == "probe"
}


def content(spec: Report) -> bytes:
    """The plaintext of a recording."""
    return vectors.content(spec)


def encrypted(vector: Report, plaintext: bytes) -> bytes:
    """The ciphertext, by another library than ours."""
    cipher = AES.new(
        bytes.fromhex(vector["data_key_hex"]),
        AES.MODE_CTR,
        nonce=b"",
        initial_value=bytes.fromhex(vector["iv_hex"]),
    )
    return cipher.encrypt(plaintext)


def _calls(vector: Report) -> Iterator[tuple[str, Report]]:
    base = {"config": FILE["config"], "of": vector}
    if vector["operation"] == "multipart":
        yield vector["id"], {**base, "exchanges": vector["exchanges"], "result": None}
        return
    body = {"$bytes_b64": base64.b64encode(content(vector["plaintext"])).decode()}
    if vector.get("body_kind") == "bytesio":
        body = {"$bytesio": {**vector["plaintext"], "position": 0}}
    first = vector["put"]["exchanges"][0]["request"]
    put = {"Bucket": BUCKET, "Key": first["path"][1:], "Body": body}
    if "user-metadata" in vector["id"]:
        put["Metadata"] = {"x-cos-meta-mine": "kept"}
    yield f"{vector['id']}/put", {**base, "operation": "put_object", "kwargs": put, **vector["put"]}
    for number, recorded in enumerate(vector["gets"]):
        is_suffix = recorded["kwargs"].get("Range", "").startswith("bytes=-")
        get = _suffix(vector, recorded) if is_suffix else recorded
        exchanges = get["exchanges"] or _answered(vector, get)
        call = {"operation": "get_object", **get, "exchanges": exchanges}
        yield f"{vector['id']}/get.{number}", {**base, **call}


def _suffix(vector: Report, get: Report) -> Report:
    """A read of the last bytes, which the sync SDK cannot do: as it does the other ranges."""
    head = get["exchanges"][0]["request"]
    plaintext = content(vector["plaintext"])
    wanted = int(get["kwargs"]["Range"].removeprefix("bytes=-"))
    first = (len(plaintext) - wanted) // 16 * 16
    headers = {**head["headers"], "range": f"bytes={first}-{len(plaintext) - 1}"}
    body = {"$to_file_b64": base64.b64encode(plaintext[-wanted:]).decode()}
    return {
        **get,
        "requests": [head, {**head, "method": "GET", "headers": headers}],
        "exchanges": None,
        "result": {**vector["gets"][0]["result"], "Body": body},
    }


def _answered(vector: Report, get: Report) -> list[Report]:
    """The exchanges of a read whose answers were too large to be recorded."""
    headers = {name: value for name, value in get["result"].items() if name != "Body"}
    stored = encrypted(vector, content(vector["plaintext"]))
    assert hashlib.sha256(stored).hexdigest() == vector["ciphertext_sha256"]
    head, read = get["requests"]
    first, last = map(int, read["headers"]["range"].removeprefix("bytes=").split("-"))
    part = stored[first : last + 1]
    ranged = {
        **headers,
        "Content-Length": str(len(part)),
        "Content-Range": f"bytes {first}-{last}/{len(stored)}",
    }
    return [
        {"request": head, "response": _response(200, headers, b"")},
        {"request": read, "response": _response(206, ranged, part)},
    ]


def _response(status: int, headers: dict[str, str], body: bytes) -> Report:
    coded = base64.b64encode(body).decode()
    return {"status": status, "headers": list(headers.items()), "body_b64": coded}


BUCKET = "examplebucket-1250000000"
CALLS: dict[str, Report] = {
    call_id: call
    for vector in FILE["vectors"]
    if vector["kind"] != "probe"
    for call_id, call in _calls(vector)
}


def unwrapped(vector: Report, wrapped: str) -> bytes:
    """What a header has wrapped."""
    coded = base64.b64decode(wrapped)
    if "master_key_b64" in vector:
        raise AssertionError("an AES key wraps the same twice")
    key = RSA.import_key(FILE["rsa_keys"][vector["rsa_key"]]["private_pem"])
    if vector["wrap"] == "RSA-PKCS1v1.5":
        return PKCS1_v1_5.new(key).decrypt(coded, b"not wrapped like that")
    return PKCS1_OAEP.new(key).decrypt(coded)


def take_wrapped(vector: Report, expected: Report, actual: Report) -> None:
    """Expect what RSA has wrapped here, once it was found to be the recording's keys."""
    if vector["kind"] != "rsa":
        return
    for wanted, got in zip(expected["requests"], actual["requests"], strict=False):
        for name, text in ((KEY, vector["data_key_hex"]), (START, vector["iv_hex"])):
            if name in wanted["headers"] and name in got["headers"]:
                found = unwrapped(vector, got["headers"][name]).hex()
                wanted["headers"][name] = got["headers"][name] if found == text else text

"""The objects of ``encryption_v2.json``, put together, and what a client makes of them.

In: a case of any of its lists. Out: the name, the headers and the bytes of an object, and
what a reader of it gives out before it stops.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiocos
from tests.support import vectors
from tests.support.capture import CaptureServer, Reply
from tests.vectors import encryption_cases as cases
from tests.vectors import encryption_reader as reader

BUCKET = "examplebucket-1250000000"
FILE: dict[str, Any] = vectors.load("encryption_v2.json")
READ: dict[str, dict[str, Any]] = {case["id"]: case for case in FILE["read"]}


@cache
def plaintext(case_id: str) -> bytes:
    return cases.plaintext_of(READ[case_id])


@cache
def ciphertext(case_id: str) -> bytes:
    """What is stored of a case to be read, made by the second writer."""
    case = READ[case_id]
    data_key = bytes.fromhex(case["data_key"])
    made = reader.seal_content(plaintext(case_id), data_key, empty_last=case["empty_last"])
    assert hashlib.sha256(made).hexdigest() == case["ciphertext"]["sha256"]
    return made


@dataclass(frozen=True)
class Stored:
    """An object as COS has it, and what of it is right."""

    id: str
    of: str
    name: str
    master_key: str
    headers: dict[str, str]
    content: bytes

    @property
    def key(self) -> str:
        """How a caller names it: one slash in front is dropped."""
        return f"/{self.name}" if self.name.startswith("/") else self.name

    def reply(self) -> Reply:
        """The answer to a GET of it, or to a HEAD."""
        length = ("Content-Length", str(len(self.content)))
        return Reply(200, (length, ("ETag", '"e"'), *self.headers.items()), self.content)


def stored(case: dict[str, Any]) -> Stored:
    """Put an object together from a case."""
    of = case.get("of", case["id"])
    seen = READ[of] | case
    content = ciphertext(of)
    if isinstance(case.get("ciphertext"), list):
        content = b"".join(
            base64.b64decode(piece)
            if isinstance(piece, str)
            else ciphertext(piece[0])[piece[1] : piece[2]]
            for piece in case["ciphertext"]
        )
        assert len(content) == case["size"]
    headers = cases.changed(seen["headers"], case)
    return Stored(case["id"], of, seen["name"], seen["master_key"], headers, content)


@cache
def provider(name: str) -> aiocos.KeyProvider:
    """Our provider of a master key of the file."""
    [(kind, text)] = FILE["master_keys"][name].items()
    if kind == "base64":
        return aiocos.AESProvider(text)
    public = reader.RSA.import_key(text).public_key().export_key().decode()
    return aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair(public, text))


def config(port: int) -> aiocos.CosConfig:
    return aiocos.CosConfig(
        Region="ap-guangzhou",
        SecretId="AKIDexample",
        SecretKey="example",
        Scheme="http",
        IP="127.0.0.1",
        Port=port,
        ServiceDomain=f"127.0.0.1:{port}",
    )


class Readers:
    """Clients of a server that answers each request with one object, header for header."""

    def __init__(self, server: CaptureServer, renamed: str) -> None:
        self._server, self._renamed = server, renamed
        self._clients: dict[str, aiocos.CosEncryptionClient] = {}

    def _client(self, master_key: str) -> aiocos.CosEncryptionClient:
        if master_key not in self._clients:
            given: Any = {"Renamed": self._renamed}
            retry = aiocos.RetryPolicy(base=0.001, throttle_base=0.001)
            self._clients[master_key] = aiocos.CosEncryptionClient(
                config(self._server.port), provider(master_key), retry, **given
            )
        return self._clients[master_key]

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def read(self, one: Stored) -> tuple[bytes, Exception | None]:
        """Read an object from the beginning: what was given out, and how it ended."""
        self._server.replies = [one.reply()]
        given = b""
        try:
            client = self._client(one.master_key)
            result = await client.get_object(BUCKET, one.key, KeySimplifyCheck=False)
            async for piece in result["Body"]:
                given += piece
        except Exception as error:
            return given, error
        return given, None


@asynccontextmanager
async def readers(renamed: str = "refuse") -> AsyncIterator[Readers]:
    async with CaptureServer([]) as server:
        made = Readers(server, renamed)
        try:
            yield made
        finally:
            await made.aclose()

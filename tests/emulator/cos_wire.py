"""Requests to the server made by hand, signed by a signer of their own.

In: the parts of a request. Out: the answer exactly as it came. Nothing of aiocos is used,
so that an error in it cannot hide here.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

BUCKET = "examplebucket-1250000000"
HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"

Params = Sequence[tuple[str, str]]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    """Names spelled as the server spells them."""
    body: bytes

    @property
    def code(self) -> str | None:
        return self.xml("Code")

    def xml(self, path: str) -> str | None:
        return ET.fromstring(self.body).findtext(path)

    def all(self, path: str) -> list[str]:
        return [node.text or "" for node in ET.fromstring(self.body).findall(path)]


def encode(text: str) -> str:
    return quote(text, safe="-_.~")


def hmac_hex(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()


def sign(
    method: str,
    path: str,
    params: Params,
    headers: Mapping[str, str],
    *,
    secret_id: str,
    secret_key: str,
    window: str,
) -> dict[str, str]:
    """The seven fields of a signature over everything given."""

    def listed(pairs: Params) -> tuple[str, str]:
        encoded = sorted((encode(name).lower(), encode(value)) for name, value in pairs)
        names = ";".join(name for name, _ in encoded)
        return names, "&".join(f"{name}={value}" for name, value in encoded)

    param_names, param_pairs = listed(params)
    header_names, header_pairs = listed(list(headers.items()))
    text = f"{method.lower()}\n{path}\n{param_pairs}\n{header_pairs}\n"
    digest = hashlib.sha1(text.encode()).hexdigest()
    return {
        "q-sign-algorithm": "sha1",
        "q-ak": secret_id,
        "q-sign-time": window,
        "q-key-time": window,
        "q-header-list": header_names,
        "q-url-param-list": param_names,
        "q-signature": hmac_hex(hmac_hex(secret_key, window), f"sha1\n{window}\n{digest}\n"),
    }


class Wire:
    """A client that sends what it is told."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def fields(
        self,
        method: str,
        path: str,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        *,
        now: float | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
    ) -> dict[str, str]:
        moment = int(time.time() if now is None else now)
        return sign(
            method,
            path,
            params,
            headers or {},
            secret_id=secret_id or self.server.secret_id,
            secret_key=secret_key or self.server.secret_key,
            window=f"{moment - 60};{moment + 600}",
        )

    async def ask(
        self,
        method: str,
        target: str = "/",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        host: str = HOST,
        signed: bool = True,
        **signing: Any,
    ) -> Answer:
        """Send a request; ``target`` goes out as it is."""
        sent = {"host": host, **(headers or {})}
        if body is not None:
            sent["content-length"] = str(len(body))
        if signed:
            path, _, query = target.partition("?")
            pairs = [item.partition("=")[::2] for item in query.split("&") if item]
            params = [(unquote(name), unquote(value)) for name, value in pairs]
            fields = self.fields(method, unquote(path), params, sent, **signing)
            sent["authorization"] = "&".join(f"{k}={v}" for k, v in fields.items())
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return await self.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))

    def request(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The signed head of a request to the example bucket; ``target`` needs no decoding."""
        sent = {"host": HOST, **(headers or {})}
        fields = self.fields(method, target, [], sent)
        sent["authorization"] = "&".join(f"{name}={value}" for name, value in fields.items())
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode()

    async def raw(self, request: bytes) -> Answer:
        """Send these bytes and read one answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(request)
            await writer.drain()
            return await read_answer(reader, is_head=request.startswith(b"HEAD "))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader, *, is_head: bool = False) -> Answer:
    """One answer; what is cut short raises IncompleteReadError, a reset ConnectionError."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8").split("\r\n")
    status = int(head[0].split(" ")[1])
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    if is_head or status in (100, 204, 304):
        return Answer(status, headers, b"")
    if "Content-Length" in headers:
        return Answer(status, headers, await reader.readexactly(int(headers["Content-Length"])))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return Answer(status, headers, body)

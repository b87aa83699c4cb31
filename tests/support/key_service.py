"""A key service, as a company would run one, and a provider that talks to it over HTTP.

In: master keys by their names, of which one is the present one. Out: data keys, wrapped and
unwrapped; and delays and failures to try a client with.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import aiocos


class KeyServiceDownError(Exception):
    """The caller's own error: the service did not answer, or not in time."""


@dataclass
class KeyService:
    """Listens on a free port while it is entered."""

    masters: dict[str, bytes] = field(default_factory=lambda: {"arn:keys/2025": os.urandom(32)})
    present: str = "arn:keys/2025"
    delay_s: float = 0.0
    status: int = 200
    calls: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0

    def rotate(self, name: str) -> None:
        """Take a new master key; the old ones stay for what they have wrapped."""
        self.masters[name] = os.urandom(32)
        self.present = name

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(
            web.Server(self._answer, handler_cancellation=True), shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = await request.json()
        self.calls.append(request.path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.at_once -= 1
        if self.status != 200:
            return web.Response(status=self.status)
        name = asked.get("name", self.present)
        if name not in self.masters:
            return web.Response(status=404)
        cipher, content = AESGCM(self.masters[name]), base64.b64decode(asked["content"])
        try:
            if request.path == "/wrap":
                nonce = os.urandom(12)
                content = nonce + cipher.encrypt(nonce, content, None)
            else:
                content = cipher.decrypt(content[:12], content[12:], None)
        except InvalidTag:
            return web.Response(status=400)
        return web.json_response({"name": name, "content": base64.b64encode(content).decode()})


class ServiceProvider:
    """The provider: what a user of the library writes."""

    def __init__(self, service: KeyService, timeout_s: float = 2.0) -> None:
        self._url = f"http://127.0.0.1:{service.port}"
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session = aiohttp.ClientSession(timeout=self._timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def wrap(self, data_key: bytes) -> aiocos.WrappedKey:
        """Wrap under the present master key."""
        answer = await self._ask("/wrap", data_key)
        return aiocos.WrappedKey("corp-kms", answer["name"], base64.b64decode(answer["content"]))

    async def unwrap(self, wrapped: aiocos.WrappedKey) -> bytes:
        """Unwrap under the master key that is named."""
        if wrapped.wrap != "corp-kms":
            raise aiocos.DecryptionError(f"{wrapped.wrap} is not ours")
        answer = await self._ask("/unwrap", wrapped.key, name=wrapped.key_id)
        return base64.b64decode(answer["content"])

    async def _ask(self, path: str, content: bytes, **more: str) -> dict[str, Any]:
        asked = {"content": base64.b64encode(content).decode(), **more}
        try:
            async with self._session.post(self._url + path, json=asked) as answer:
                if answer.status in (400, 404):
                    raise aiocos.DecryptionError("the key service has no such key")
                answer.raise_for_status()
                found: dict[str, Any] = json.loads(await answer.read())
                return found
        except (aiohttp.ClientError, TimeoutError) as error:
            raise KeyServiceDownError(str(error)) from error

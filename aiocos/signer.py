"""Gives each attempt its headers: fresh credentials, a corrected clock, a signature.

In: a Request and where it goes. Out: the headers to send, and the text that was signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from aiocos import signing
from aiocos.config import CosConfig
from aiocos.credentials import CredentialProvider, Credentials, RefreshesAhead, snapshot
from aiocos.encoding.urls import Target
from aiocos.request import Request
from aiocos.retry import seconds_ahead

SIGNATURE_VALID_S: Final = 900
_BODILESS: Final = frozenset({"GET", "HEAD"})


class Signed(NamedTuple):
    """What one attempt sends, and what it signed."""

    headers: dict[str, str]
    http_string: str
    credentials: Credentials | None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sorted(self.headers)})"


class Signer:
    """Credentials and clock of one client. ``clock`` gives Unix time."""

    def __init__(self, config: CosConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self.skew_s = 0.0
        """How far COS's clock is ahead of ours."""
        self._refreshing = asyncio.Lock()
        self._static = None if config.Anonymous else config.static_credentials()
        given: object = config.CredentialInstance
        self._provider = given if isinstance(given, CredentialProvider) else None
        self._base_headers = {
            "Accept": "*/*",
            # Bodies are opaque: gzip on the way would change bytes, length and checksum.
            "Accept-Encoding": "identity",
            "User-Agent": config.UA or "aiocos",
        }
        if not config.KeepAlive:
            self._base_headers["Connection"] = "close"

    @property
    def is_refreshable(self) -> bool:
        """Whether asking again can give other credentials."""
        return self._static is None and self._provider is not None

    async def close(self) -> None:
        """Leave no refresh of the credentials running. Other clients may use them on."""
        instance: object = self._config.CredentialInstance
        if isinstance(instance, RefreshesAhead):
            await instance.end_refresh()

    def now(self) -> int:
        """Unix time as COS sees it."""
        return int(self._clock() + self.skew_s)

    def seconds_ahead(self, date: str) -> float | None:
        """Return how far a ``Date`` of COS is ahead of our own clock."""
        return seconds_ahead(date, self._clock())

    async def credentials(self, refused: Credentials | None = None) -> Credentials | None:
        """Return the credentials to sign with now; None for anonymous requests.

        ``refused`` are the ones that COS took for expired. Of the many calls that find this
        out together, one has them replaced.
        """
        if self._config.Anonymous:
            return None
        if self._static is not None:
            return self._static
        if (instance := self._provider) is not None:
            if refused is None:
                return await instance.get_credentials()
            async with self._refreshing:
                current = await instance.get_credentials()
                if current != refused:
                    return current
                return await instance.get_credentials(refresh=True)
        given = self._config.CredentialInstance
        if given is None or isinstance(given, CredentialProvider):
            raise AssertionError  # the configuration refuses none when it is made
        return snapshot(given)

    async def sign(
        self,
        request: Request,
        target: Target,
        *,
        is_repeat: bool = False,
        refused: Credentials | None = None,
    ) -> Signed:
        """Return the headers of one attempt, with a signature of its own."""
        own = dict(request.headers)
        body = request.body
        if body is not None and body.size is None:
            own["Transfer-Encoding"] = "chunked"
        elif request.method not in _BODILESS:
            own["Content-Length"] = "0" if body is None else str(body.size)
        if is_repeat:
            own["x-cos-sdk-retry"] = "true"
        credentials = self._static or await self.credentials(refused)
        token = self._config.Token if credentials is None else credentials.token
        if token:
            own["x-cos-security-token"] = token
        authorization = http_string = ""
        if credentials is not None:
            signature = self._signature(request, target, own, credentials)
            authorization, http_string = signature.authorization, signature.http_string
        own["Host"] = target.host_header or target.authority
        own["Authorization"] = authorization
        return Signed({**self._base_headers, **own}, http_string, credentials)

    def _signature(
        self, request: Request, target: Target, headers: dict[str, str], credentials: Credentials
    ) -> signing.Signature:
        config = self._config
        if config.SignHost:
            headers["Host"] = target.host
        return signing.sign(
            method=request.method,
            path=request.path,
            params=request.query.items() if config.SignParams and request.signs_query else (),
            headers=headers.items(),
            secret_id=credentials.secret_id,
            secret_key=credentials.secret_key,
            now=self.now(),
            expire_s=SIGNATURE_VALID_S,
        )

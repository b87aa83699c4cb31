"""The web console: what the server holds and what happens to it, to look at in a browser.

In: GET requests below ``/_console``, from this machine. Out: pages, made on the server,
without any script. Nothing can be changed here, and no secret is shown. The pages show
content without a signature: so a browser is let in by an address that only those know who
know the server's secret key, and it keeps a cookie from then on.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from aiohttp import web

from ..errors import CosError
from ..routing import Hosts, Place, is_loopback
from ..wire import Services
from . import live, stored
from .html import Html, page, plain, tag
from .view import View

if TYPE_CHECKING:
    from ..server import CosEmulator

PREFIX: Final = "/_console"

_FILES = {"style.css": "text/css", "icon.svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PAGES = {
    "": stored.buckets,
    "/bucket": stored.bucket,
    "/object": stored.one,
    "/uploads": live.uploads,
    "/requests": live.requests,
    "/faults": live.faults,
    "/server": live.server,
}


class _Refused(Exception):  # noqa: N818  (an answer)
    """A page that says what is wrong."""

    def __init__(self, status: int, title: str, words: str | Html) -> None:
        super().__init__(title)
        self.status, self.title, self.words = status, title, words


class Console:
    """Answers the requests that are for the console."""

    def __init__(self, server: CosEmulator, services: Services, hosts: Hosts) -> None:
        self._server = server
        self._services = services
        self._hosts = hosts

    @property
    def key(self) -> str:
        """What lets a browser in."""
        secret = self._server.secret_key.encode()
        return hmac.new(secret, b"web console", hashlib.sha256).hexdigest()[:32]

    @property
    def url(self) -> str:
        """The address that lets a browser in."""
        return f"{self._server.url}{PREFIX}?enter={self.key}"

    def concerns(self, request: web.BaseRequest) -> bool:
        """By path, which no bucket can have, and by a host that names no bucket."""
        path = request.raw_path.partition("?")[0]
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            return False
        return self._hosts.place(request.headers.get("Host", "")) == Place()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        try:
            self._check(request)
            name = path.removeprefix(f"{PREFIX}/")
            if name in _FILES:
                return _response(200, _file(name), _FILES[name])
            params = _params(query)
            if "enter" in params:
                return self._let_in(params["enter"], request)
            self._check_key(request)
            made = await _page_of(path)(View(self._server, self._services, params))
        except _Refused as refused:
            return _refusal(refused)
        except CosError as error:
            return _refusal(_Refused(error.status, error.code, error.message))
        return _response(200, made.encode(), "text/html")

    def _check(self, request: web.BaseRequest) -> None:
        """Refuse other methods, and other machines."""
        if request.method not in {"GET", "HEAD"}:
            raise _Refused(405, "Only to look at", "The console takes GET and HEAD.")
        transport = request.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        is_near = peer is not None and is_loopback(peer[0])
        if self._server.console or (is_near and is_loopback(self._server.host)):
            return
        raise _Refused(
            403,
            "Not from here",
            "The console is off on a server that other machines can reach. CosEmulator(console="
            "True) turns it on.",
        )

    def _check_key(self, request: web.BaseRequest) -> None:
        if self._server.is_anonymous:
            return
        try:
            found = SimpleCookie(request.headers.get("Cookie", "")).get(self._cookie)
        except CookieError:
            found = None
        if found is None or not hmac.compare_digest(found.value.encode(), self.key.encode()):
            raise _Refused(403, "Come by the whole address", _how_to_enter())

    def _let_in(self, key: str, request: web.BaseRequest) -> web.Response:
        if not hmac.compare_digest(key.encode(), self.key.encode()):
            raise _Refused(403, "Another server's address", _how_to_enter())
        response = _response(303, b"", "text/plain")
        response.headers["Location"] = request.raw_path.partition("?")[0]
        # Cookies know no ports: the name keeps those of two servers apart.
        response.headers["Set-Cookie"] = (
            f"{self._cookie}={self.key}; Path={PREFIX}; HttpOnly; SameSite=Strict"
        )
        return response

    @property
    def _cookie(self) -> str:
        return f"aiocos-console-{self._server.port}"


@cache
def _file(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _page_of(path: str) -> Callable[[View], Awaitable[Html]]:
    make = _PAGES.get(path.removeprefix(PREFIX).rstrip("/"))
    if make is None:
        raise _Refused(404, "No such page", "There is no page of this name.")
    return make


def _params(query: str) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=20))
    except ValueError:
        raise _Refused(400, "Not an address", "The query cannot be understood.") from None


def _how_to_enter() -> Html:
    return Html(
        plain("The console shows what is stored, so it opens only by the address with its key: ")
        + tag("code", "server.console_url")
        + plain(" in Python; a server on the command line prints it when it starts.")
    )


def _refusal(refused: _Refused) -> web.Response:
    body = tag("section", tag("h1", refused.title), tag("p", refused.words), class_="empty")
    made = page(refused.title, None, body)
    response = _response(refused.status, made.encode(), "text/html")
    if refused.status == 405:
        response.headers["Allow"] = "GET, HEAD"
    return response


def _response(status: int, body: bytes, kind: str) -> web.Response:
    response = web.Response(status=status, body=body, headers=_HEADERS)
    response.content_type, response.charset = kind, "utf-8"
    return response

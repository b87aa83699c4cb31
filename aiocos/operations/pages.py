"""One page after the other, the next one already on its way.

In: a function that fetches the page behind given markers. Out: pages. The next request
leaves before the present page is decoded, and only when the present page was asked for, so
that two pages at the most are held.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, Self, TypeVar
from urllib.parse import unquote

from aiocos.errors import ResponseParseError
from aiocos.request import Reply

P = TypeVar("P", bound=Mapping[str, Any])
Markers = Mapping[str, str]
Peek = Callable[[Reply], None]
Fetch = Callable[[Markers, Peek], Awaitable[P]]
Next = Callable[[P], Markers | None]
"""The markers behind a page; None when it is the last one."""


class Pages(Generic[P], AsyncIterator[P]):
    """Pages from the first on. Whoever stops early awaits ``aclose()``."""

    def __init__(
        self, fetch: Fetch[P], following: Next[P], tags: Mapping[str, str], start: Markers
    ) -> None:
        self._fetch = fetch
        self._following = following
        self._tags = {
            marker: re.compile(b"<%b>([^<]*)</%b>" % (tag.encode(), tag.encode()))
            for marker, tag in tags.items()
        }
        self._markers: Markers | None = start
        """Of the page that is asked for next."""
        self._ahead: tuple[Markers, asyncio.Task[P]] | None = None
        self._wants = 0
        self._fetched = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> P:
        if self._markers is None:
            raise StopAsyncIteration
        markers = self._markers
        self._wants += 1
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == markers:
            page = await _result(ahead[1])
        else:
            await _stop(ahead)
            page = await self._get(markers)
        self._markers = following = self._following(page)
        if following is not None and dict(following) == dict(markers):
            raise ResponseParseError("the next page of the listing is the same page: no end")
        if following is not None and self._ahead is None:
            self._start(following)
        return page

    async def aclose(self) -> None:
        """Give up the page that is on its way."""
        self._markers = None
        ahead, self._ahead = self._ahead, None
        await _stop(ahead)

    async def _get(self, markers: Markers) -> P:
        page = await self._fetch(markers, self._peek)
        self._fetched += 1
        return page

    def _peek(self, reply: Reply) -> None:
        """Ask for the next page, if the one that has just arrived is being waited for."""
        if self._wants <= self._fetched or b"<IsTruncated>true<" not in reply.body:
            return
        markers = {}
        for marker, tag in self._tags.items():
            match = tag.search(reply.body)
            if match is None:
                return
            markers[marker] = unquote(html.unescape(match[1].decode(errors="replace")))
        if self._ahead is None:
            self._start(markers)

    def _start(self, markers: Markers) -> None:
        # Not in a TaskGroup: the task lives from one __anext__ to the next, and aclose
        # ends it.
        self._ahead = markers, asyncio.create_task(self._get(markers))


async def _result(task: asyncio.Task[P]) -> P:
    """Wait for a task that ends with its waiter."""
    try:
        return await task
    finally:
        if not task.done():
            task.cancel()


async def _stop(ahead: tuple[Markers, asyncio.Task[Any]] | None) -> None:
    if ahead is not None:
        ahead[1].cancel()
        await asyncio.wait({ahead[1]})
        if not ahead[1].cancelled():
            ahead[1].exception()

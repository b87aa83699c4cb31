"""What the settings have in common: a row of the table, and how it is put, got and deleted.

In: a Setting and the dict of a call. Out: a request whose document was checked, or the
document of the answer as a dict. All of it may be sent again after a lost answer: to put or
to delete twice is the same as once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, Literal, TypeVar

from aiocos.body import as_body
from aiocos.encoding import xml
from aiocos.encoding.digest import md5_base64
from aiocos.operations import decode, reconcile
from aiocos.operations.base import Operations
from aiocos.operations.options import RequestHeaders
from aiocos.operations.settings.shapes import shape_of
from aiocos.operations.spec import Operation
from aiocos.request import Reply

R = TypeVar("R")
MD5: Final = "Content-MD5"
TYPE: Final = "Content-Type"
IN_A_THREAD: Final = 0
"""The longest answer that is read without a thread: to learn what a TypedDict says takes some
milliseconds at first, and a thousand rules a hundred."""


@dataclass(frozen=True)
class Setting(Generic[R]):
    """One setting of a bucket or an object."""

    name: str
    """``BucketCORS``: its operations are PutBucketCORS, GetBucketCORS, DeleteBucketCORS."""
    subresource: str
    """The query parameter that addresses it."""
    root: str
    """The name of its document."""
    content: type
    """The TypedDict of what is put."""
    result: type
    """The TypedDict of what comes back, which is R."""
    scope: Literal["bucket", "object"] = "bucket"
    options: type = RequestHeaders
    put_options: type | None = None
    """Where put takes others."""
    sends: tuple[str, ...] = (MD5, TYPE)
    """The headers that describe the document, as the sync SDK sends them."""
    absent: str = ""
    """The code with which COS says that it is not set."""
    refuse: Callable[[Any], None] | None = None
    """Refuses what the TypedDict permits and COS does not."""

    @cached_property
    def put(self) -> Operation[None]:
        """Set it, in the place of what was there."""
        return self.operation("Put", "PUT", decode.nothing, self.put_options)

    @cached_property
    def get(self) -> Operation[R]:
        """Look at it."""
        return self.operation("Get", "GET", self.read)

    @cached_property
    def delete(self) -> Operation[None]:
        """Remove it."""
        return self.operation("Delete", "DELETE", decode.nothing)

    def operation(
        self,
        verb: str,
        method: Literal["GET", "PUT", "POST", "DELETE"],
        decoder: Callable[[Reply], Any],
        options: type | None = None,
    ) -> Operation[Any]:
        """Return an operation on it."""
        return Operation(
            name=f"{verb}{self.name}",
            method=method,
            scope=self.scope,
            query={self.subresource: ""},
            options=options or self.options,
            decode=decoder,
            inline_limit=IN_A_THREAD,
            doubtful_codes=frozenset({self.absent} if method == "DELETE" else ()) - {""},
        )

    def write(self, content: object, keyword: str) -> bytes:
        """Return the document of a dict, in the dict's order, or refuse it."""
        checked = shape_of(self.content).check(content, keyword)
        if self.refuse is not None:
            self.refuse(checked)
        return xml.document(self.root, checked)

    def headers(self, content: bytes) -> dict[str, str]:
        """Return the headers that describe a document."""
        every = {MD5: md5_base64(content), TYPE: "application/xml"}
        return {name: every[name] for name in self.sends}

    def read(self, reply: Reply) -> Any:
        """Return the document of an answer."""
        return shape_of(self.result).read(decode.parse(reply, self.root))


class SettingOperations(Operations):
    """Puts, gets and deletes any setting."""

    async def _put_setting(
        self,
        setting: Setting[Any],
        options: Mapping[str, object],
        Bucket: str,
        Key: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        operation: Operation[Any] | None = None,
        **content: object,
    ) -> Any:
        """Set it to ``content``: the document, under the keyword it was given by."""
        ((keyword, document),) = content.items()
        # A thousand rules take 20 ms to check and write down: not in the event loop.
        executor = (await self._ready()).executor
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(executor, setting.write, document, keyword)
        return await self._invoke(
            operation or setting.put,
            options,
            Bucket=Bucket,
            Key=Key,
            query=query,
            headers=setting.headers(body),
            body=as_body(body),
        )

    async def _get_setting(
        self,
        setting: Setting[R],
        options: Mapping[str, object],
        Bucket: str,
        Key: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> R:
        return await self._invoke(setting.get, options, Bucket=Bucket, Key=Key, query=query)

    async def _delete_setting(
        self,
        setting: Setting[Any],
        options: Mapping[str, object],
        Bucket: str,
        Key: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> None:
        await self._invoke(
            setting.delete,
            options,
            Bucket=Bucket,
            Key=Key,
            query=query,
            reconcile=reconcile.was_done,
        )

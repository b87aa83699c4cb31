"""A client that talks to a server with a script, and answers as COS would give them.

In: the answers. Out: the client, and the requests that it sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiocos
from tests.conftest import QUICK
from tests.support.capture import CaptureServer, Reply, Request

DONE = Reply(200, (("Content-Length", "0"), ("x-cos-request-id", "1")))
BROKEN = Reply(200, action="reset")
BUSY = Reply(503, (("Content-Length", "0"), ("x-cos-request-id", "1")))
OWNER = "qcs::cam::uin/1:uin/1"
EVERYONE = "http://cam.qcloud.com/groups/global/AllUsers"
LOGGED_IN = "http://cam.qcloud.com/groups/global/AuthenticatedUsers"


def answer(body: str, status: int = 200, **headers: str) -> Reply:
    """A document as COS sends it."""
    content = f"<?xml version='1.0' encoding='utf-8' ?>\n{body}".encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    every = {"Content-Length": str(len(content)), "x-cos-request-id": "1", **given}
    return Reply(status, tuple(every.items()), content)


def refusal(code: str, status: int = 404) -> Reply:
    return answer(f"<Error><Code>{code}</Code><Message>no</Message></Error>", status)


@asynccontextmanager
async def talking(
    *replies: Reply,
) -> AsyncIterator[tuple[aiocos.CosS3Client, Sequence[Request]]]:
    """A client, and the requests that a server which gives these answers gets from it."""
    async with CaptureServer(replies or [DONE]) as server:
        config = aiocos.CosConfig(
            Region="ap-guangzhou",
            SecretId="AKID",
            SecretKey="key",
            Scheme="http",
            IP="127.0.0.1",
            Port=server.port,
        )
        async with aiocos.CosS3Client(config, retry=QUICK) as client:
            yield client, server.requests


def grants(*given: tuple[str, str]) -> str:
    """An access control list; who is a group's address or an ID."""

    def one(who: str, permission: str) -> str:
        kind, name = ("Group", "URI") if who.startswith("http") else ("CanonicalUser", "ID")
        return (
            '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'xsi:type="{kind}"><{name}>{who}</{name}><DisplayName>x</DisplayName></Grantee>'
            f"<Permission>{permission}</Permission></Grant>"
        )

    listed = "".join(one(*grant) for grant in given)
    return (
        f"<AccessControlPolicy><Owner><ID>{OWNER}</ID><DisplayName>o</DisplayName></Owner>"
        f"<AccessControlList>{listed}</AccessControlList></AccessControlPolicy>"
    )


MINE = (OWNER, "FULL_CONTROL")

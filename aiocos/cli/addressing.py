"""The verbs that give out addresses: presign."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from aiocos.cli import places
from aiocos.cli.failing import UsageError
from aiocos.cli.output import Output
from aiocos.cli.settings import ANYWHERE, Connection, make_client

Seconds = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Headers = Annotated[
    tuple[str, ...],
    Parameter(name="--header", negative="", show_default=False, consume_multiple=False),
]


async def presign(
    place: str,
    /,
    *,
    expires: Seconds = 3600,
    method: Literal["GET", "HEAD", "PUT", "POST", "DELETE"] = "GET",
    content_type: str | None = None,
    header: Headers = (),
    version_id: str | None = None,
    options: Connection = ANYWHERE,
) -> int:
    """Print an address that lets whoever has it do one thing with an object.

    Parameters
    ----------
    place
        cos://BUCKET/KEY.
    expires
        For how many seconds it works.
    method
        What it permits.
    content_type
        What the user of the address must send as Content-Type; for a PUT.
    header
        NAME=VALUE, which the user of the address must send; may be given more than once.
    version_id
        The version that it is for, instead of the newest.
    """
    out = Output(options)
    where = places.object_place(place)
    headers = _headers(header, content_type)
    params = {} if version_id is None else {"versionId": version_id}
    async with make_client(options, os.environ) as client:
        now = time.time()
        url = await client.get_presigned_url(
            where.bucket, where.key, method, expires, params, headers
        )
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + expires))
    record = {"url": url, "method": method, "expires": end, "headers": headers}
    await out.record(record, url)
    if headers and not out.is_json:
        out.note(f"send with it: {', '.join(f'{name}: {headers[name]}' for name in headers)}")
    if options.local:
        out.note("this address ends with this command; 'aiocos emulator' gives others")
    return 0


def _headers(given: Sequence[str], content_type: str | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if content_type is not None:
        headers["Content-Type"] = content_type
    for word in given:
        name, mark, value = word.partition("=")
        if not mark or not name.strip():
            raise UsageError(f"--header is {word!r}, and must be as in x-cos-acl=private")
        if name.lower() in map(str.lower, headers):
            raise UsageError(f"the header {name} is given twice")
        headers[name.strip()] = value
    return headers

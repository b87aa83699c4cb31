"""``emulator``: the local server as a process of its own, for any client in any language.

In: what the server is to be. Out: a running server, and how to reach it: for people as lines to
paste, for programs as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter, validators

from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.options import Flag

if TYPE_CHECKING:
    from aiocos.cli.output import Output
    from aiocos.emulator import CosEmulator, IdentityEmulator

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]*-[0-9]+")
_KEYS_OF_OTHERS: Final = (
    "COS_SECRET_ID",
    "COS_SECRET_KEY",
    "COS_TOKEN",
    "TENCENTCLOUD_SECRET_ID",
    "TENCENTCLOUD_SECRET_KEY",
    "TENCENTCLOUD_TOKEN",
)

_Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]


@Parameter(name="*")
@dataclass(frozen=True)
class Wishes:
    """What the server is to be."""

    port: _Port = 0
    """Where it listens; 0 takes one that is free."""

    tls: Flag = False
    """Serve https too, with a certificate of its own; COS_CA_FILE makes aiocos trust it."""

    tls_port: _Port = 0
    """Where it listens for https; 0 takes one that is free."""

    host: str = "127.0.0.1"
    """The address it listens at. Any other than this machine's own opens it to others."""

    data: Path | None = None
    """Directory that keeps the objects; without it they end with the server."""

    retain: Flag = False
    """Without --data: leave the temporary directory where it is, and say where."""

    bucket: Annotated[tuple[str, ...], Parameter(negative="", show_default=", ".join)] = (
        "examplebucket-1250000000",
    )
    """A bucket that is there from the beginning; may be given more than once."""

    seed: Path | None = None
    """Folder of what is stored from the beginning: one folder for each bucket. With --data it
    is read when that is new, and not again."""

    starts_at: str | None = None
    """The time that stored things begin at, as in 2026-01-01T00:00:00Z."""

    faults: Path | None = None
    """File with a JSON list of faults: [{"operation": "GetObject", "nth": 2, "status": 503}]."""

    identity: Flag = False
    """Serve STS and a CVM's metadata service too; the exports are then a cloud function's."""

    auth: Annotated[bool, Parameter(negative="--no-auth", show_default=False)] = True
    """Check signatures; without, whoever asks owns all. On this machine only."""

    control: Annotated[bool | None, Parameter(negative="--no-control", show_default=False)] = None
    """Let this machine steer it at http://HOST:PORT/_emu/; with --data only if told."""

    ready_file: Path | None = None
    """File to write, once it listens, what --json prints; it goes with the server."""

    until_eof: Flag = False
    """End when standard input does: a child that has it for a pipe ends with its parent."""


USUAL: Final = Wishes()


async def serve(wishes: Wishes, out: Output) -> None:
    """Run the server until the process is asked to end."""
    from aiocos.emulator import IdentityEmulator  # noqa: PLC0415 - aiohttp; help does without
    from aiocos.emulator.process import at_end_of_input  # noqa: PLC0415

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(_make(wishes))
        except ValueError as error:
            raise UsageError(str(error)) from error
        except RuntimeError as error:
            raise CommandError(str(error)) from error
        identity = None
        if wishes.identity:
            identity = await stack.enter_async_context(IdentityEmulator(server))
        record = _record(server, identity, wishes)
        if wishes.ready_file is not None:
            _write_whole(wishes.ready_file, json.dumps(record))
            stack.callback(wishes.ready_file.unlink, missing_ok=True)
        await out.record(record, _words(server, identity, wishes.bucket[0], record["environment"]))
        if wishes.until_eof:
            at_end_of_input(ended.set)
        await ended.wait()
    if wishes.retain and wishes.data is None:
        out.note(f"the files are in {server.directory}: --data goes on with them")


def _make(wishes: Wishes) -> CosEmulator:
    from aiocos.emulator import CosEmulator  # noqa: PLC0415 - as above
    from aiocos.emulator.rules import read_rules  # noqa: PLC0415

    for bucket in wishes.bucket:
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(f"--bucket is {bucket!r}, and must be as in examplebucket-1250000000")
    return CosEmulator(
        wishes.data,
        host=wishes.host,
        port=wishes.port,
        tls=wishes.tls,
        tls_port=wishes.tls_port,
        buckets=wishes.bucket,
        faults=read_rules(wishes.faults) if wishes.faults is not None else (),
        anonymous=not wishes.auth,
        seed=wishes.seed,
        start=None if wishes.starts_at is None else _moment(wishes.starts_at),
        retain=wishes.retain,
        control=wishes.control,
    )


def _moment(text: str) -> datetime:
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    raise UsageError(f"--starts-at is {text!r}, and must be as in 2026-01-01T00:00:00Z")


# -- what is told


def _record(
    server: CosEmulator, identity: IdentityEmulator | None, wishes: Wishes
) -> dict[str, Any]:
    return {
        **server.connection(),
        "bucket": wishes.bucket[0],
        "environment": _variables(server, identity),
        "identity": None if identity is None else identity.url,
    }


def _words(
    server: CosEmulator, identity: IdentityEmulator | None, bucket: str, variables: dict[str, str]
) -> str:
    parts = [
        f"COS emulator at {server.best_url}, bucket {bucket}, until Ctrl-C.\n"
        f"In another shell:\n\n{_exports(variables)}\n\naiocos ls cos://{bucket}",
        f"In Python, with aiocos:\n\n{code_for_aiocos(server)}",
        f"In Python, with the SDK of Tencent Cloud:\n\n{code_for_sync_sdk(server)}",
        "The same with this server as a proxy for COS's own names, for client.copy() and\n"
        "presigned URLs (which are then opened through this proxy, too):\n\n"
        f"{_code_through_proxy(server)}",
    ]
    parts.append(f"In a browser, what it holds and was asked:\n\n{server.console_url}")
    if server.has_control:
        parts.append(f"For programs:\n\ncurl {server.url}/_emu/state")
    if identity is not None:
        parts.append(
            "The role of a CVM, and STS:\n\n"
            f'CvmRoleCredentials(endpoint="{identity.url}")\n'
            f'AssumeRoleCredentials(..., "{identity.arn()}", endpoint="{identity.url}")'
        )
    return "\n\n".join(parts)


def exports(server: CosEmulator) -> str:
    """Return the lines that make a shell's commands use this server."""
    return _exports(_variables(server, None))


def _variables(server: CosEmulator, identity: IdentityEmulator | None) -> dict[str, str]:
    where = {"COS_ENDPOINT": server.best_url, "COS_REGION": server.region}
    if server.ca_file is not None:
        where["COS_CA_FILE"] = str(server.ca_file)
    if identity is not None:
        # Keys that a shell has already would be found first.
        none = dict.fromkeys(_KEYS_OF_OTHERS, "")
        return where | none | identity.function_environment()
    pair = {"COS_SECRET_ID": server.secret_id, "COS_SECRET_KEY": server.secret_key}
    return {**where, **pair, "COS_TOKEN": ""}


def _exports(variables: dict[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def code_for_aiocos(server: CosEmulator) -> str:
    """Return lines that make ``config``."""
    scheme, _, endpoint = server.best_url.partition("://")
    given = {
        "Endpoint": endpoint,
        "Scheme": scheme,
        "SecretId": server.secret_id,
        "SecretKey": server.secret_key,
    }
    if server.ca_file is not None:
        given["VerifySSL"] = str(server.ca_file)
    return f"from aiocos import CosConfig, CosS3Client\nconfig = CosConfig({_keywords(given)})"


def code_for_sync_sdk(server: CosEmulator) -> str:
    """Return lines that make ``client``."""
    return (
        "from qcloud_cos import CosConfig, CosS3Client\n"
        f"client = CosS3Client(CosConfig({_keywords(server.settings())}))"
    )


def _code_through_proxy(server: CosEmulator) -> str:
    given = {
        "Region": server.region,
        "SecretId": server.secret_id,
        "SecretKey": server.secret_key,
        "Scheme": "http",
        "Proxies": {"http": server.url},
    }
    return (
        "from qcloud_cos import CosConfig, CosS3Client\n"
        f"client = CosS3Client(CosConfig({_keywords(given)}))"
    )


def _keywords(given: dict[str, Any]) -> str:
    lines = "".join(f"    {name}={value!r},\n" for name, value in given.items())
    return f"\n{lines}"


def _write_whole(path: Path, text: str) -> None:
    """Put a file in place, for nobody else to read, that is never seen half written."""
    # Files of tempfile are their owner's alone.
    try:
        descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink()
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error

"""The verbs, as they are written on a command line.

In: words. Out: each verb's exit code; what went wrong is told here, in one line.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import App, CycloptsError, Parameter, validators

from aiocos import __version__
from aiocos.cli import drawing, failing, places, serving, verbs
from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.settings import ANYWHERE, Connection, make_client
from aiocos.cli.settings import credentials as find_credentials

if TYPE_CHECKING:
    from aiocos.transfer.batch import Report

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Recursive = Annotated[bool, Parameter(name=("--recursive", "-r"), negative="", show_default=False)]
Workers = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=256))]
Seconds = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]

app: Final = App(
    name="aiocos",
    help="Work with Tencent Cloud COS, or with a COS server of your own (--local DIR).",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
credentials: Final = App(name="credentials", help="See which keys are used, and why.")
app.command(credentials)


@app.command
async def ls(
    place: str = "", /, *, recursive: Recursive = False, connection: Connection = ANYWHERE
) -> int:
    """List buckets, or what a bucket holds.

    Parameters
    ----------
    place
        cos://BUCKET or cos://BUCKET/PREFIX; buckets are listed when it is left out.
    recursive
        List every object rather than one level.
    """
    where = places.cos_place(place) if place else None
    async with make_client(connection, os.environ, needs_region=bool(place)) as client:
        if where is None:
            buckets = [item async for item in client.iter_buckets()]
            drawing.table(
                (drawing.moment(item["CreationDate"]), item["Location"], item["Name"])
                for item in buckets
            )
            return 0
        listed = await drawing.list_entries(verbs.entries(client, where, recursive=recursive))
    if where.key and not listed:
        raise CommandError(f"nothing begins with {where}")
    return 0


@app.command
async def cp(
    source: str,
    destination: str,
    /,
    *,
    recursive: Recursive = False,
    concurrency: Workers = 32,
    connection: Connection = ANYWHERE,
) -> int:
    """Copy files to COS, from COS, or objects inside COS.

    A destination that ends in / is a directory: one file keeps its name in it. With -r, what
    is below the source comes to stand below the destination. Downloads are verified, then put
    in place whole.

    Parameters
    ----------
    source
        A path, or cos://BUCKET/KEY.
    destination
        The same; one of the two must be in COS.
    recursive
        Copy everything below a directory or prefix.
    concurrency
        How many requests at a time.
    """
    from aiocos.cli.copying import Copying  # noqa: PLC0415 - --help needs no transfers

    async with make_client(connection, os.environ) as client:
        with drawing.bar("Copying") as callback:
            copying = Copying(client, concurrency, callback)
            report = await copying.run(source, destination, recursive=recursive)
    return _ended(report)


@app.command
async def rm(
    place: str, /, *, recursive: Recursive = False, connection: Connection = ANYWHERE
) -> int:
    """Delete an object, or everything below a prefix.

    Parameters
    ----------
    place
        cos://BUCKET/KEY; with -r, cos://BUCKET means everything in the bucket.
    recursive
        Delete everything below.
    """
    where = places.cos_place(place) if recursive else places.object_place(place)
    async with make_client(connection, os.environ) as client:
        if not recursive:
            await client.delete_object(where.bucket, where.key)
            return 0
        with drawing.bar("Deleting"):
            report = await verbs.remove_all(client, where)
    return _ended(report)


@app.command
async def stat(place: str, /, *, connection: Connection = ANYWHERE) -> int:
    """Show what is known of an object or a bucket.

    Parameters
    ----------
    place
        cos://BUCKET/KEY or cos://BUCKET.
    """
    where = places.cos_place(place)
    async with make_client(connection, os.environ) as client:
        drawing.table(await verbs.facts(client, where))
    return 0


@app.command
async def cat(place: str, /, *, connection: Connection = ANYWHERE) -> int:
    """Write an object's bytes to stdout.

    Parameters
    ----------
    place
        cos://BUCKET/KEY.
    """
    where = places.object_place(place)
    async with make_client(connection, os.environ) as client:
        await drawing.pour(verbs.content(client, where))
    return 0


@app.command
async def presign(
    place: str,
    /,
    *,
    expires: Seconds = 3600,
    method: Literal["GET", "HEAD", "PUT", "POST", "DELETE"] = "GET",
    connection: Connection = ANYWHERE,
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
    """
    where = places.object_place(place)
    async with make_client(connection, os.environ) as client:
        drawing.say(await verbs.sign(client, where, method, expires))
    if connection.local:
        drawing.complain("this address ends with this command; 'aiocos emulator' gives others")
    return 0


@app.command
async def mb(place: str, /, *, connection: Connection = ANYWHERE) -> int:
    """Make a bucket.

    Parameters
    ----------
    place
        cos://BUCKET.
    """
    where = places.cos_place(place)
    if where.key:
        raise UsageError(f"{place!r} names an object: write cos://BUCKET")
    async with make_client(connection, os.environ) as client:
        await client.create_bucket(where.bucket)
    return 0


@app.command
async def emulator(
    *,
    port: Port = 0,
    data: Path | None = None,
    bucket: str = "examplebucket-1250000000",
    debug: Flag = False,
) -> int:
    """Run a COS server on this machine until Ctrl-C.

    Parameters
    ----------
    port
        Where it listens; 0 takes one that is free.
    data
        Directory that keeps the objects; without it they end with the server.
    bucket
        A bucket that is there from the beginning.
    debug
        Show where an error came from.
    """
    await serving.serve(port, data, bucket)
    return 0


@credentials.command
async def explain() -> int:
    """Say whose keys the other commands use, and where else was looked.

    No secret is shown. The services of the cloud are asked as they would be for a command.
    """
    from aiocos.cli import explaining  # noqa: PLC0415 - it brings aiohttp

    findings = await find_credentials(os.environ).explain()
    drawing.table(explaining.rows(findings))
    return 0 if explaining.is_found(findings) else failing.FAILED


def _ended(report: Report) -> int:
    drawing.tell(report)
    return failing.FAILED if report.failures else 0


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = sys.argv[1:] if tokens is None else list(tokens)
    try:
        result = app(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        drawing.complain(f"{failing.shown(' '.join(str(error).split()))} (aiocos --help)")
        return failing.USAGE
    except failing.OutputClosedError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failing.READER_GONE
    except KeyboardInterrupt:
        drawing.complain("interrupted")
        return failing.INTERRUPTED
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        drawing.complain(failing.describe(error))
        return failing.exit_code(error)
    return result if isinstance(result, int) else 0

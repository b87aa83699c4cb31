"""The verbs about transfers that can be gone on with: journal ls, journal clean.

They look at this machine only: COS is not asked.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from aiocos.cli import failing, spans, texts
from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.options import Flag
from aiocos.cli.output import Output, Record
from aiocos.cli.settings import SHOWN, TIDYING, Showing, Tidying

if TYPE_CHECKING:
    from aiocos.transfer.remnants import Remnant

_NO_SPAN = Annotated[str | None, Parameter(show_default=False)]


async def ls(*, options: Showing = SHOWN) -> int:
    """List transfers that were interrupted: the same command goes on with them.

    Age, how far, size, what and whether its file is still the same.
    """
    from aiocos.transfer import remnants  # noqa: PLC0415 - it brings aiohttp

    out, now = Output(options), time.time()
    for remnant in await asyncio.to_thread(remnants.find):
        record = _record(remnant, now)
        await out.record(record, _line(remnant, now))
    return 0


async def clean(
    *, older_than: _NO_SPAN = None, all_: Flag = False, options: Tidying = TIDYING
) -> int:
    """Forget interrupted transfers, and remove what came of downloads so far.

    The same command then starts over. What is running is left alone. Parts of an upload stay
    at COS, until 'aiocos uploads gc' aborts it.

    Parameters
    ----------
    older_than
        Those that nothing was written to for so long: 7d, 12h, 30m, 90s.
    all_
        All of them.
    """
    from aiocos.transfer import remnants  # noqa: PLC0415 - it brings aiohttp

    if (older_than is None) != all_:
        raise UsageError("say which: --older-than 7d, or --all")
    least_s = 0.0 if older_than is None else spans.seconds_of(older_than, "--older-than")
    out, now = Output(options), time.time()
    done = size = skipped = 0
    failed: list[OSError] = []
    for remnant in await asyncio.to_thread(remnants.find):
        if not all_ and now - remnant.modified < least_s:
            continue
        why = "a transfer holds it now" if remnant.in_use else ""
        try:
            if not why and not out.is_dry:
                why = (await asyncio.to_thread(remnants.remove, remnant)).problem
        except OSError as error:
            failed.append(error)
            continue
        if why:
            skipped += 1
            out.note(f"{_what(remnant)}: left alone, {why}")
            continue
        done, size = done + 1, size + remnant.done
        facts = {**_facts(remnant), "size": remnant.done}
        if out.is_dry:
            await out.would("forget", _what(remnant), **facts)
        else:
            await out.did("forget", **facts)
    await out.summary(done=done, bytes=size, skipped=skipped, failed=len(failed))
    if failed:
        raise CommandError("; ".join(failing.describe(error) for error in failed[:5]))
    return 0


def _facts(remnant: Remnant) -> dict[str, Any]:
    return {
        "journal": str(remnant.path),
        "operation": remnant.operation or None,
        "bucket": remnant.bucket or None,
        "key": remnant.key or None,
    }


def _record(remnant: Remnant, now: float) -> Record:
    is_copy = remnant.operation == "copy"
    return {
        **_facts(remnant),
        "path": None if is_copy else remnant.local or None,
        "source": remnant.local if is_copy else None,
        "size": remnant.size,
        "transferred": remnant.done,
        "parts": remnant.parts,
        "age_s": int(max(0.0, now - remnant.modified)),
        "state": remnant.state,
        "in_use": remnant.in_use,
        "problem": remnant.problem or None,
    }


def _line(remnant: Remnant, now: float) -> str:
    age = spans.span(now - remnant.modified)
    percent = 100 * remnant.done // remnant.size if remnant.size else 0
    state = "running now" if remnant.in_use else _STATES[remnant.operation, remnant.state]
    if remnant.problem:
        state = f"of no use: {remnant.problem}"
    size = texts.amount(remnant.size, is_human=True)
    return f"{age:>5} {percent:>4}% {size:>8}  {texts.shown(_what(remnant))}  ({state})"


_STATES = {
    ("upload", "same"): "the file is the same",
    ("upload", "changed"): "the file has changed, so it will start over",
    ("upload", "gone"): "the file is gone",
    ("download", "unknown"): "goes on if the object is the same",
    ("download", "gone"): "the bytes that came are gone, so it will start over",
    ("copy", "unknown"): "goes on if the object is the same",
    ("", "unknown"): "",
}


def _what(remnant: Remnant) -> str:
    """Return the transfer as a command line would have it."""
    there = f"cos://{remnant.bucket}/{remnant.key}"
    match remnant.operation:
        case "upload":
            return f"upload {shlex.quote(remnant.local)} to {there}"
        case "download":
            return f"download {there} to {shlex.quote(remnant.local)}"
        case "copy":
            return f"copy {remnant.local} to {there}"
    return str(remnant.path)

"""The verbs that look for what is wrong: doctor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from aiocos.cli import places, texts
from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.options import Flag
from aiocos.cli.output import Output
from aiocos.cli.places import CosPlace
from aiocos.cli.settings import CHANGED, Changing, configure

if TYPE_CHECKING:
    from aiocos.cli.doctor import Finding

_COLUMN: Final = 26


async def doctor(place: str = "", /, *, write: Flag = False, options: Changing = CHANGED) -> int:
    """Find out why something does not work, and what to do about it.

    Looks at this machine, the way to COS, its clock, the keys, and what they may do. Nothing
    is changed without --write. Ends with 1 if something is wrong.

    Parameters
    ----------
    place
        cos://BUCKET or cos://BUCKET/KEY, to try what is permitted there.
    write
        Also write a small object below the place, read it, and delete it.
    """
    from aiocos.cli.doctor import examine  # noqa: PLC0415 - it brings aiohttp
    from aiocos.transfer.batch import closing  # noqa: PLC0415

    out = Output(options)
    where = places.cos_place(place) if place else None
    if write and where is None:
        raise UsageError("--write needs a place, where the probe may be: cos://BUCKET/")
    config = configure(options, os.environ, needs_region=bool(place))
    writes = write and not out.is_dry
    wrong: list[Finding] = []
    count = 0
    async with closing(examine(config, where, os.environ, writes=writes)) as findings:
        async for finding in findings:
            count += 1
            wrong += [finding] if finding.state == "wrong" else []
            await out.record(_record(finding), *_lines(finding))
    if write and out.is_dry and where is not None:
        await out.would("probe", f"{where}, by an object written and deleted", **_place(where))
    if wrong:
        raise CommandError(
            f"{len(wrong)} of {count} checks found something wrong: "
            + "; ".join(f"{finding.check}: {finding.told}" for finding in wrong)
        )
    return 0


def _place(where: CosPlace) -> dict[str, str]:
    return {"bucket": where.bucket, "key": where.key}


def _record(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "state": finding.state,
        "message": finding.told,
        "advice": finding.advice or None,
    }


def _lines(finding: Finding) -> list[str]:
    head = f"{finding.state:8} {finding.check:16} "
    lines = [f"{head}{texts.shown(finding.told)}"]
    return [*lines, f"{'':{_COLUMN}}{texts.shown(finding.advice)}"] if finding.advice else lines

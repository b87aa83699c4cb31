"""The verbs about whose keys are used: credentials explain."""

from __future__ import annotations

import os

from aiocos.cli import failing, profiles
from aiocos.cli.output import Output
from aiocos.cli.settings import ANYWHERE, Connection, credentials


async def explain(*, options: Connection = ANYWHERE) -> int:
    """Say whose keys the other commands use, and where else was looked.

    No secret is shown. The services of the cloud are asked as they would be for a command.
    """
    from aiocos.cli import explaining  # noqa: PLC0415 - it brings aiohttp

    profile = profiles.find(options.profile, os.environ)
    findings = await credentials(profile, os.environ).explain()
    rows = [*explaining.profile_rows(profile), *explaining.rows(findings)]
    records = [{"source": row[0], "state": row[1], "detail": row[2]} for row in rows]
    await Output(options).table(records, rows)
    return 0 if explaining.is_found(findings) else failing.FAILED

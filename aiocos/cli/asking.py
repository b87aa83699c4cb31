"""Ask before much is deleted.

In: what would be deleted. Out: whether to go on. On a terminal a person is asked; a script is
not, and has to say --yes where a slip would cost everything: a whole bucket.
"""

from __future__ import annotations

import sys

from aiocos.cli import pipes
from aiocos.cli.failing import CommandError, UsageError


async def permit(what: str, *, is_everything: bool, yes: bool) -> None:
    """Return if it may be done.

    Raises:
        UsageError: a script has to say --yes.
        CommandError: the person said no.
    """
    if yes:
        return
    if not (pipes.is_terminal(sys.stdin) and pipes.is_terminal(sys.stderr)):
        if is_everything:
            raise UsageError(f"{what}: that is all there is, say --yes if so")
        return
    print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if (await pipes.line()).strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was deleted")

"""The verb that makes one place like another: sync."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter, Token

from aiocos.cli import places
from aiocos.cli.failing import UsageError
from aiocos.cli.options import AS_THEY_ARE, AT_EASE, Flag, Headers, Speed
from aiocos.cli.output import Output
from aiocos.cli.settings import CHANGED, Changing, make_client, profile_of

_INCLUDE: Final = "+"
_NOTHING: Final = {
    "Compare": "mtime",
    "Filters": [],
    "Delete": False,
    "MaxDelete": None,
    "AllowEmptySource": False,
    "BackupPrefix": None,
    "BackupDir": None,
    "FollowSymlinks": False,
}
"""Wishes where none was told."""
_OPTIONS: Final = {
    "Compare": "--compare",
    "Filters": "--include and --exclude",
    "Delete": "--delete",
    "MaxDelete": "--max-delete",
    "AllowEmptySource": "--allow-empty-source",
    "BackupPrefix": "--backup-prefix",
    "BackupDir": "--backup-dir",
    "FollowSymlinks": "--follow-symlinks",
}
"""What tells each of them."""


def _rules(_type: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Read the patterns in the order in which they were given, each with its mark."""
    return tuple(
        f"{_INCLUDE if token.keyword == '--include' else '-'}{token.value}" for token in tokens
    )


Rules = Annotated[
    tuple[str, ...],
    Parameter(
        name=("--include", "--exclude"),
        converter=_rules,
        n_tokens=1,
        allow_repeating=True,
        json_list=False,  # [ab] is a set of characters
        negative="",
        show_default=False,
    ),
]


Place = Annotated[str, Parameter(show_default=False)]


async def sync(
    source: Place = "",
    destination: Place = "",
    /,
    *,
    compare: Literal["mtime", "size", "checksum"] = "mtime",
    size_only: Flag = False,
    checksum: Flag = False,
    rules: Rules = (),
    delete: Flag = False,
    max_delete: str | None = None,
    allow_empty_source: Flag = False,
    backup_prefix: str | None = None,
    backup_dir: Path | None = None,
    follow_symlinks: Flag = False,
    plan: Path | None = None,
    apply: Path | None = None,
    dask: str | None = None,
    ship_credentials: Flag = False,
    speed: Speed = AT_EASE,
    headers: Headers = AS_THEY_ARE,
    options: Changing = CHANGED,
) -> int:
    """Make a destination like its source; what is the same already is not sent.

    All is planned before anything is changed. What changes while the plan is carried out is
    left as it is, and reported; the same command again does the rest.

    Parameters
    ----------
    source
        A directory, or cos://BUCKET/PREFIX.
    destination
        The same; one of the two must be in COS.
    compare
        When a file is taken for the same: size and times, with what this machine remembers of
        earlier syncs; size alone; or nothing but a checksum.
    size_only
        The same as --compare size.
    checksum
        The same as --compare checksum.
    rules
        Take part, or not; the first pattern that matches decides. What none matches takes
        part, unless the last one includes. * and ? stop at a slash, ** does not; a slash in
        front is the whole path, one at the end a directory.
    delete
        Delete what the source does not have, last and only if all else succeeded.
    max_delete
        Do nothing at all if more would be deleted: a number, or as in 10%.
    allow_empty_source
        Let an empty source delete everything.
    backup_prefix
        Copy what is replaced or deleted below this prefix of the destination's bucket.
    backup_dir
        Keep what is replaced or deleted in this directory.
    follow_symlinks
        Take what links lead to for what is in the source.
    plan
        Write the plan to this file, and do no more.
    apply
        Carry out the plan in this file, which has source, destination and all of the above.
    dask
        Address of a Dask scheduler, such as tls://host:8786: its workers do the work, each
        within these limits. They must see a local directory under the same path, and find
        keys of their own.
    ship_credentials
        Send the keys that are found here to the workers of --dask.
    """
    from aiocos.cli.plans import Syncing  # noqa: PLC0415 - --help needs no transfers

    _check(source, destination, plan=plan, apply=apply)
    if ship_credentials and dask is None:
        raise UsageError("--ship-credentials is for --dask")
    if size_only and checksum:
        raise UsageError("--size-only and --checksum exclude each other")
    wishes: dict[str, Any] = {
        "Compare": "size" if size_only else "checksum" if checksum else compare,
        "Filters": [
            ("include" if rule.startswith(_INCLUDE) else "exclude", rule[1:]) for rule in rules
        ],
        "Delete": delete,
        "MaxDelete": max_delete,
        "AllowEmptySource": allow_empty_source,
        "BackupPrefix": backup_prefix,
        "BackupDir": backup_dir,
        "FollowSymlinks": follow_symlinks,
    }
    if apply is not None and (given := [name for name in wishes if wishes[name] != _NOTHING[name]]):
        named = ", ".join(_OPTIONS[name] for name in given)
        raise UsageError(f"--apply does what the plan says: leave out {named}")
    out = Output(options)
    speed = speed.filled(profile_of(options, os.environ))
    async with make_client(options, os.environ, speed=speed) as client:
        syncing = Syncing(client, out, speed, headers.keywords())
        if dask is not None:
            from aiocos.cli.clusters import ClusterSyncing  # noqa: PLC0415 - few commands need it

            syncing = ClusterSyncing(client, out, speed, headers.keywords(), dask, ship_credentials)
        if apply is not None:
            return await syncing.apply(apply)
        if plan is not None:
            return await syncing.write(plan, source, destination, wishes)
        return await syncing.run(source, destination, wishes)


def _check(source: str, destination: str, *, plan: Path | None, apply: Path | None) -> None:
    if places.STDIO in {source, destination, str(plan), str(apply)}:
        raise UsageError("sync takes directories and files, and no -")
    if apply is not None:
        if source or destination or plan:
            raise UsageError("--apply takes source and destination from the plan")
    elif not (source and destination):
        raise UsageError("sync needs a source and a destination (aiocos sync --help)")

"""``credentials explain``: whose keys are used.

In: a profile, and what a chain of sources found. Out: rows to be shown, without a secret in them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

from aiocos.cli.profiles import Profile
from aiocos.credentials import Credentials
from aiocos.identity import Finding

_ENDS: Final = 4
_SHORTEST_SHOWN: Final = 12


def rows(findings: Iterable[Finding]) -> Iterator[tuple[str, str, str]]:
    """Return source, state and detail of each, and of the winner what its keys are."""
    for finding in findings:
        detail = finding.detail
        if finding.credentials is not None:
            detail = f"{detail}: {_described(finding.credentials)}"
        yield finding.source, finding.state, detail


def profile_rows(profile: Profile) -> Iterator[tuple[str, str, str]]:
    """Return which profile was read, if one was, and what it says of keys."""
    if profile.name is None:
        return
    way = "it says nothing of keys"
    if profile.tencent_profile:
        way = f"keys of profile {profile.tencent_profile} of Tencent's tools"
    elif profile.env_prefix:
        way = f"keys from {profile.env_prefix}_SECRET_ID and its kin"
    elif profile.secret_id:
        way = f"keys of its own, {shortened(profile.secret_id)}"
    first = "before the environment" if profile.is_chosen else "after the environment"
    order = f", {first}" if profile.has_keys else ""
    yield f"profile {profile.name}", "read", f"{profile.path}: {way}{order}"


def is_found(findings: Iterable[Finding]) -> bool:
    """Whether there are keys to use."""
    return any(finding.state == "used" for finding in findings)


def _described(credentials: Credentials) -> str:
    kind = "temporary" if credentials.token else "permanent"
    if credentials.expiry is None:
        end = "" if not credentials.token else ", until their end, which is not known here"
    else:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(credentials.expiry))
        end = f", until {moment}"
    return f"{shortened(credentials.secret_id)}, {kind}{end}"


def shortened(secret_id: str) -> str:
    """Return as much of a key's id as tells it from others."""
    if len(secret_id) < _SHORTEST_SHOWN:
        return "***"
    return f"{secret_id[:_ENDS]}***{secret_id[-_ENDS:]}"

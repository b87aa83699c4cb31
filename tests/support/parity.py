"""Write down which methods of the sync SDK this client has, and why not the others.

In: the two packages, as they are installed. Out: the page ``aiocos/operations/parity.md``,
written by ``python -m tests.support.parity``. A method of the SDK that is neither here nor
in one of the groups that are out stops it.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import qcloud_cos
from qcloud_cos.cos_encryption_client import CosEncryptionClient

import aiocos

PAGE = Path(aiocos.__file__).parent / "operations" / "parity.md"

OUT: Mapping[str, tuple[str, ...]] = {
    "Data processing": (
        "ci_*",
        "file_hash",
        "get_media_info",
        "get_object_sensitive_content_recognition",
        "get_pm3u8",
        "get_snapshot",
    ),
    "Live channels": (
        "*_live_channel",
        "get_live_channel_*",
        "put_live_channel_switch",
        "get_rtmp_signed_url",
        "*_vod_playlist",
    ),
    "Fetching from addresses: a migration service with hosts of its own": (
        "put_async_fetch_task",
        "get_async_fetch_task",
    ),
    "The SDK's inner workings": (
        "generate_built_in_connection_pool",
        "handle_built_in_connection_pool_by_pid",
        "inc_retry_exe_times",
        "send_request",
        "should_switch_domain",
    ),
}
"""Methods that this client does not have, by the reason; ``*`` stands for any text."""

OTHER_NAMES: Mapping[str, str] = {"get_conf": "config"}
"""What a method of the SDK is called here."""

TO_COME = frozenset({"select_object_content"})
"""Methods that are being built: a row of their own until they are there."""

NAMES_OUT: Mapping[str, str] = {
    "AIRecognitionClient": "AI services",
    "CosS3Auth": "the signer of another HTTP library; `get_auth` signs for any",
    "CosVectorsClient": "AI services",
    "MetaInsightClient": "AI services",
    "get_date": "`Date` of a lifecycle rule is a text, `2026-01-31T00:00:00+08:00`",
}
"""Public names of the SDK's package that this one does not have, with the reason."""

LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "get_auth": {"UseCiEndPoint": "data processing"},
    "get_presigned_url": {"UseCiEndPoint": "data processing"},
    "get_presigned_download_url": {"UseCiEndPoint": "data processing"},
}
"""Named parameters of the SDK that a method here does not take, with the reason."""


class Unclassified(Exception):
    """A method of the SDK that nothing was decided about, or one here that vanished."""


def methods(kind: type) -> dict[str, typing.Any]:
    """The public methods of a class, in the order in which it has them."""
    return {
        name: value
        for base in reversed(kind.__mro__)
        for name, value in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    }


def public_names() -> set[str]:
    """The classes and functions that the SDK's package has at its top."""
    return {
        name
        for name, value in vars(qcloud_cos).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("qcloud_cos.")
    }


def reason_out(name: str) -> str | None:
    """The group that a method of the SDK is out with, if it is."""
    for reason, patterns in OUT.items():
        if any(_fits(name, pattern) for pattern in patterns):
            return reason
    return None


def _fits(name: str, pattern: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return name == pattern
    return len(name) > len(head + tail) and name.startswith(head) and name.endswith(tail)


def keywords(method: object) -> set[str]:
    """Every keyword that a method here takes, those of its TypedDict among them."""
    if not inspect.isfunction(method):
        return set()
    taken = set()
    hints = typing.get_type_hints(method, include_extras=True)
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            (options,) = typing.get_args(hints[name])
            taken |= set(typing.get_type_hints(options))
        else:
            taken.add(name)
    return taken - {"self"}


def named(method: object) -> list[str]:
    """The parameters that a method of the SDK names, in order."""
    assert inspect.isfunction(method)
    return [
        parameter.name
        for parameter in inspect.signature(method).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]


def missing_keywords(name: str, theirs: object, ours: object) -> list[str]:
    """Named parameters of the SDK that the method here does not take."""
    taken = keywords(ours)
    return [key for key in named(theirs) if key not in taken]


def rows(theirs: type, ours: type | None) -> Iterator[tuple[str, str, str]]:
    """For each method of a class of the SDK: what it is here, and what to know about it."""
    here = methods(ours) if ours else {}
    for name, method in sorted(methods(theirs).items()):
        if reason_out(name):
            continue
        ours_name = OTHER_NAMES.get(name, name)
        if ours_name in here:
            yield name, f"`{ours_name}`", _note(name, method, here[ours_name])
        elif name in TO_COME or ours is None:
            yield name, "not yet", ""
        else:
            raise Unclassified(f"{theirs.__name__}.{name} is neither here nor out")


def _note(name: str, theirs: object, ours: object) -> str:
    notes = []
    if isinstance(ours, property):
        notes.append("a property")
    elif not inspect.iscoroutinefunction(ours):
        notes.append("not awaited")
    for keyword in missing_keywords(name, theirs, ours) if inspect.isfunction(ours) else []:
        reason = LEFT_OUT.get(name, {}).get(keyword)
        if reason is None:
            raise Unclassified(f"{name} does not take {keyword}, and nobody says why")
        notes.append(f"without `{keyword}`: {reason}")
    if inspect.isfunction(ours):
        notes += [f"`{keyword}` is required" for keyword in _newly_required(theirs, ours)]
    return "; ".join(notes)


def _newly_required(theirs: object, ours: object) -> list[str]:
    """Parameters that have a default in the SDK, and none here."""
    assert inspect.isfunction(theirs)
    assert inspect.isfunction(ours)
    before, now = inspect.signature(theirs).parameters, inspect.signature(ours).parameters
    return [
        name
        for name, parameter in before.items()
        if parameter.default is not parameter.empty
        and name in now
        and now[name].default is parameter.empty
    ]


def page() -> str:
    """The whole page."""
    lines = [
        "# The sync SDK's methods, and this client's",
        "",
        f"On the left `cos-python-sdk-v5` {version('cos-python-sdk-v5')}, on the right aiocos: the "
        "same names, with `await` in front.",
        "Written by `python -m tests.support.parity`; a test compares it with both packages.",
        "",
    ]
    encrypting = getattr(aiocos, "CosEncryptionClient", None)
    for theirs, ours in (
        (qcloud_cos.CosS3Client, aiocos.CosS3Client),
        (CosEncryptionClient, encrypting),
    ):
        lines += [f"## {theirs.__name__}", "", *_table(_own(theirs, ours)), ""]
    lines += ["## What is out", "", *_out(), ""]
    return "\n".join(lines)


def _own(theirs: type, ours: type | None) -> list[tuple[str, str, str]]:
    """The rows of a class, without those that it inherits from another that is listed."""
    inherited = set(vars(qcloud_cos.CosS3Client)) - set(vars(theirs))
    return [row for row in rows(theirs, ours) if row[0] not in inherited]


def _table(found: list[tuple[str, str, str]]) -> list[str]:
    head = ["| sync SDK | aiocos | |", "|---|---|---|"]
    return head + [f"| `{name}` | {here} | {note} |" for name, here, note in found]


def _out() -> Iterator[str]:
    names = sorted(methods(qcloud_cos.CosS3Client))
    for reason in OUT:
        listed = ", ".join(f"`{name}`" for name in names if reason_out(name) == reason)
        yield f"- {reason}: {listed}."
    for name in sorted(public_names()):
        if name in NAMES_OUT:
            yield f"- `{name}`: {NAMES_OUT[name]}."
        elif not hasattr(aiocos, name):
            raise Unclassified(f"{name} of the SDK's package is neither here nor out")


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Options that several verbs share, beside those that all have.

In: what stands on a command line. Out: frozen values, as the library takes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter, Token, validators

from aiocos.cli.failing import UsageError
from aiocos.cli.profiles import Profile
from aiocos.operations.options import StorageClassName
from aiocos.sync.filters import FilterKind, Filters

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Recursive = Annotated[bool, Parameter(name=("--recursive", "-r"), negative="", show_default=False)]
Human = Annotated[bool, Parameter(name=("--human", "-h"), negative="", show_default=False)]
Yes = Annotated[bool, Parameter(name=("--yes", "-y"), negative="", show_default=False)]

WORKERS: Final = 32
_RATE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMG]?)(?:i?B)?(?:/s)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3}


def bytes_per_s(text: str) -> int:
    """Read a bandwidth such as ``500K``, ``10M`` or ``1.5G``, of bytes a second.

    Raises:
        ValueError: it is none.
    """
    match = _RATE.fullmatch(text.strip())
    rate = float(match[1]) * 1024 ** _POWERS[match[2].upper()] if match else 0.0
    if rate < 1:
        raise ValueError(f"{text!r} is no bandwidth: write bytes a second, such as 500K or 10M")
    return int(rate)


def _check_rate(_type: object, text: str | None) -> None:
    if text is not None:
        bytes_per_s(text)


def _read_rules(_type: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Keep the order in which the two options were given: the first that matches decides."""
    marks = {"--include": "+", "--exclude": "-"}
    return tuple(f"{marks[token.keyword or '']}{token.value}" for token in tokens)


@Parameter(name="*", group="Transfer")
@dataclass(frozen=True)
class Speed:
    """How much at a time; what is not given, a profile may say."""

    concurrency: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=256))] = (
        None
    )
    """How many requests at a time; 32 unless given."""

    part_size: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=5120))] = None
    """MiB that one request moves of a large file."""

    bandwidth: Annotated[str | None, Parameter(validator=_check_rate)] = None
    """Bytes a second of all transfers together, such as 500K or 10M."""

    hedge: bool | None = None
    """Whether a download asks a second time for a range whose answer is late; not, unless given."""

    def filled(self, profile: Profile) -> Speed:
        """Return it with what the profile says where nothing was given."""
        return replace(
            self,
            concurrency=self.concurrency or profile.concurrency or WORKERS,
            part_size=self.part_size or profile.part_size,
            bandwidth=self.bandwidth or (str(profile.bandwidth) if profile.bandwidth else None),
            hedge=profile.hedge if self.hedge is None else self.hedge,
        )

    @property
    def workers(self) -> int:
        """How many requests at a time."""
        return self.concurrency or WORKERS

    @property
    def bytes_per_s(self) -> int | None:
        """The bandwidth, None without a limit."""
        return bytes_per_s(self.bandwidth) if self.bandwidth else None


@Parameter(name="*", group="Transfer")
@dataclass(frozen=True)
class Headers:
    """What every new object gets."""

    storage_class: StorageClassName | None = None
    """Storage class of the new objects."""

    content_type: str | None = None
    """Their Content-Type; else it is guessed from the name."""

    metadata: Annotated[
        tuple[str, ...], Parameter(negative="", n_tokens=1, show_default=False)
    ] = ()
    """NAME=VALUE, kept with them as x-cos-meta-NAME; may be repeated."""

    def replaced(self) -> dict[str, Any]:
        """Return the keywords that a copy can only have by replacing the source's own."""
        given: dict[str, Any] = {"ContentType": self.content_type} if self.content_type else {}
        if self.metadata:
            given["Metadata"] = dict(map(_named, self.metadata))
        return given

    def keywords(self) -> dict[str, Any]:
        """Return the keywords of an upload."""
        storage = {"StorageClass": self.storage_class} if self.storage_class else {}
        return {**storage, **self.replaced()}


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--metadata is {text!r}, and must be NAME=VALUE")
    return f"x-cos-meta-{name.lower().removeprefix('x-cos-meta-')}", value


@Parameter(name="*", group="Directories")
@dataclass(frozen=True)
class Trees:
    """How directories are walked and filled."""

    rules: Annotated[
        tuple[str, ...],
        Parameter(
            name=("--include", "--exclude"),
            converter=_read_rules,
            negative="",
            n_tokens=1,
            json_list=False,  # [ab] is a set of characters
            show_default=False,
        ),
    ] = ()
    """Pattern of what takes part or does not; repeated, the first that matches decides."""

    unsafe: Literal["error", "encode", "skip"] = "error"
    """Of keys that can be no path, such as ../x."""

    collisions: Literal["error", "skip", "rename"] = "error"
    """Of keys that ask for the same place."""

    names: Literal["here", "posix", "macos", "windows"] = "here"
    """Whose rules file names follow."""

    follow_symlinks: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Upload what symbolic links lead to, rather than leave them out."""

    def filters(self) -> Filters:
        """Return what takes part.

        Raises:
            ParameterError: a pattern cannot be right.
        """
        kinds: dict[str, FilterKind] = {"+": "include", "-": "exclude"}
        return Filters((kinds[rule[0]], rule[1:]) for rule in self.rules)


AT_EASE: Final = Speed()
AS_THEY_ARE: Final = Headers()
ALL: Final = Trees()

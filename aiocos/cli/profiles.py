"""Profiles: what a user has written down once, so as not to say it each time.

In: the name of a profile, or none, and the environment. Out: a frozen Profile; what it does
not set is None. They stand in ``aiocos/config.toml`` in ``$XDG_CONFIG_HOME`` or ``~/.config``:

    [default]                       # without a name
    region = "ap-guangzhou"

    [profiles.work]                 # --profile work, or COS_PROFILE=work
    region = "ap-shanghai"
    tencent_profile = "work"        # keys: that profile of Tencent's SDKs or of tccli

What wins, for each setting, first to last:

1. options of the command line (``--region``, ``--endpoint``, ...)
2. what the profile says that ``--profile`` names: that is an option too
3. the environment: ``COS_REGION``, ``COS_ENDPOINT``, ``COS_CA_FILE``, keys
4. what the profile says that ``COS_PROFILE`` names, or else ``[default]``
5. the defaults

Keys come whole from one of these: an id is never paired with another one's secret or token.
"""

from __future__ import annotations

import difflib
import os
import shlex
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from aiocos.cli.failing import UsageError
from aiocos.cli.texts import shown

DEFAULT: Final = "default"
_SECRETS: Final = ("secret_key", "token")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LIMIT: Final = 256 * 1024
_RANGES: Final = {"concurrency": (1, 256), "part_size": (1, 5120), "bandwidth": (1, 10**12)}
_WAYS_TO_KEYS: Final = {
    "secret_id": "secret_id",
    "secret_key": "secret_id",
    "token": "secret_id",
    "env_prefix": "env_prefix",
    "tencent_profile": "tencent_profile",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one profile sets; None is not set."""

    name: str | None = None
    """None where nothing is written down."""
    path: Path | None = None
    """The file that it stands in."""
    is_chosen: bool = False
    """Whether it was named on the command line, so that it wins over the environment."""

    region: str | None = None
    endpoint: str | None = None
    ca_file: str | None = None
    """Certificates to trust for https in place of the usual ones."""
    env_prefix: str | None = None
    """Keys from variables: ``WORK`` stands for WORK_SECRET_ID, WORK_SECRET_KEY, WORK_TOKEN."""
    tencent_profile: str | None = None
    """Keys from this profile of Tencent's SDKs or of tccli."""
    secret_id: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    concurrency: int | None = None
    """Requests at a time."""
    part_size: int | None = None
    """Of transfers, in MiB."""
    bandwidth: int | None = None
    """Of all transfers together, in bytes per second."""
    hedge: bool | None = None
    """Whether downloads ask a second time where an answer is late."""

    @property
    def has_keys(self) -> bool:
        """Whether it says where the keys are."""
        return bool(self.secret_id or self.secret_key or self.env_prefix or self.tencent_profile)

    @property
    def where(self) -> str:
        """The profile as messages call it."""
        return f"profile {self.name!r} in {self.path}" if self.path else "no profile"

    def over(self, key: str, option: str | None, variable: str | None) -> str | None:
        """Return what counts of an option, a variable and the profile's own value."""
        own = getattr(self, key)
        ranked = (option, own, variable) if self.is_chosen else (option, variable, own)
        return next((value for value in ranked if value), None)


_KEYS: Final = tuple(
    item.name for item in fields(Profile) if item.name not in {"name", "path", "is_chosen"}
)


def path_of(environ: Mapping[str, str]) -> Path:
    """Return where the profiles stand, whether or not there is such a file."""
    home = environ.get("XDG_CONFIG_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path(os.path.expanduser("~"), ".config")
    return base / "aiocos" / "config.toml"


def find(name: str | None, environ: Mapping[str, str]) -> Profile:
    """Return the profile of this name; without one, that of COS_PROFILE, or ``[default]``.

    Where nothing is named and nothing written down, a Profile that sets nothing.

    Raises:
        UsageError: there is no such profile, or the file cannot be right, or others may
            read secrets that are in it. The message says what to do.
    """
    path = path_of(environ)
    wanted = name or environ.get("COS_PROFILE") or None
    text = _text(path)
    if text is None:
        if wanted is not None:
            raise UsageError(f"there is no profile {wanted!r}, because there is no file {path}")
        return Profile()
    tables = _tables(text[0], path)
    _refuse_open_secrets(tables, text[1], path)
    if wanted is None and DEFAULT not in tables:
        return Profile()
    table = tables.get(wanted or DEFAULT)
    if table is None:
        there = ", ".join(sorted(tables)) or "none"
        raise UsageError(f"there is no profile {wanted!r} in {path}; there are: {shown(there)}")
    where = f"{path}, profile {wanted or DEFAULT!r}"
    return Profile(
        name=wanted or DEFAULT, path=path, is_chosen=bool(name), **_checked(table, where)
    )


def _text(path: Path) -> tuple[str, os.stat_result] | None:
    """Return what the file holds and its facts; None where there is none."""
    try:
        # A pipe in its place would hold us up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            content = file.read(_LIMIT + 1) if stat.S_ISREG(facts.st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if content is None or len(content) > _LIMIT:
        raise UsageError(f"{path} is no regular file of at most {_LIMIT // 1024} KiB")
    try:
        return content.decode("utf-8-sig"), facts
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None


def _tables(text: str, path: Path) -> dict[str, dict[str, Any]]:
    """Return the profiles by name."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Its message ends in the place, and quotes no value.
        raise UsageError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{path} is not TOML: nested too deep") from None
    _refuse_unknown(document, (DEFAULT, "profiles"), f"{path}, outside of a profile")
    found = document.get("profiles", {})
    if not isinstance(found, dict):
        raise UsageError(f"{path}: write [profiles.NAME] for each profile")
    tables = {**({DEFAULT: document[DEFAULT]} if DEFAULT in document else {}), **found}
    if DEFAULT in document and DEFAULT in found:
        raise UsageError(f"{path} has [default] and [profiles.default]: leave one of them out")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {shown(name)!r} must be a table, [profiles.{shown(name)}]")
    return tables


def _refuse_open_secrets(
    tables: Mapping[str, Mapping[str, Any]], facts: os.stat_result, path: Path
) -> None:
    """Refuse a file with secrets in it that other users may read or write."""
    has_secrets = any(key in table for table in tables.values() for key in _SECRETS)
    if has_secrets and os.name != "nt" and facts.st_mode & _OTHERS:
        raise UsageError(
            f"{path} holds a secret, and other users may read or change it: "
            f"chmod 600 {shlex.quote(str(path))}"
        )


def _checked(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a profile's values, or refuse them; no value is quoted, it may be a secret."""
    _refuse_unknown(table, _KEYS, where)
    for key, value in table.items():
        if key in _RANGES:
            least, most = _RANGES[key]
            if type(value) is not int or not least <= value <= most:
                raise UsageError(f"{where}: {key} must be a whole number, {least} to {most}")
        elif key == "hedge":
            if not isinstance(value, bool):
                raise UsageError(f"{where}: hedge must be true or false")
        elif not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise UsageError(f"{where}: {key} must be a text in quotes that is not empty")
    ways = {_WAYS_TO_KEYS[key] for key in table if key in _WAYS_TO_KEYS}
    if len(ways) > 1:
        raise UsageError(f"{where}: {' and '.join(sorted(ways))} both say where keys are")
    if "secret_id" in ways and not {"secret_id", "secret_key"} <= table.keys():
        raise UsageError(f"{where}: secret_id and secret_key go together")
    return dict(table)


def _refuse_unknown(table: Iterable[str], known: Iterable[str], where: str) -> None:
    for key in table:
        if key in known:
            continue
        near = difflib.get_close_matches(key, list(known), 1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"
        raise UsageError(f"{where}: there is no setting {shown(key)!r}{hint}")

"""Keys from the files of Tencent's own tools, other than coscli's.

In: a path and a profile. Out: the keys that stand there. What of a file cannot be read is
not quoted, because it may be a key.

Source: tencentcloud-sdk-python (``ProfileCredential``), tencentcloud-sdk-go (the variable
for the path), tencentcloud-cli (``configure.py``, ``oauth.py``), coscmd (``load_conf``).
"""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiocos.credentials import Credentials
from aiocos.errors import CredentialsError, ParameterError
from aiocos.identity.keeping import Absent
from aiocos.identity.metadata import ENDPOINT as METADATA
from aiocos.identity.metadata import cvm_role
from aiocos.identity.reading import read_text
from aiocos.identity.source import Source, checked, paired
from aiocos.identity.sts import ENDPOINT as STS
from aiocos.identity.sts import AssumeRoleCredentials

_SYSTEM_FILE: Final = Path("/etc/tencentcloud/credentials")
_FILE_VARIABLE: Final = "TENCENTCLOUD_CREDENTIALS_FILE"
_PROFILE_VARIABLE: Final = "TCCLI_PROFILE"
DEFAULT_PROFILE: Final = "default"


def home() -> Path:
    """Return the user's home directory; one that does not exist where there is none."""
    return Path(os.path.expanduser("~"))


class ProfileCredentials(Source):
    """Keys from ``~/.tencentcloud/credentials``, the file of Tencent's SDKs.

    An ini file with ``secret_id`` and ``secret_key``, perhaps ``token``, in a section for
    each ``profile``. ``TENCENTCLOUD_CREDENTIALS_FILE`` names another one; where the user has
    none, ``/etc/tencentcloud/credentials`` is read.
    """

    def __init__(
        self,
        profile: str = DEFAULT_PROFILE,
        path: str | Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._profile, self._environ = profile, environ
        self._path = None if path is None else Path(path)
        self.name = f"profile {profile} of Tencent's SDKs"

    async def find(self) -> Credentials | Absent:
        """Read the file.

        Raises:
            CredentialsError: it is no ini file, or holds half a pair.
        """
        environ = os.environ if self._environ is None else self._environ
        told = self._path or environ.get(_FILE_VARIABLE) or ""
        if told:
            path, text = Path(told), await read_text(Path(told))
            if text is None:
                raise CredentialsError(f"{path} is named for credentials, and is not there")
        else:
            path, text = await _first_of((home() / ".tencentcloud" / "credentials", _SYSTEM_FILE))
        if text is None:
            return Absent(f"no file {path}")
        values = _ini_section(text, self._profile, path)
        if values is None:
            return Absent(f"no [{self._profile}] in {path}")
        where = f"{path} [{self._profile}]"
        if values.get("role_arn"):
            raise CredentialsError(
                f"{where}: role_arn is set, which no SDK follows: use AssumeRoleCredentials"
            )
        found = paired(values, ("secret_id", "secret_key"), where, values.get("token", ""))
        return found or Absent(f"no secret_id in {where}")


class TccliCredentials(Source):
    """Keys from ``~/.tccli/default.credential``, the JSON file of Tencent's command line.

    Follows its ``role-arn`` and its ``cvm-role``. Keys of a login end after a while, and
    ``tccli`` alone can renew them. ``TCCLI_PROFILE`` names another profile.
    """

    def __init__(
        self,
        profile: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        sts: str = STS,
        metadata: str = METADATA,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._profile = profile or environ.get(_PROFILE_VARIABLE) or DEFAULT_PROFILE
        if self._profile != Path(self._profile).name:
            raise ParameterError(f"the profile is {self._profile!r}, and must be a plain name")
        self._sts, self._metadata = sts, metadata
        self.name = f"profile {self._profile} of tccli"

    async def find(self) -> Credentials | Absent:
        """Read the file.

        Raises:
            CredentialsError: it is not tccli's, holds half a pair, or keys that have ended.
        """
        path = home() / ".tccli" / f"{self._profile}.credential"
        text = await read_text(path)
        if text is None:
            return Absent(f"no file {path}")
        said = _json_object(text, path)
        if said.get("type") == "cvm-role":
            return await cvm_role(None, self._metadata, str(path))
        given = {name: str(said.get(name) or "") for name in ("secretId", "secretKey", "token")}
        found = paired(given, ("secretId", "secretKey"), str(path), given["token"])
        if found is None:
            return Absent(f"no secretId in {path}")
        role, session = said.get("role-arn"), said.get("role-session-name")
        if role and session:
            try:
                assumed = AssumeRoleCredentials(found, role, session, endpoint=self._sts)
            except ParameterError as error:
                raise CredentialsError(f"{path}: {error}") from error
            return await assumed.find()
        expiry = said.get("expiresAt")
        if not isinstance(expiry, int | float):
            return found
        return checked(found.secret_id, found.secret_key, found.token or "", str(path), expiry)


class CoscmdCredentials(Source):
    """Keys from ``~/.cos.conf``, the ini file of coscmd: its section ``[common]``."""

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = None if path is None else Path(path)
        self.name = "configuration of coscmd"

    async def find(self) -> Credentials | Absent:
        """Read the file.

        Raises:
            CredentialsError: it is not coscmd's, or holds half a pair.
        """
        path = self._path or home() / ".cos.conf"
        text = await read_text(path)
        if text is None:
            return Absent(f"no file {path}")
        values = _ini_section(text, "common", path, interpolated=True)
        if values is None:
            raise CredentialsError(f"{path} has no [common]")
        if values.get("anonymous", "").lower() == "true":
            return Absent(f"{path} says that coscmd asks as nobody")
        if not values.get("secret_id"):  # coscmd's first versions called it so
            values["secret_id"] = values.get("access_id", "")
        where = f"{path} [common]"
        found = paired(values, ("secret_id", "secret_key"), where, values.get("token", ""))
        return found or Absent(f"no secret_id in {where}")


async def _first_of(paths: tuple[Path, ...]) -> tuple[Path, str | None]:
    """Return the first file that is there; the first path where none is."""
    for path in paths:
        text = await read_text(path)
        if text is not None:
            return path, text
    return paths[0], None


def _ini_section(
    text: str, section: str, path: Path, *, interpolated: bool = False
) -> dict[str, str] | None:
    """Return a section's values without quotes around them; None where there is none."""
    interpolation = configparser.BasicInterpolation() if interpolated else None
    parser = configparser.ConfigParser(interpolation=interpolation, default_section="")
    try:
        parser.read_string(text)
        if not parser.has_section(section):
            return None
        values = dict(parser.items(section))
    except configparser.Error as error:
        line = getattr(error, "lineno", None)
        at = f" at line {line}" if line else ""
        raise CredentialsError(f"{path} is not an ini file as it should be{at}") from None
    return {name: _unquoted(value.strip()) for name, value in values.items()}


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def _json_object(text: str, path: Path) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise CredentialsError(f"{path} is not a JSON object")
    return said

"""Keys from environment variables: those a user sets, and those a cloud function is given.

In: the variables. Out: keys, all of one family of names.

Source: tencentcloud-sdk-python (TENCENTCLOUD_), cos-python-sdk-v5's and cos-go-sdk-v5's
examples (COS_SECRET_ID, COS_SECRETID), hadoop-cos (COSN_), Tencent's command line
(TENCENTCLOUD_ROLE_ARN), SCF documentation "Role and Authorization".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from aiocos.credentials import Credentials
from aiocos.errors import CredentialsError, ParameterError
from aiocos.identity.keeping import Absent
from aiocos.identity.source import Source, paired
from aiocos.identity.sts import ENDPOINT, AssumeRoleCredentials

Environment = Mapping[str, str]


class _Family(NamedTuple):
    """Variables that belong together."""

    secret_id: str
    secret_key: str
    tokens: tuple[str, ...]

    def read(self, environ: Environment) -> Credentials | None:
        token = next(filter(None, (environ.get(name) for name in self.tokens)), "")
        return paired(environ, (self.secret_id, self.secret_key), "the environment", token)


_TENCENT: Final = _Family(
    "TENCENTCLOUD_SECRET_ID",
    "TENCENTCLOUD_SECRET_KEY",
    ("TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"),
)
_COS: Final = _Family("COS_SECRET_ID", "COS_SECRET_KEY", ("COS_TOKEN", "COS_SESSION_TOKEN"))
_OTHERS: Final = (
    _Family("COS_SECRETID", "COS_SECRETKEY", ("COS_SESSIONTOKEN",)),
    _Family("COSN_SECRET_ID", "COSN_SECRET_KEY", ()),
)
_FUNCTION: Final = _Family(
    "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", ("TENCENTCLOUD_SESSIONTOKEN",)
)


class EnvironmentCredentials(Source):
    """Keys from variables, read anew each time they are asked for.

    Looks for ``TENCENTCLOUD_SECRET_ID`` and ``_KEY`` (``_TOKEN``), then ``COS_SECRET_ID``,
    ``COS_SECRETID`` and ``COSN_SECRET_ID`` with theirs; ``first`` "COS" looks for
    ``COS_SECRET_ID`` before all others. With ``TENCENTCLOUD_ROLE_ARN`` and
    ``TENCENTCLOUD_ROLE_SESSION_NAME`` the first family's keys assume that role.
    """

    name = "environment"

    def __init__(
        self,
        environ: Environment | None = None,
        *,
        first: Literal["TENCENTCLOUD", "COS"] = "TENCENTCLOUD",
        endpoint: str = ENDPOINT,
    ) -> None:
        self._environ = environ
        families = (_COS, _TENCENT) if first == "COS" else (_TENCENT, _COS)
        self._families = (*families, *_OTHERS)
        self._endpoint = endpoint
        self._role: AssumeRoleCredentials | None = None
        self._role_of: tuple[Credentials, str, str] | None = None

    async def find(self) -> Credentials | Absent:
        """Read the variables.

        Raises:
            CredentialsError: half a pair is set.
        """
        environ = os.environ if self._environ is None else self._environ
        for family in self._families:
            credentials = family.read(environ)
            if credentials is not None:
                role = self._wanted_role(credentials, environ) if family is _TENCENT else None
                return credentials if role is None else await role.get_credentials()
        return Absent("none of " + ", ".join(family.secret_id for family in self._families))

    async def ask(self, *, refresh: bool = False) -> Credentials | Absent:
        """Read the variables, which costs less than to remember them."""
        found = await self.find()
        if refresh and self._role is not None and isinstance(found, Credentials):
            return await self._role.get_credentials(refresh=True)
        return found

    async def end_refresh(self) -> None:
        """Stop a refresh that nobody waits for."""
        if self._role is not None:
            await self._role.end_refresh()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the keys that were found here: elsewhere they are looked for anew."""
        return {**super().__getstate__(), "_role": None, "_role_of": None}

    def _wanted_role(
        self, credentials: Credentials, environ: Environment
    ) -> AssumeRoleCredentials | None:
        """Return what assumes the role that Tencent's own command line would assume."""
        arn = environ.get("TENCENTCLOUD_ROLE_ARN", "")
        session = environ.get("TENCENTCLOUD_ROLE_SESSION_NAME", "")
        if not arn or not session:
            self._role = self._role_of = None
            return None
        wanted = (credentials, arn, session)
        if self._role is None or self._role_of != wanted:
            try:
                role = AssumeRoleCredentials(credentials, arn, session, endpoint=self._endpoint)
            except ParameterError as error:
                raise CredentialsError(f"the environment, TENCENTCLOUD_ROLE_: {error}") from error
            self._role, self._role_of = role, wanted
        return self._role


class ScfCredentials(Source):
    """Keys of the role that a cloud function runs as, from what SCF sets.

    The platform replaces them between two calls of the function: read anew each time.
    """

    name = "SCF role"

    def __init__(self, environ: Environment | None = None) -> None:
        self._environ = environ

    async def find(self) -> Credentials | Absent:
        """Read the variables.

        Raises:
            CredentialsError: half a pair is set, or the token is missing.
        """
        credentials = _FUNCTION.read(os.environ if self._environ is None else self._environ)
        if credentials is None:
            return Absent(f"no {_FUNCTION.secret_id}, so this is no cloud function with a role")
        if credentials.token is None:
            raise CredentialsError(
                f"the environment: {_FUNCTION.secret_id} is set, but {_FUNCTION.tokens[0]} is not"
            )
        return credentials

    async def ask(self, *, refresh: bool = False) -> Credentials | Absent:
        """Read the variables."""
        return await self.find()

"""Whose credentials are used: the first source that has some.

In: sources, in order. Out: the credentials of one of them, from then on always of that
one; and an account of what was found where. A source that is absent is passed over; one
that is there and broken ends the search, because the next one's keys may be another
account's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from aiocos.credentials import CredentialProvider, Credentials, RefreshesAhead
from aiocos.errors import CosException, ParameterError
from aiocos.identity.coscli import CoscliCredentials
from aiocos.identity.environment import EnvironmentCredentials, ScfCredentials
from aiocos.identity.files import CoscmdCredentials, ProfileCredentials, TccliCredentials
from aiocos.identity.keeping import Absent
from aiocos.identity.metadata import ENDPOINT as METADATA
from aiocos.identity.metadata import CvmRoleCredentials
from aiocos.identity.pods import WebIdentityCredentials
from aiocos.identity.source import Given, Source, present
from aiocos.identity.sts import ENDPOINT as STS

_FEW: Final = 3
"""Sources that an error can name one by one."""
_ADVICE: Final = (
    "set COS_SECRET_ID and COS_SECRET_KEY (or TENCENTCLOUD_SECRET_ID and "
    "TENCENTCLOUD_SECRET_KEY); 'aiocos credentials explain' says where was looked"
)


class Finding(NamedTuple):
    """What came of looking at one source."""

    source: str
    state: Literal["used", "absent", "broken", "not asked"]
    detail: str = ""
    credentials: Credentials | None = None


class CredentialChain:
    """The credentials of the first of several sources that has some.

    A source is one of this package's, fixed ``Credentials``, or any provider, which is
    then taken to have some. Once found, credentials come from the same source for as long
    as the chain lives.
    """

    def __init__(self, *sources: Given) -> None:
        for source in sources:
            if not isinstance(source, CredentialProvider | Credentials):
                raise ParameterError(
                    f"{type(source).__name__} is no credential provider: it needs get_credentials"
                )
        self._sources = sources
        self._chosen: Given | None = None

    async def get_credentials(self, *, refresh: bool = False) -> Credentials:
        """Return credentials that hold now.

        Raises:
            CredentialsError: no source has any, or one is there and does not work.
        """
        return present(await self.ask(refresh=refresh), "any source")

    async def ask(self, *, refresh: bool = False) -> Credentials | Absent:
        """Return credentials, or where there were none.

        Raises:
            CredentialsError: a source is there and does not work.
        """
        if self._chosen is not None:
            return present(await _asked(self._chosen, refresh=refresh), _name(self._chosen))
        missing = []
        for source in self._sources:
            found = await _asked(source, refresh=refresh)
            if isinstance(found, Credentials):
                self._chosen = self._chosen or source
                return found
            missing.append(f"{_name(source)}: {found.why}")
        return Absent(_ADVICE if len(missing) > _FEW else "; ".join(missing))

    async def explain(self) -> list[Finding]:
        """Look at the sources in their order, and tell what came of each."""
        told: list[Finding] = []
        is_over = False
        for source in self._sources:
            name = _name(source)
            if is_over:
                told.append(Finding(name, "not asked"))
                continue
            try:
                found = await _asked(source)
            except CosException as error:
                told.append(Finding(name, "broken", str(error)))
                is_over = True
                continue
            if isinstance(found, Absent):
                told.append(Finding(name, "absent", found.why))
                continue
            told.append(Finding(name, "used", "the first that has credentials", found))
            is_over = True
        return told

    async def end_refresh(self) -> None:
        """Stop refreshes that nobody waits for. The chain can be used on."""
        for source in self._sources:
            if isinstance(source, RefreshesAhead):
                await source.end_refresh()

    def __getstate__(self) -> dict[str, object]:
        """Leave out which source it was: on another machine it may be another one."""
        return {**vars(self), "_chosen": None}

    def __repr__(self) -> str:
        return f"<CredentialChain: {', '.join(map(_name, self._sources))}>"


def default_credentials(
    environ: Mapping[str, str] | None = None,
    *,
    profile: str | None = None,
    first: Literal["TENCENTCLOUD", "COS"] = "TENCENTCLOUD",
    sts: str = STS,
    metadata: str = METADATA,
) -> CredentialChain:
    """Return the chain of all places where Tencent's tools look for credentials.

    Environment variables, ``~/.tencentcloud/credentials``, ``~/.tccli/default.credential``,
    ``~/.cos.yaml``, ``~/.cos.conf``, TKE pod identity, SCF role, CVM role. ``first`` says
    which family of variables wins. With ``profile``, that profile of the first two files
    and nothing else. ``sts`` and ``metadata`` are where the two services answer.
    """
    tccli = TccliCredentials(profile, environ=environ, sts=sts, metadata=metadata)
    if profile is not None:
        return CredentialChain(ProfileCredentials(profile, environ=environ), tccli)
    return CredentialChain(
        EnvironmentCredentials(environ, first=first, endpoint=sts),
        ProfileCredentials(environ=environ),
        tccli,
        CoscliCredentials(metadata=metadata),
        CoscmdCredentials(),
        WebIdentityCredentials(environ, endpoint=sts),
        ScfCredentials(environ),
        CvmRoleCredentials(endpoint=metadata),
    )


async def _asked(source: Given, *, refresh: bool = False) -> Credentials | Absent:
    if isinstance(source, Credentials):
        return source
    if isinstance(source, Source | CredentialChain):
        return await source.ask(refresh=refresh)
    return await source.get_credentials(refresh=refresh)


def _name(source: Given) -> str:
    if isinstance(source, Source):
        return source.name
    return "given" if isinstance(source, Credentials) else type(source).__name__

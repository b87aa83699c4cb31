"""Whose keys a command line signs with.

In: the environment and a profile. Out: a chain of sources, asked in the order that
``profiles`` tells. A profile that says where keys are is the last place that is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiocos.cli.profiles import Profile
from aiocos.credentials import Credentials
from aiocos.identity import CredentialChain, EnvironmentCredentials, default_credentials
from aiocos.identity.files import ProfileCredentials, TccliCredentials
from aiocos.identity.keeping import Absent
from aiocos.identity.source import Source, checked, paired


def chain_of(environ: Mapping[str, str], profile: Profile) -> CredentialChain:
    """Return where the keys may be: COS_SECRET_ID before all other variables."""
    if not profile.has_keys:
        return default_credentials(dict(environ), first="COS")
    sources = _sources(environ, profile)
    if profile.is_chosen:
        return CredentialChain(*sources)
    return CredentialChain(EnvironmentCredentials(environ, first="COS"), *sources)


def _sources(environ: Mapping[str, str], profile: Profile) -> tuple[Source, ...]:
    if profile.tencent_profile:
        named = profile.tencent_profile
        return (
            ProfileCredentials(named, environ=environ),
            TccliCredentials(named, environ=environ),
        )
    return (_PrefixedKeys(environ, profile) if profile.env_prefix else _WrittenKeys(profile),)


class _WrittenKeys(Source):
    """Keys that stand in the profile itself."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.name = f"profile {profile.name}"

    async def find(self) -> Credentials | Absent:
        """Check them.

        Raises:
            CredentialsError: they cannot be right.
        """
        own = self._profile
        return checked(own.secret_id or "", own.secret_key or "", own.token or "", own.where)


class _PrefixedKeys(Source):
    """Keys from the variables whose names begin as the profile says."""

    def __init__(self, environ: Mapping[str, str], profile: Profile) -> None:
        self._environ, self._prefix = environ, profile.env_prefix
        self.name = f"profile {profile.name}"

    async def find(self) -> Credentials | Absent:
        """Read the variables.

        Raises:
            CredentialsError: half a pair is set.
        """
        names = (f"{self._prefix}_SECRET_ID", f"{self._prefix}_SECRET_KEY")
        token = self._environ.get(f"{self._prefix}_TOKEN", "")
        found = paired(self._environ, names, "the environment", token)
        return found or Absent(f"neither {names[0]} nor {names[1]} is set")

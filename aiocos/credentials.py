"""Who signs a request: immutable credentials, and where fresh ones come from.

In: key id, key and token, or an object that has them. Out: one ``Credentials`` snapshot
a request, so that a key never meets another key's token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from aiocos.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Credentials:
    """One key pair, and the token that belongs to it if it is temporary.

    ``expiry`` is the Unix time from which COS refuses them, None where that is not known.
    """

    secret_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expiry: float | None = None

    def __post_init__(self) -> None:
        for name in ("secret_id", "secret_key"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ParameterError(f"{name} must be a text that is not empty")
            if value != value.strip():
                raise ParameterError(
                    f"{name} begins or ends with a space: copied with one too many?"
                )
            _check_printable(value, name)
        if self.token is not None:
            _check_printable(self.token, "token")
        if not isinstance(self.expiry, int | float | None):
            raise ParameterError("expiry must be Unix time in seconds, or None")


def _check_printable(value: object, name: str) -> None:
    """Refuse what cannot stand in a header; the value itself is not shown."""
    if not (isinstance(value, str) and value.isascii() and value.isprintable()):
        raise ParameterError(f"{name} must be a text of printable ASCII characters")


@runtime_checkable
class CredentialProvider(Protocol):
    """Gives credentials for each attempt of each request.

    With ``refresh`` true the last ones were refused as expired: get new ones. Calls may
    come from many tasks at once.
    """

    async def get_credentials(self, *, refresh: bool = False) -> Credentials:
        """Return the credentials to sign with now."""
        ...


@runtime_checkable
class RefreshesAhead(Protocol):
    """A provider that may have a refresh under way which nobody waits for."""

    async def end_refresh(self) -> None:
        """Stop that refresh, in this event loop. The provider can be used on."""
        ...


@runtime_checkable
class CredentialInstance(Protocol):
    """What the sync SDK calls a ``CredentialInstance``: attributes read at signing time."""

    @property
    def secret_id(self) -> str:
        """The key's id."""
        ...

    @property
    def secret_key(self) -> str:
        """The key."""
        ...

    @property
    def token(self) -> str | None:
        """The token of temporary keys."""
        ...


def snapshot(instance: CredentialInstance) -> Credentials:
    """Read an instance's three values as one set.

    They are read twice and must agree, so that a rotation in another thread between two
    reads cannot pair an old key with a new token.
    """
    while True:
        first = (instance.secret_id, instance.secret_key, instance.token)
        if first == (instance.secret_id, instance.secret_key, instance.token):
            return Credentials(*first)

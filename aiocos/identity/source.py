"""What every source of credentials has in common.

In: a way to look for credentials. Out: a ``CredentialProvider`` that remembers what was
found, and can tell why nothing was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from aiocos.credentials import CredentialProvider, Credentials
from aiocos.errors import CredentialsError, ParameterError
from aiocos.identity.keeping import Absent, Keeper

LIFETIME_UNKNOWN_S: Final = 30.0
"""How long keys without an end of their own are taken from memory before a second look."""


class Source(ABC):
    """One place where credentials may be."""

    name: str
    """As messages call it."""
    recheck_s: ClassVar[float] = LIFETIME_UNKNOWN_S
    _keeper: Keeper | None = None

    @abstractmethod
    async def find(self) -> Credentials | Absent:
        """Look now, and remember nothing.

        Raises:
            CredentialsError: there is something, and it cannot be used.
        """

    async def ask(self, *, refresh: bool = False) -> Credentials | Absent:
        """Return what is known or, when it is due or with ``refresh``, look anew."""
        if self._keeper is None:
            self._keeper = Keeper(self.name, self.find, recheck_s=self.recheck_s)
        return await self._keeper.get(refresh=refresh)

    async def get_credentials(self, *, refresh: bool = False) -> Credentials:
        """Return credentials that hold now.

        Raises:
            CredentialsError: there are none here, or they cannot be used.
        """
        return present(await self.ask(refresh=refresh), self.name)

    async def end_refresh(self) -> None:
        """Stop a refresh that nobody waits for. The source can be used on."""
        if self._keeper is not None:
            await self._keeper.end()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {name: value for name, value in vars(self).items() if name != "_keeper"}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.name}>"


Given = CredentialProvider | Credentials
"""What can stand for credentials: fixed ones, or whoever gives them."""


def present(found: Credentials | Absent, name: str) -> Credentials:
    """Return credentials, or say where there are none."""
    if isinstance(found, Absent):
        raise CredentialsError(f"no credentials from {name}: {found.why}", is_missing=True)
    return found


def paired(
    values: Mapping[str, str], names: tuple[str, str], where: str, token: str = ""
) -> Credentials | None:
    """Return the pair that stands under two names; None if neither does.

    Raises:
        CredentialsError: there is half a pair, or one that cannot be right.
    """
    secret_id, secret_key = (values.get(name, "") for name in names)
    if not secret_id and not secret_key:
        return None
    if not secret_id or not secret_key:
        there, missing = names if secret_id else reversed(names)
        told = f"{where}: {there} is set, but {missing} is not"
        raise CredentialsError(told, is_missing=True)
    return checked(secret_id, secret_key, token, where)


def checked(
    secret_id: str, secret_key: str, token: str, where: str, expiry: float | None = None
) -> Credentials:
    """Return credentials, or say where some stand that cannot be right."""
    try:
        return Credentials(secret_id, secret_key, token or None, expiry)
    except ParameterError as error:
        raise CredentialsError(f"{where}: {error}") from None


def text_of(value: object) -> str:
    """Return a text that is not empty.

    Raises:
        ValueError: it is none; the value is not shown.
    """
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value

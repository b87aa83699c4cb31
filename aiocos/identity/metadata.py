"""The role of a CVM: temporary keys from the machine's metadata service.

In: a role's name, or none. Out: the role's keys. Outside Tencent Cloud there is no such
service, which is found out in about a second and then remembered for a minute.

Source: Tencent Cloud documentation, "Viewing Instance Metadata".
"""

from __future__ import annotations

import json
import re
import time
from typing import Final

from aiocos.credentials import Credentials
from aiocos.errors import CredentialsError, ParameterError, TransportError
from aiocos.identity.asking import Address, Answer, ask, link_local
from aiocos.identity.keeping import Absent
from aiocos.identity.source import Source, checked, present, text_of

ENDPOINT: Final = "http://metadata.tencentyun.com"
_PATH: Final = "/latest/meta-data/cam/security-credentials/"
_ROLE: Final = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_CONNECT_S: Final = 1.0
_TOTAL_S: Final = 5.0
_REMEMBERED_S: Final = 60.0


class CvmRoleCredentials(Source):
    """Keys of the CAM role that is bound to this CVM instance.

    ``role`` is found out where it is left out. Asked with a connect timeout of one
    second and ``timeout_s`` for the answer, through no proxy, and only on a link-local
    address. ``endpoint`` is for a stand-in on this machine.

    Source: Tencent Cloud documentation, "Viewing Instance Metadata".
    """

    name = "CVM role"

    def __init__(
        self, role: str | None = None, *, endpoint: str = ENDPOINT, timeout_s: float = _TOTAL_S
    ) -> None:
        if role is not None and not _ROLE.fullmatch(role):
            raise ParameterError(f"role is {role!r}, and must be the name of a CAM role")
        self._role, self._total_s = role, timeout_s
        self._address = Address.read(endpoint, needs_tls=False)
        self._was_there = False
        self._absent_until = 0.0

    async def find(self) -> Credentials | Absent:
        """Ask the metadata service.

        Raises:
            CredentialsError: it is there, and does not give keys.
        """
        host = self._address.host
        if time.monotonic() < self._absent_until:
            return Absent(f"no metadata service at {host} (asked less than a minute ago)")
        at = None if self._address.is_here else await link_local(host, _CONNECT_S)
        if at is None and not self._address.is_here:
            return self._unreachable(f"{host} has no link-local address")
        try:
            role = self._role or await self._first_role(at)
            if role is None:
                return Absent("no CAM role is bound to this instance")
            answer = await self._get(role, at)
        except TransportError as error:
            return self._unreachable(str(error))
        self._was_there = True
        return _read(answer, role)

    def _unreachable(self, why: str) -> Absent:
        if self._was_there:
            raise CredentialsError(f"the metadata service does not answer any more: {why}")
        self._absent_until = time.monotonic() + _REMEMBERED_S
        return Absent(f"no metadata service, so this is no CVM: {why}")

    async def _get(self, name: str, at: str | None) -> Answer:
        path, total_s = _PATH + name, self._total_s
        return await ask(self._address, path, connect_s=_CONNECT_S, total_s=total_s, at=at)

    async def _first_role(self, at: str | None) -> str | None:
        answer = await self._get("", at)
        if answer.status == 404:
            return None
        role = answer.body.decode("ascii", "replace").strip().partition("\n")[0].strip()
        if answer.status != 200 or not _ROLE.fullmatch(role):
            raise CredentialsError(
                f"the metadata service answers HTTP {answer.status}, and names no role"
            )
        return role


def _read(answer: Answer, role: str) -> Credentials:
    if answer.status == 404:
        raise CredentialsError(f"the metadata service knows no role {role}: is it bound?")
    if answer.status != 200:
        raise CredentialsError(f"the metadata service answers HTTP {answer.status} for {role}")
    try:
        said = json.loads(answer.body)
        if said["Code"] != "Success":
            raise ValueError("no success")  # noqa: TRY301
        names = ("TmpSecretId", "TmpSecretKey", "Token")
        secret_id, secret_key, token = (text_of(said[name]) for name in names)
        expiry = float(said["ExpiredTime"]) - answer.ahead_s
    except (ValueError, KeyError, TypeError):
        # What cannot be read may hold the keys: it is not quoted, nor kept as a cause.
        raise CredentialsError(f"the metadata service gave no keys for the role {role}") from None
    return checked(secret_id, secret_key, token, f"the metadata service, role {role}", expiry)


async def cvm_role(role: str | None, endpoint: str, where: str) -> Credentials:
    """Return the keys of a role that a file refers to.

    Raises:
        CredentialsError: there are none.
    """
    try:
        source = CvmRoleCredentials(role, endpoint=endpoint)
    except ParameterError as error:
        raise CredentialsError(f"{where}: {error}") from error
    return present(await source.find(), f"the CVM role that {where} names")

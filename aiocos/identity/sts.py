"""Temporary keys from STS, for other keys or for a pod's token.

In: a role, and who wants to be it. Out: keys that hold for a while.

Source: Tencent Cloud API documentation, STS 2018-08-13.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiocos.credentials import CredentialProvider, Credentials, RefreshesAhead
from aiocos.errors import CredentialsError, ParameterError, TransportError
from aiocos.identity import tc3
from aiocos.identity.asking import Address, Answer, ask
from aiocos.identity.keeping import Absent
from aiocos.identity.source import Given, Source, checked, text_of

ENDPOINT: Final = "https://sts.tencentcloudapi.com"
DURATION_S: Final = 7200
LONGEST_DURATION_S: Final = 43200
_VERSION: Final = "2018-08-13"
_CONNECT_S: Final = 5.0
_TOTAL_S: Final = 15.0
_ATTEMPTS: Final = 3
_QUOTED: Final = 300
_SESSION: Final = re.compile(r"[\w+=,.@-]{2,128}", re.ASCII)
_PASSING: Final = ("InternalError", "RequestLimitExceeded", "ResourceUnavailable")
_STALE_KEYS: Final = ("AuthFailure.TokenFailure", "AuthFailure.SecretIdNotFound")
_WRONG_CLOCK: Final = "AuthFailure.SignatureExpire"


class StsError(CredentialsError):
    """STS refused: ``code`` is its own, ``ahead_s`` how far its clock is ahead of ours."""

    def __init__(self, message: str, code: str, ahead_s: float = 0.0) -> None:
        super().__init__(message)
        self.code, self.ahead_s = code, ahead_s

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (*self.args, self.code, self.ahead_s)


class Sts(NamedTuple):
    """Where STS is, and how to get there."""

    address: Address
    region: str
    proxy: str | None = None

    async def give(
        self, action: str, params: Mapping[str, object], signer: Credentials | None
    ) -> Credentials:
        """Call an action and return the keys it gives. Without ``signer`` it is not signed.

        Raises:
            StsError: STS refused.
            CredentialsError: it gave no answer, or one that is not STS's.
        """
        ahead_s = 0.0
        for attempt in range(1, _ATTEMPTS + 1):
            is_last = attempt == _ATTEMPTS
            try:
                answer = await self._call(action, params, signer, ahead_s)
                return _read(answer, action, _secrets(params, signer))
            except TransportError as error:
                if not error.retryable or is_last:
                    where = self.address.netloc
                    raise CredentialsError(f"{action}: {where}: {error}") from error
            except StsError as error:
                is_skewed = error.code == _WRONG_CLOCK and error.ahead_s and not ahead_s
                if is_last or not (is_skewed or error.code.startswith(_PASSING)):
                    raise
                ahead_s = error.ahead_s
            await asyncio.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - a wait
        raise AssertionError

    async def _call(
        self,
        action: str,
        params: Mapping[str, object],
        signer: Credentials | None,
        ahead_s: float,
    ) -> Answer:
        body = json.dumps(params).encode()
        return await ask(
            self.address,
            "/",
            headers=self._headers(action, body, signer, int(time.time() + ahead_s)),
            body=body,
            connect_s=_CONNECT_S,
            total_s=_TOTAL_S,
            proxy=self.proxy,
        )

    def _headers(
        self, action: str, body: bytes, signer: Credentials | None, now: int
    ) -> dict[str, str]:
        signed = {
            "Content-Type": "application/json; charset=utf-8",
            "Host": self.address.netloc,
            "X-TC-Action": action,
        }
        headers = {
            **signed,
            "X-TC-Timestamp": str(now),
            "X-TC-Version": _VERSION,
            "X-TC-Region": self.region,
            "Authorization": "SKIP",
        }
        if signer is None:
            return headers
        if signer.token:
            headers["X-TC-Token"] = signer.token
        pair = (signer.secret_id, signer.secret_key)
        headers["Authorization"] = tc3.authorization(
            *pair, service="sts", headers=signed, body=body, timestamp=now
        )
        return headers


class AssumeRoleCredentials(Source):
    """Keys of a role, given to whom ``source`` speaks for.

    ``source`` is any provider, or fixed ``Credentials``. ``DurationSeconds`` is 1 to 43200.
    ``Policy``, a dict or its JSON, narrows what the keys may do. ``proxy`` is an http://
    address on the way to STS.

    Raises:
        ParameterError: an argument cannot be right.

    Source: Tencent Cloud API documentation, STS ``AssumeRole``.
    """

    def __init__(
        self,
        source: Given,
        RoleArn: str,
        RoleSessionName: str = "aiocos",
        *,
        DurationSeconds: int = DURATION_S,
        Policy: Mapping[str, object] | str | None = None,
        ExternalId: str | None = None,
        Region: str = "ap-guangzhou",
        endpoint: str = ENDPOINT,
        proxy: str | None = None,
    ) -> None:
        if not isinstance(source, CredentialProvider | Credentials):
            raise ParameterError("source must be a credential provider, or Credentials")
        self._source = source
        self._sts = Sts(Address.read(endpoint), Region, proxy)
        self._params: dict[str, object] = {
            **role_params(RoleArn, RoleSessionName, DurationSeconds),
        }
        if Policy is not None:
            self._params["Policy"] = _encoded_policy(Policy)
        if ExternalId is not None:
            self._params["ExternalId"] = ExternalId
        self.name = f"AssumeRole {RoleArn}"

    async def find(self) -> Credentials | Absent:
        """Ask STS for new keys.

        Raises:
            CredentialsError: the source has no keys, or STS gives none for them.
        """
        if isinstance(self._source, Credentials):
            return await self._sts.give("AssumeRole", self._params, self._source)
        signer = await self._source.get_credentials()
        try:
            return await self._sts.give("AssumeRole", self._params, signer)
        except StsError as error:
            if not error.code.startswith(_STALE_KEYS):
                raise
        signer = await self._source.get_credentials(refresh=True)
        return await self._sts.give("AssumeRole", self._params, signer)

    async def end_refresh(self) -> None:
        """Stop a refresh that nobody waits for, here and below."""
        await super().end_refresh()
        if isinstance(self._source, RefreshesAhead):
            await self._source.end_refresh()


def role_params(arn: object, session: object, duration_s: object) -> dict[str, object]:
    """Return what both actions say of the role, checked.

    Raises:
        ParameterError: a value cannot be right.
    """
    if not isinstance(arn, str) or not arn.startswith("qcs::"):
        raise ParameterError(f"RoleArn is {arn!r}, and must be as in qcs::cam::uin/1:roleName/name")
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise ParameterError(
            f"RoleSessionName is {session!r}, and must be 2 to 128 letters, digits or +=,.@_-"
        )
    if not isinstance(duration_s, int) or not 0 < duration_s <= LONGEST_DURATION_S:
        raise ParameterError(f"DurationSeconds is {duration_s!r}, and must be 1 to 43200")
    return {"RoleArn": arn, "RoleSessionName": session, "DurationSeconds": duration_s}


def _encoded_policy(policy: Mapping[str, object] | str) -> str:
    """Return a policy as STS wants it: JSON, percent-encoded once more inside the JSON."""
    try:
        document = json.loads(policy) if isinstance(policy, str) else dict(policy)
        return quote(json.dumps(document, separators=(",", ":")), safe="")
    except (ValueError, TypeError):
        raise ParameterError("Policy must be a dict, or JSON that is not encoded yet") from None


def _secrets(params: Mapping[str, object], signer: Credentials | None) -> list[str]:
    found = [str(params.get("WebIdentityToken") or "")]
    if signer is not None:
        found += [signer.secret_key, signer.token or ""]
    return [secret for secret in found if secret]


def _read(answer: Answer, action: str, secrets: list[str]) -> Credentials:
    """Return the keys in an answer; one that cannot be read is not quoted: it may hold them."""
    try:
        said: dict[str, Any] = json.loads(answer.body)["Response"]
        if said.get("Error") is None:
            given = said["Credentials"]
            names = ("TmpSecretId", "TmpSecretKey", "Token")
            secret_id, secret_key, token = (text_of(given[name]) for name in names)
            expiry = float(said["ExpiredTime"]) - answer.ahead_s
            return checked(secret_id, secret_key, token, f"STS {action}", expiry)
        code, message = str(said["Error"]["Code"]), str(said["Error"]["Message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CredentialsError(
            f"{action}: HTTP {answer.status}, and not an answer of STS: is the endpoint right?"
        ) from None
    for secret in secrets:
        message = message.replace(secret, "***")
    message = "".join(mark if mark.isprintable() else " " for mark in message)[:_QUOTED]
    request = str(said.get("RequestId", ""))[:64]
    raise StsError(f"{action}: {code}: {message} [request {request}]", code, answer.ahead_s)

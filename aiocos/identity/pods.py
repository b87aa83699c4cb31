"""The identity of a TKE pod: temporary keys for the token that Kubernetes gives it.

In: variables that TKE's webhook sets, and the file they name. Out: the role's keys.

Source: tencentcloud-sdk-python (``DefaultTkeOIDCRoleArnProvider``), reqsign (the other
spelling of the file's variable), STS ``AssumeRoleWithWebIdentity``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiocos.credentials import Credentials
from aiocos.errors import CredentialsError, ParameterError
from aiocos.identity.asking import Address
from aiocos.identity.keeping import Absent
from aiocos.identity.reading import read_text
from aiocos.identity.source import Source
from aiocos.identity.sts import DURATION_S, ENDPOINT, Sts, role_params

_FILE: Final = (
    "TKE_WEB_IDENTITY_TOKEN_FILE",
    "TKE_IDENTITY_TOKEN_FILE",
    "TENCENTCLOUD_WEB_IDENTITY_TOKEN_FILE",
)
_PROVIDER: Final = ("TKE_PROVIDER_ID", "TENCENTCLOUD_PROVIDER_ID")
_ROLE: Final = ("TKE_ROLE_ARN", "TENCENTCLOUD_ROLE_ARN")
_REGION: Final = ("TKE_REGION", "TENCENTCLOUD_REGION")
_SESSION: Final = ("TKE_ROLE_SESSION_NAME", "TENCENTCLOUD_ROLE_SESSION_NAME")
_SIGNS: Final = (*_FILE, "TKE_PROVIDER_ID", "TKE_ROLE_ARN")
"""Variables that only a pod with an identity has."""


class WebIdentityCredentials(Source):
    """Keys of the role that a pod's service account may be.

    The variables are read, and the token's file is opened, for each new set of keys:
    Kubernetes replaces it.

    Source: Tencent Cloud API documentation, STS ``AssumeRoleWithWebIdentity``.
    """

    name = "TKE pod identity"

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        DurationSeconds: int = DURATION_S,
        endpoint: str = ENDPOINT,
        proxy: str | None = None,
    ) -> None:
        self._environ = environ
        self._duration_s = DurationSeconds
        self._address, self._proxy = Address.read(endpoint), proxy

    async def find(self) -> Credentials | Absent:
        """Read the token and ask STS.

        Raises:
            CredentialsError: the pod's variables are not whole, its token cannot be read, or
                STS refuses it.
        """
        environ = os.environ if self._environ is None else self._environ
        if not any(environ.get(name) for name in _SIGNS):
            return Absent(f"none of {', '.join(_SIGNS)}")
        file, provider, role, region = (
            _required(environ, names) for names in (_FILE, _PROVIDER, _ROLE, _REGION)
        )
        token = await read_text(Path(file), is_shared=True)
        if token is None or not token.strip():
            raise CredentialsError(f"{self.name}: there is no token in {file}")
        session = next(filter(None, (environ.get(name) for name in _SESSION)), "aiocos")
        try:
            params = role_params(role, session, self._duration_s)
        except ParameterError as error:
            raise CredentialsError(f"{self.name}: {error}") from error
        params |= {"ProviderId": provider, "WebIdentityToken": token.strip()}
        sts = Sts(self._address, region, self._proxy)
        return await sts.give("AssumeRoleWithWebIdentity", params, None)


def _required(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    value = next(filter(None, (environ.get(name) for name in names)), None)
    if value is None:
        raise CredentialsError(
            f"{WebIdentityCredentials.name}: {names[0]} is not set, though others of the pod's "
            "variables are"
        )
    return value

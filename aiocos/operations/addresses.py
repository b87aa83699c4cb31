"""Addresses of objects, plain and signed. Nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from aiocos import signing
from aiocos.credentials import Credentials
from aiocos.encoding.headers import header_value, unicode_text
from aiocos.encoding.urls import key_path, query_string, raw_path
from aiocos.errors import ParameterError
from aiocos.operations.base import Operations
from aiocos.operations.checks import text, whole_number
from aiocos.session import Session

MAX_EXPIRED_S: Final = 10**9
"""Thirty years: more is a date, or milliseconds, in place of a span of seconds."""
_TOKEN_NAME: Final = "x-cos-security-token"  # noqa: S105 - the name of a header
_OWN_NAMES: Final = frozenset(
    {
        "q-sign-algorithm",
        "q-ak",
        "q-sign-time",
        "q-key-time",
        "q-header-list",
        "q-url-param-list",
        "q-signature",
    }
)
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})


class AddressOperations(Operations):
    """URLs that can be handed to someone else, and signatures for other clients."""

    async def get_object_url(self, Bucket: str, Key: str) -> str:
        """Return an object's address, without a signature.

        Source: COS SDK for Python, ``get_object_url``.
        """
        return _object_url(await self._ready(), Bucket, Key)

    async def get_presigned_url(
        self,
        Bucket: str,
        Key: str,
        Method: str,
        Expired: int = 300,
        Params: Mapping[str, str] | None = None,
        Headers: Mapping[str, str] | None = None,
        SignHost: bool | None = None,
    ) -> str:
        """Return an address that lets whoever has it do one thing, for ``Expired`` seconds.

        ``Headers`` are signed, and the user of the address must send them; of other names
        than those that COS signs, nothing is checked. ``Params`` become part of the address:
        ``versionId``, or for a download ``response-content-disposition`` and its kin. A token
        of temporary credentials is part of the address; it stops working with the token.

        Raises:
            ParameterError: the client is anonymous, or an argument cannot be right.

        Source: COS SDK for Python, ``get_presigned_url``.
        """
        session = await self._ready()
        credentials = await signing_credentials(session)
        return presigned_url(
            session, credentials, Method, Bucket, Key, Expired, Params, Headers, SignHost
        )

    async def get_presigned_download_url(
        self,
        Bucket: str,
        Key: str,
        Expired: int = 300,
        Params: Mapping[str, str] | None = None,
        Headers: Mapping[str, str] | None = None,
        SignHost: bool | None = None,
    ) -> str:
        """Return an address that lets whoever has it download the object.

        Source: COS SDK for Python, ``get_presigned_download_url``.
        """
        return await self.get_presigned_url(
            Bucket, Key, "GET", Expired, Params, Headers, SignHost=SignHost
        )

    async def get_auth(
        self,
        Method: str,
        Bucket: str,
        Key: str,
        Expired: int = 300,
        Headers: Mapping[str, str] | None = None,
        Params: Mapping[str, str] | None = None,
        SignHost: bool | None = None,
    ) -> str:
        """Return the ``Authorization`` header for a request that another client sends.

        With temporary credentials that client sends ``x-cos-security-token`` as well.

        Source: COS SDK for Python, ``get_auth``.
        """
        session = await self._ready()
        credentials = await signing_credentials(session)
        params = _checked_params(Params)
        return _sign(
            session, credentials, Method, Bucket, Key, Expired, params, Headers, SignHost
        ).authorization


def _object_url(session: Session, bucket: str, key: str) -> str:
    address, _ = session.endpoints.public(bucket)
    return f"{address}{raw_path(key_path(key))}"


def presigned_url(
    session: Session,
    credentials: Credentials,
    method: str,
    bucket: str,
    key: str,
    expired: int,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    sign_host: bool | None = None,
) -> str:
    """Return an address that carries its signature, and the token of these credentials."""
    query = _checked_params(params)
    if credentials.token and _TOKEN_NAME not in map(str.lower, query):
        query[_TOKEN_NAME] = credentials.token
    signature = _sign(session, credentials, method, bucket, key, expired, query, headers, sign_host)
    signed = urlencode(signature.fields)
    if query:
        signed += f"&{query_string(query)}"
    return f"{_object_url(session, bucket, key)}?{signed}"


async def signing_credentials(session: Session) -> Credentials:
    """Return the credentials of a signature, taken once: its token must be of the same set.

    Raises:
        ParameterError: the client is anonymous.
    """
    credentials = await session.signer.credentials()
    if credentials is None:
        raise ParameterError("an anonymous client cannot sign: give SecretId and SecretKey")
    return credentials


def _checked_params(params: Mapping[str, str] | None) -> dict[str, str]:
    """Return query parameters as text, without names that would make the address ambiguous."""
    texts = {text(name, "Params"): str(value) for name, value in (params or {}).items()}
    for name, value in texts.items():
        unicode_text(value, f"Params[{name!r}]")
        if name.lower() in _OWN_NAMES:
            raise ParameterError(f"Params has {name}, which is part of the signature itself")
    if len({name.lower() for name in texts}) < len(texts):
        raise ParameterError("Params has names that differ only in case, which COS takes for one")
    return texts


def _sign(
    session: Session,
    credentials: Credentials,
    method: str,
    bucket: str,
    key: str,
    expired: int,
    params: Mapping[str, str],
    headers: Mapping[str, str] | None,
    sign_host: bool | None,
) -> signing.Signature:
    if not isinstance(method, str) or method.upper() not in _METHODS:
        raise ParameterError(f"Method is {method!r}, and must be one of {sorted(_METHODS)}")
    signed = [(name, header_value(value, name)) for name, value in (headers or {}).items()]
    has_host = any(name.lower() == "host" for name, _ in signed)
    wants_host = session.config.SignHost if sign_host is None else sign_host
    if wants_host and not has_host:
        signed.append(("host", session.endpoints.public(bucket)[1]))
    return signing.sign(
        method=method,
        path=key_path(key),
        params=params.items() if session.config.SignParams else (),
        headers=signed,
        secret_id=credentials.secret_id,
        secret_key=credentials.secret_key,
        now=session.signer.now(),
        expire_s=whole_number(expired, "Expired", 1, MAX_EXPIRED_S),
    )

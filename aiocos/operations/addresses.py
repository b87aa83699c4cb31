"""Addresses of objects, plain and signed. Nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from aiocos import signing
from aiocos.encoding.headers import header_value
from aiocos.encoding.urls import key_path, query_string, raw_path
from aiocos.errors import ParameterError
from aiocos.operations.base import Operations
from aiocos.operations.checks import whole_number
from aiocos.session import Session

_TOKEN_NAME: Final = "x-cos-security-token"  # noqa: S105 - the name of a header
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})


class AddressOperations(Operations):
    """URLs that can be handed to someone else, and signatures for other clients."""

    async def get_object_url(self, Bucket: str, Key: str) -> str:
        """Return an object's address, without a signature.

        Source: COS SDK for Python, ``get_object_url``.
        """
        session = await self._ready()
        address, _ = session.endpoints.public(Bucket)
        return f"{address}{raw_path(key_path(Key))}"

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

        ``Headers`` are signed, and the user of the address must send them. A token of
        temporary credentials is part of the address; it stops working with the token.

        Raises:
            ParameterError: the client is anonymous, or an argument cannot be right.

        Source: COS SDK for Python, ``get_presigned_url``.
        """
        session = await self._ready()
        params = dict(Params or {})
        credentials = await session.signer.credentials()
        if credentials is not None and credentials.token:
            params.setdefault(_TOKEN_NAME, credentials.token)
        signature = await _sign(session, Method, Bucket, Key, Expired, params, Headers, SignHost)
        query = urlencode(signature.fields)
        if params:
            query += f"&{query_string(params)}"
        return f"{await self.get_object_url(Bucket, Key)}?{query}"

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
        signature = await _sign(
            session, Method, Bucket, Key, Expired, dict(Params or {}), Headers, SignHost
        )
        return signature.authorization


async def _sign(
    session: Session,
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
    credentials = await session.signer.credentials()
    if credentials is None:
        raise ParameterError("an anonymous client cannot sign: give SecretId and SecretKey")
    signed = [(name, header_value(value, name)) for name, value in (headers or {}).items()]
    has_host = any(name.lower() == "host" for name, _ in signed)
    wants_host = session.config.SignHost if sign_host is None else sign_host
    if wants_host and not has_host:
        signed.append(("host", session.endpoints.public(bucket)[1]))
    return signing.sign(
        method=method,
        path=key_path(key),
        params=[(name, str(value)) for name, value in params.items()]
        if session.config.SignParams
        else (),
        headers=signed,
        secret_id=credentials.secret_id,
        secret_key=credentials.secret_key,
        now=session.signer.now(),
        expire_s=whole_number(expired, "Expired", 1),
    )

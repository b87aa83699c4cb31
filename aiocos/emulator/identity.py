"""Where temporary keys come from: STS, a CVM's metadata service, what SCF sets.

In: a local COS, whose keys and clock are shared. Out: both services on one port of
loopback. The keys they give are good for that COS, with their token, until they end by
its calendar. Policies are checked for their form and limit nothing.

Source: Tencent Cloud API documentation, STS 2018-08-13; "Viewing Instance Metadata"; SCF,
"Role and Authorization".
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import uuid
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import unquote

from aiohttp import web

from .auth import Credential
from .clock import http_date, short_date
from .tc3 import ApiError, Asked, verify

if TYPE_CHECKING:
    from .server import CosEmulator

_METADATA = re.compile(r"/(?:latest/)?meta-data/cam/security-credentials/([^/]*)")
_ARN = re.compile(r"qcs::cam::uin/[0-9]+:roleName/([\w+=,.@-]+)", re.ASCII)
_SESSION = re.compile(r"[\w+=,.@-]{2,128}", re.ASCII)
_VERSION = "2018-08-13"
_BODY_LIMIT = 1 << 20
_LONGEST_S = 43_200
_FEDERATION_S = 1800


class IdentityRequest(NamedTuple):
    """One request that was answered, and by whom it was signed."""

    action: str
    outcome: str
    secret_id: str = ""


class _Fault(NamedTuple):
    status: int
    body: bytes
    delay_s: float
    action: str


class IdentityEmulator:
    """STS and a metadata service that give out keys for a local COS.

    ``roles`` are those that may be assumed; the first is bound to the instance, if there
    is any. ``lifetime_s`` is how long the instance's keys hold. ``uin`` is the account.
    """

    def __init__(
        self,
        cos: CosEmulator,
        *,
        roles: Iterable[str] = ("emulated-role",),
        lifetime_s: float = 7200,
        uin: str = "100000000001",
    ) -> None:
        self._cos = cos
        self.roles = tuple(roles)
        self.lifetime_s, self.uin = lifetime_s, uin
        self.requests: list[IdentityRequest] = []
        self._web_tokens: dict[str, str] = {}
        self._of_instance: Credential | None = None
        self._faults: list[_Fault] = []
        self._actions: dict[str, Callable[[dict[str, Any], Credential | None], Credential]] = {
            "AssumeRole": self._assume_role,
            "AssumeRoleWithWebIdentity": self._assume_with_token,
            "GetFederationToken": self._federate,
        }

    # -- life

    async def start(self) -> Self:
        self._http = web.Server(self._handle, access_log=None)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._http, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        self._listener.close()
        self._http.pre_shutdown()
        await self._http.shutdown(1.0)
        await self._listener.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # -- how to reach it, and what to expect

    @property
    def url(self) -> str:
        """The address of both services."""
        return f"http://127.0.0.1:{self.port}"

    def arn(self, role: str | None = None) -> str:
        """The name by which STS knows a role."""
        return f"qcs::cam::uin/{self.uin}:roleName/{role or self.roles[0]}"

    def trust(self, token: str, provider: str = "emulated-provider") -> None:
        """Take a pod's token for one of this identity provider's."""
        self._web_tokens[token] = provider

    def rotate(self) -> None:
        """Give the instance new keys when it asks next; the old ones hold until their end."""
        self._of_instance = None

    def function_environment(self) -> dict[str, str]:
        """What SCF sets for a function with a role."""
        given = self._issue(self.lifetime_s)
        return {
            "TENCENTCLOUD_RUNENV": "SCF",
            "TENCENTCLOUD_SECRETID": given.secret_id,
            "TENCENTCLOUD_SECRETKEY": given.secret_key,
            "TENCENTCLOUD_SESSIONTOKEN": given.token,
        }

    def fail(
        self, action: str = "*", *, status: int = 500, body: bytes = b"", delay_s: float = 0
    ) -> None:
        """Answer this instead, until healed; with status 0, what is right, but late."""
        self._faults.insert(0, _Fault(status, body, delay_s, action))

    def heal(self) -> None:
        """Answer as usual."""
        self._faults.clear()

    def count(self, action: str, outcome: str | None = None) -> int:
        """How many requests there were, or how many ended so."""
        return sum(
            1
            for request in self.requests
            if request.action == action and outcome in {None, request.outcome}
        )

    # -- answering

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        place = _METADATA.fullmatch(request.path)
        action = "Metadata" if place else request.headers.get("X-TC-Action", "")
        fault = next((fault for fault in self._faults if fault.action in {"*", action}), None)
        if fault is not None:
            await asyncio.sleep(fault.delay_s)
        if fault is not None and fault.status:
            outcome, status, body = str(fault.status), fault.status, fault.body
        elif place is not None:
            status, body = self._metadata(place[1])
            outcome = str(status)
        else:
            outcome, status, body = await self._sts(request, action)
        match = re.search("Credential=([^/]+)/", request.headers.get("Authorization", ""))
        self.requests.append(IdentityRequest(action, outcome, match[1] if match else ""))
        date = http_date(self._cos.clock.wall())
        # The official SDK looks for an error in JSON only.
        kind = "text/plain" if place is not None else "application/json"
        return web.Response(status=status, body=body, headers={"Date": date}, content_type=kind)

    def _metadata(self, role: str) -> tuple[int, bytes]:
        if not self.roles or role not in {"", self.roles[0]}:
            return 404, b"not found"
        if not role:
            return 200, self.roles[0].encode()
        given, now = self._of_instance, self._cos.clock.now()
        if given is None or now >= (given.expires or 0) - self.lifetime_s / 10:
            given = self._of_instance = self._issue(self.lifetime_s)
        expires = self._told_end(given)
        said = {
            "TmpSecretId": given.secret_id,
            "TmpSecretKey": given.secret_key,
            "ExpiredTime": expires,
            "Expiration": short_date(expires),
            "Token": given.token,
            "Code": "Success",
        }
        return 200, json.dumps(said).encode()

    async def _sts(self, request: web.BaseRequest, action: str) -> tuple[str, int, bytes]:
        said: dict[str, Any] = {"RequestId": str(uuid.uuid4())}
        outcome = "Success"
        try:
            given = self._give(await _asked(request), action)
            expires = self._told_end(given)
            said["Credentials"] = {
                "Token": given.token,
                "TmpSecretId": given.secret_id,
                "TmpSecretKey": given.secret_key,
            }
            said |= {"ExpiredTime": expires, "Expiration": short_date(expires)}
        except ApiError as error:
            said["Error"] = {"Code": error.code, "Message": error.message}
            outcome = error.code
        return outcome, 200, json.dumps({"Response": said}).encode()

    def _give(self, asked: Asked, action: str) -> Credential:
        if action not in self._actions:
            raise ApiError("InvalidAction", "There is no such action here.")
        if asked.headers.get("x-tc-version") != _VERSION:
            raise ApiError("NoSuchVersion", "The version of STS is 2018-08-13.")
        clock, signer = self._cos.clock, None
        if action != "AssumeRoleWithWebIdentity":
            signer = verify(asked, self._cos.credential, wall=clock.wall(), now=clock.now())
        elif asked.headers.get("authorization") != "SKIP":
            raise ApiError("AuthFailure.InvalidAuthorization", "Authorization must be SKIP.")
        try:
            params = json.loads(asked.body)
        except ValueError:
            params = None
        if not isinstance(params, dict):
            raise ApiError("InvalidParameter.ParamError", "The body is not a JSON object.")
        _check_policy(params.get("Policy"))
        return self._actions[action](params, signer)

    # -- the actions

    def _assume_role(self, params: dict[str, Any], signer: Credential | None) -> Credential:
        self._check_role(params)
        return self._issue(_duration(params, 7200), signer)

    def _assume_with_token(self, params: dict[str, Any], _signer: Credential | None) -> Credential:
        self._check_role(params)
        token, provider = params.get("WebIdentityToken"), params.get("ProviderId")
        if not isinstance(token, str) or self._web_tokens.get(token, "") != provider:
            raise ApiError("InvalidParameter.WebIdentityTokenError", "The token is not trusted.")
        return self._issue(_duration(params, 7200))

    def _federate(self, params: dict[str, Any], signer: Credential | None) -> Credential:
        if not params.get("Name") or not params.get("Policy"):
            raise ApiError("MissingParameter", "Name and Policy are required.")
        if signer is not None and signer.token:
            raise ApiError("FailedOperation.TempKeyNotAllowed", "Temporary keys may not do this.")
        return self._issue(_duration(params, _FEDERATION_S), signer)

    def _check_role(self, params: dict[str, Any]) -> None:
        for name in ("RoleArn", "RoleSessionName"):
            if not isinstance(params.get(name), str):
                raise ApiError("MissingParameter", f"{name} is required.")
        role = _ARN.fullmatch(params["RoleArn"])
        if role is None or not _SESSION.fullmatch(params["RoleSessionName"]):
            raise ApiError(
                "InvalidParameter.ParamError", "RoleArn or RoleSessionName is malformed."
            )
        if role[1] not in self.roles:
            raise ApiError("ResourceNotFound.RoleNotFound", "The role does not exist.")

    def _told_end(self, given: Credential) -> int:
        """When keys end, by the clock that the Date header shows: there the two are one."""
        clock = self._cos.clock
        return int((given.expires or 0.0) - clock.now() + clock.wall())

    def _issue(self, lifetime_s: float, signer: Credential | None = None) -> Credential:
        """Make keys that the local COS accepts, of the signer's account."""
        secret_id = f"AKID{secrets.token_hex(24)}"
        secret_key, token = secrets.token_hex(16), secrets.token_urlsafe(96)
        expires = self._cos.clock.now() + lifetime_s
        appid = signer.owner if signer is not None else None
        self._cos.add_credentials(secret_id, secret_key, token, expires, appid)
        return Credential(secret_id, secret_key, appid or self._cos.appid, token, expires)


async def _asked(request: web.BaseRequest) -> Asked:
    if request.method not in {"GET", "POST"} or request.path != "/":
        raise ApiError("InvalidRequest", "Ask for / with POST.")
    if (request.content_length or 0) > _BODY_LIMIT:
        raise ApiError("RequestSizeLimitExceeded", "The body is too large.")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Asked(request.method, request.query_string, headers, await request.read())


def _duration(params: dict[str, Any], usual_s: int) -> int:
    seconds = params.get("DurationSeconds")
    if seconds is None:
        return usual_s
    if not isinstance(seconds, int) or not 0 < seconds <= _LONGEST_S:
        raise ApiError("InvalidParameter.OverTimeError", "DurationSeconds must be 1 to 43200.")
    return seconds


def _check_policy(policy: object) -> None:
    """A policy is JSON that was percent-encoded; bare JSON decodes to itself and passes."""
    if policy is None:
        return
    try:
        document = json.loads(unquote(policy)) if isinstance(policy, str) else None
    except ValueError:
        document = None
    if not isinstance(document, dict) or "statement" not in document:
        raise ApiError("InvalidParameter.StrategyFormatError", "The policy is malformed.")

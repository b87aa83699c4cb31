"""Whether COS knows the keys, and what they may do.

In: a client, and a place in COS or none. Out: Findings; for what is not permitted with the
action that a CAM policy has to allow. Reading only, unless a probe is asked for: then one
small object is written, read and deleted.

Source: COS document "Working with COS API Authorization Policies" (names of actions).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiocos.cli.doctor.finding import Finding, State
from aiocos.cli.doctor.names import region_in
from aiocos.cli.explaining import shortened
from aiocos.cli.failing import describe
from aiocos.cli.places import NEEDS_APPID, CosPlace, has_appid
from aiocos.errors import (
    UNKNOWN,
    AccessDeniedError,
    CosException,
    CosServiceError,
    ExpiredTokenError,
    NotFoundError,
    RedirectError,
    SignatureError,
)

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.credentials import Credentials
    from aiocos.identity import CredentialChain

PROBE: Final = ".aiocos-doctor-"
_CONTENT: Final = b"written by aiocos doctor --write, and of no other use\n"
_SUPPORT: Final = "Tencent Cloud's support finds a request by its id."
_ACTIONS: Final = {
    "list buckets": "name/cos:GetService",
    "list": "name/cos:GetBucket",
    "head": "name/cos:HeadObject",
    "get": "name/cos:GetObject",
    "put": "name/cos:PutObject",
    "delete": "name/cos:DeleteObject",
}


@dataclass
class Access:
    """One client's access to one place; the key may be empty, as may be the bucket."""

    client: CosS3Client
    place: CosPlace | None
    secret_id: str = ""
    """As far as it is shown."""
    first_key: str = field(default="", init=False)
    """An object of the bucket, where none was named."""

    async def look(self) -> AsyncIterator[Finding]:
        """Say whether the keys are accepted, then what they may read."""
        error = await self._first()
        finding = self.judge_keys(error)
        yield finding
        if finding.state == "wrong":
            return
        if self.place is None:
            yield self.judge("list buckets", error, "wrong")
            return
        if isinstance(error, NotFoundError | RedirectError):
            yield await self._missing_bucket(error)
            return
        yield Finding("bucket", "ok", f"{self.place.bucket} is there.")
        yield self.judge("list", error, "warning" if self.place.key else "wrong")
        async for read in self._reading():
            yield read

    async def _first(self) -> CosException | None:
        """Send the one request that tells most of why it was refused: its answer has a body."""
        if self.place is None:
            return await _tried(self.client.list_buckets)
        bucket = self.place.bucket

        async def list_one() -> None:
            page = await self.client.list_objects(bucket, MaxKeys=1)
            self.first_key = page["Contents"][0]["Key"] if page["Contents"] else ""

        return await _tried(list_one)

    async def _reading(self) -> AsyncIterator[Finding]:
        place = self.place
        if place is None:
            return
        key = place.key or self.first_key
        if not key:
            yield Finding("get", "ok", "There is no object to read; name one to try it.")
            return
        error = await _tried(lambda: self.client.head_object(place.bucket, key))
        yield self.judge("head", error, "wrong", key)
        if error is None or isinstance(error, AccessDeniedError):
            yield self.judge("get", await _tried(partial(self._get, key)), "wrong", key)

    async def _get(self, key: str, expected: bytes | None = None) -> None:
        assert self.place is not None  # noqa: S101  (only a named bucket is read)
        options: dict[str, Any] = {} if expected is not None else {"Range": "bytes=0-0"}
        try:
            response = await self.client.get_object(self.place.bucket, key, **options)
        except CosServiceError as error:
            if error.status == 416:  # it is empty
                return
            raise
        async with response["Body"] as body:
            content = b"".join([piece async for piece in body])
        if expected is not None and content != expected:
            raise CosException("the probe came back with other bytes than were written")

    # -- writing -------------------------------------------------------------

    async def probe(self) -> AsyncIterator[Finding]:
        """Write an object of our own, read it and delete it."""
        if self.place is None:
            return
        bucket, key = self.place.bucket, f"{self.place.key}{PROBE}{secrets.token_hex(8)}"
        error = await _tried(lambda: self.client.put_object(bucket, _CONTENT, key))
        yield self.judge("put", error, "wrong", key)
        if error is not None:
            # It may have been stored all the same, where only the answer was lost.
            if not isinstance(error, CosServiceError):
                await _tried(lambda: self.client.delete_object(bucket, key))
            return
        try:
            yield self.judge("get", await _tried(lambda: self._get(key, _CONTENT)), "wrong", key)
        finally:
            error = await _tried(lambda: self.client.delete_object(bucket, key))
        found = self.judge("delete", error, "wrong", key)
        if error is not None:
            told = f"{found.told} {CosPlace(bucket, key)} is left behind."
            found = Finding(found.check, found.state, told, found.advice)
        yield found

    # -- judging -------------------------------------------------------------

    def judge_keys(self, error: CosException | None) -> Finding:
        """Say what a first answer tells of the keys."""
        code = error.get_error_code() if error is not None else ""
        expired = "expired" in (error.get_error_msg().lower() if error is not None else "")
        if code == "InvalidAccessKeyId":
            told = f"COS does not know the SecretId {self.secret_id}."
            return _wrong(told, "It is misspelled, disabled, or of another site of Tencent Cloud.")
        if isinstance(error, SignatureError):
            hint = error.failure.hint or "COS computed another signature."
            told = f"COS knows the SecretId {self.secret_id}, but not the signature. {hint}"
            return _wrong(told, "Copy the SecretKey once more, whole.")
        if isinstance(error, ExpiredTokenError):
            told = "The temporary keys have ended, or the token is of other keys."
            return _wrong(told, "Get new ones: aiocos credentials explain says where from.")
        if code == "RequestTimeTooSkewed" or (isinstance(error, AccessDeniedError) and expired):
            told = "COS takes the signature for too old or too new."
            return _wrong(told, "Set this machine's clock: timedatectl set-ntp true")
        if error is None or isinstance(error, CosServiceError):
            return Finding("signature", "ok", f"COS accepts the keys of {self.secret_id}.")
        return _wrong(describe(error), "Run it once more; the same again is the network's doing.")

    def judge(
        self, check: str, error: CosException | None, when_refused: State, key: str = ""
    ) -> Finding:
        """Say whether one action is permitted."""
        what = f"{key}: " if key else ""
        if error is None:
            return Finding(check, "ok", f"{what}permitted.")
        if isinstance(error, NotFoundError):
            told = f"{what}there is no such object."
            return Finding(check, "wrong", told, "Look at the names: aiocos ls cos://BUCKET/PREFIX")
        if isinstance(error, AccessDeniedError):
            action = _ACTIONS[check]
            reason = error.code if error.code != UNKNOWN else f"HTTP {error.status}"
            told = f"{what}not permitted ({reason})."
            advice = f"The CAM policy of {self.secret_id} has to allow {action}"
            return Finding(check, when_refused, told, f"{advice}{self._resource(key)}.")
        return Finding(check, "wrong", f"{what}{describe(error)}", _SUPPORT)

    def _resource(self, key: str) -> str:
        if self.place is None:
            return " on *"
        return f" on {self.place.bucket}/{key or '*'}"

    async def _missing_bucket(self, error: CosServiceError) -> Finding:
        """Say where the bucket is, if the account has one of that name."""
        assert self.place is not None  # noqa: S101  (of the bucket of a place)
        name = self.place.bucket
        with suppress(CosException):
            async for bucket in self.client.iter_buckets():
                if bucket["Name"] == name:
                    region = bucket["Location"]
                    told = f"{name} is in {region}, and was asked for elsewhere."
                    return Finding("bucket", "wrong", told, f"Use --region {region}")
            told = f"There is no bucket {name} in this account."
            advice = "Look at the name: aiocos ls. To make it: aiocos mb cos://" + name
            if not has_appid(name):
                advice = f"{NEEDS_APPID}. To see those there are: aiocos ls"
            return Finding("bucket", "wrong", told, advice)
        if isinstance(error, RedirectError):
            told = f"COS points to {error.location or 'another address'} for {name}."
            near = region_in(error.location)
            advice = f"Use --region {near}" if near else "Use the endpoint it names."
            return Finding("bucket", "wrong", told, advice)
        told = f"There is no bucket {name} here: {describe(error)}"
        return Finding("bucket", "wrong", told, "Check the name, its APPID and the region.")


def _wrong(told: str, advice: str) -> Finding:
    return Finding("signature", "wrong", told, advice)


async def _tried(call: Callable[[], Awaitable[object]]) -> CosException | None:
    """Return what a call failed with."""
    try:
        await call()
    except CosException as error:
        return error
    return None


async def judge_credentials(chain: CredentialChain) -> tuple[Finding, Credentials | None]:
    """Say whose keys are used, and where they stand."""
    looked = await chain.explain()
    advice = "aiocos credentials explain says where was looked."
    for found in looked:
        if found.credentials is not None:
            kind = "temporary" if found.credentials.token else "permanent"
            told = f"{shortened(found.credentials.secret_id)}, {kind}, from {found.source}."
            return Finding("keys", "ok", told), found.credentials
        if found.state == "broken":
            return Finding("keys", "wrong", f"{found.source}: {found.detail}.", advice), None
    told = f"There are none in any of {len(looked)} places."
    return Finding("keys", "wrong", told, advice), None

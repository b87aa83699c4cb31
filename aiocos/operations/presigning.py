"""Uploads by others: a form with a signed policy, and an upload in parts by signed addresses.

In: what may be uploaded, and for how long. Out: an address and the fields of a form, or an
address for each part; no secret key is in either. The form is not sent here; the upload in
parts is begun, and nothing else.

Source: COS API document "POST Object".
"""

# Annotations stay values here: the operation table reads them.
import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, NamedTuple, TypedDict, Unpack
from urllib.parse import urlsplit

from aiocos import signing
from aiocos.credentials import Credentials
from aiocos.encoding.urls import key_path
from aiocos.errors import CosException, ParameterError
from aiocos.operations.addresses import (
    MAX_EXPIRED_S,
    AddressOperations,
    presigned_url,
    signing_credentials,
)
from aiocos.operations.checks import MAX_PARTS, MAX_PUT_BYTES, whole_number
from aiocos.operations.decode import nothing
from aiocos.operations.multipart import MultipartOperations
from aiocos.operations.options import (
    CannedACL,
    CreateMultipartUploadOptions,
    RequestLimits,
    ServerEncryption,
    StorageClassName,
)
from aiocos.operations.spec import Header, MetadataHeaders, OneOf, Operation

_FILENAME: Final = "${filename}"
_YIELD_EVERY: Final = 100


class PresignedPostOptions(RequestLimits, ServerEncryption, total=False):
    """Optional keywords of ``get_presigned_post``: fields of the form, pinned by its policy."""

    ACL: Annotated[CannedACL, Header("acl")]
    """``default`` unless given: whoever has the form cannot make the object public."""
    CacheControl: Annotated[str, Header("Cache-Control")]
    ContentDisposition: Annotated[str, Header("Content-Disposition")]
    ContentEncoding: Annotated[str, Header("Content-Encoding")]
    ContentType: Annotated[str, Header("Content-Type")]
    """One type, or all that begin alike: with ``image/*`` the page adds a ``Content-Type``
    field of its choice that begins with ``image/``."""
    Expires: Annotated[str, Header("Expires")]
    Metadata: Annotated[Mapping[str, str], MetadataHeaders()]
    """Names begin with ``x-cos-meta-``; COS takes no underscore in them."""
    StorageClass: Annotated[StorageClassName, Header("x-cos-storage-class")]
    SuccessActionRedirect: Annotated[str, Header("success_action_redirect")]
    """Where COS sends the browser, with ``bucket``, ``key`` and ``etag`` added."""
    SuccessActionStatus: Annotated[
        int | str, Header("success_action_status"), OneOf(("200", "201", "204"))
    ]
    """200, 201 or 204 (default)."""


class PresignedPost(TypedDict):
    """Of ``get_presigned_post``: what a page needs to upload one file by a form."""

    url: str
    """What the form is sent to, by POST."""
    fields: dict[str, str]
    """The form's fields; all of them come before its last one, ``file``."""


class PresignedMultipart(TypedDict):
    """Of ``create_presigned_multipart``: what a page needs to upload one file in parts."""

    Bucket: str
    Key: str
    UploadId: str
    parts: list[str]
    """The address of each part, from part 1: PUT; keep the ``ETag`` of each answer."""
    complete: str
    """POST of a ``CompleteMultipartUpload`` document that lists numbers and ETags."""
    abort: str
    """DELETE."""


POST_OBJECT: Final[Operation[None]] = Operation(
    name="get_presigned_post",
    method="POST",
    scope="bucket",
    named=("Expired", "ContentLengthRange"),
    options=PresignedPostOptions,
    decode=nothing,
)


class _Window(NamedTuple):
    """From when to when a form is good."""

    text: str
    end: int


class PresigningOperations(MultipartOperations, AddressOperations):
    """Uploads that a browser makes without credentials of its own."""

    async def get_presigned_post(
        self,
        Bucket: str,
        Key: str,
        Expired: int = 300,
        *,
        ContentLengthRange: tuple[int, int] | None = None,
        **options: Unpack[PresignedPostOptions],
    ) -> PresignedPost:
        """Return a form with which whoever has it uploads one object, for ``Expired`` seconds.

        A ``Key`` such as ``photos/${filename}`` leaves what follows ``photos/`` to the
        page: COS puts the file's name there. ``ContentLengthRange`` is the least and the
        most bytes of the file, both included. Everything returned is pinned by the policy,
        but COS does not object to fields that no policy names. A token of temporary
        credentials is among the fields; the form stops working with the token.

        Raises:
            ParameterError: the client is anonymous, or an argument cannot be right.

        Options: ``aiocos.types.PresignedPostOptions``.

        Source: COS API document "POST Object".
        """
        session = await self._ready()
        key = key_path(Key)[1:]
        fields: dict[str, str] = {"key": key}
        POST_OBJECT.place({"ACL": "default", **options}, fields, {})
        conditions = [{"bucket": session.endpoints.full_name(Bucket)}, *_conditions(fields)]
        if ContentLengthRange is not None:
            conditions.append(["content-length-range", *_sizes(ContentLengthRange)])
        expire_s = whole_number(Expired, "Expired", 1, MAX_EXPIRED_S)
        credentials = await signing_credentials(session)
        now = session.signer.now()
        window = _Window(signing.key_time(now, expire_s), now + expire_s)
        address, _ = session.endpoints.public(Bucket)
        signature = _signed(credentials, window, conditions)
        return {"url": f"{address}/", "fields": fields | signature}

    async def create_presigned_multipart(
        self,
        Bucket: str,
        Key: str,
        Parts: int,
        Expired: int = 3600,
        **options: Unpack[CreateMultipartUploadOptions],
    ) -> PresignedMultipart:
        """Begin an upload of 1 to 10,000 ``Parts`` and return an address for each step of it.

        The addresses are good for ``Expired`` seconds. Each part but the last has 1 MiB to
        5 GiB; the last may be smaller. The page must be able to read ``ETag``: the bucket's
        CORS rules have to expose it. What nobody completes stays, and is paid for, until it is
        aborted.

        Raises:
            ParameterError: the client is anonymous, or an argument cannot be right.

        Options: ``aiocos.types.CreateMultipartUploadOptions``.

        Source: COS API documents of the multipart operations.
        """
        count = whole_number(Parts, "Parts", 1, MAX_PARTS)
        whole_number(Expired, "Expired", 1, MAX_EXPIRED_S)
        session = await self._ready()
        sign = partial(presigned_url, session, await signing_credentials(session))
        created = await self.create_multipart_upload(Bucket, Key, **options)
        upload = {"uploadId": created["UploadId"]}
        parts = []
        try:
            for number in range(1, count + 1):
                params = {"partNumber": str(number), **upload}
                parts.append(sign("PUT", Bucket, Key, Expired, params))
                if number % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            with suppress(CosException):
                await asyncio.shield(self.abort_multipart_upload(Bucket, Key, upload["uploadId"]))
            raise
        return {
            "Bucket": created["Bucket"],
            "Key": created["Key"],
            "UploadId": created["UploadId"],
            "parts": parts,
            "complete": sign("POST", Bucket, Key, Expired, upload),
            "abort": sign("DELETE", Bucket, Key, Expired, upload),
        }


def _conditions(fields: dict[str, str]) -> list[Any]:
    """Return a condition for each field; one that the page fills in is taken out of them."""
    if address := fields.get("success_action_redirect"):
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ParameterError(f"SuccessActionRedirect is {address!r}, and must be an address")
    conditions: list[Any] = []
    for name, value in list(fields.items()):
        prefix, mark, _ = value.partition(_FILENAME)
        if name == "key" and mark:
            conditions.append(["starts-with", "$key", prefix])
        elif name == "Content-Type" and value.endswith("*"):
            conditions.append(["starts-with", "$Content-Type", value[:-1]])
            del fields[name]
        else:
            conditions.append({name: value})
    return conditions


def _sizes(bounds: object) -> tuple[int, int]:
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise ParameterError(
            f"ContentLengthRange is {bounds!r}, and must be the least and the most bytes"
        )
    least = whole_number(bounds[0], "ContentLengthRange", 0, MAX_PUT_BYTES)
    return least, whole_number(bounds[1], "ContentLengthRange", least, MAX_PUT_BYTES)


def _signed(credentials: Credentials, window: _Window, conditions: list[Any]) -> dict[str, str]:
    """Return the fields that carry the policy and its signature."""
    algorithm, identity = {"q-sign-algorithm": "sha1"}, {"q-ak": credentials.secret_id}
    end = datetime.fromtimestamp(window.end, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    # COS calls the window q-sign-time in a policy, and q-key-time in its form.
    bound = [*conditions, algorithm, identity, {"q-sign-time": window.text}]
    policy = json.dumps({"expiration": end, "conditions": bound}).encode()
    value = signing.policy_signature(credentials.secret_key, window.text, policy)
    token = {"x-cos-security-token": credentials.token} if credentials.token else {}
    return {
        "policy": base64.b64encode(policy).decode(),
        **algorithm,
        **identity,
        "q-key-time": window.text,
        "q-signature": value,
        **token,
    }

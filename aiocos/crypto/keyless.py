"""What others would do with an object without the key: COS itself, or whoever has an address.

In: the calls that let them. Out: an address where nothing is lost by it, and a refusal where
bytes in the clear would be stored, or ciphertext be taken for content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NoReturn, Unpack

from aiocos.client import CosS3Client
from aiocos.errors import ParameterError
from aiocos.operations.options import CreateMultipartUploadOptions
from aiocos.operations.presigning import (
    PresignedMultipart,
    PresignedPost,
    PresignedPostOptions,
)
from aiocos.operations.selecting import (
    InputSerialization,
    OutputSerialization,
    RequestProgress,
    SelectObjectContentOptions,
    SelectObjectContentResult,
)

_WRITING: Final = frozenset({"PUT", "POST"})
_IN_THE_CLEAR: Final = (
    "whoever uploads by it has no key, so the object would be stored as it is, in the clear: "
    "upload with this client, or hand it out with a CosS3Client if that is meant"
)


class KeylessOperations(CosS3Client):
    """Calls that let others act on objects."""

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
        """Return an address that lets whoever has it GET, HEAD or DELETE one object.

        A GET gives the object as it is stored: encrypted, and of use to nobody without the
        master key. A HEAD tells the size of that. Otherwise as ``CosS3Client.get_presigned_url``.

        Raises:
            ParameterError: the method is PUT or POST, which would store bytes in the clear.
        """
        if isinstance(Method, str) and Method.upper() in _WRITING:
            raise ParameterError(
                f"CosEncryptionClient signs no address for {Method}: {_IN_THE_CLEAR}"
            )
        return await super().get_presigned_url(
            Bucket, Key, Method, Expired, Params, Headers, SignHost
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
        """Return an address that gives the object as it is stored: encrypted."""
        return await super().get_presigned_download_url(
            Bucket, Key, Expired, Params, Headers, SignHost
        )

    async def get_presigned_post(
        self,
        Bucket: str,
        Key: str,
        Expired: int = 300,
        *,
        ContentLengthRange: tuple[int, int] | None = None,
        **options: Unpack[PresignedPostOptions],
    ) -> PresignedPost:
        """Refuse: whoever has the form has no key."""
        _refuse("get_presigned_post", _IN_THE_CLEAR)

    async def create_presigned_multipart(
        self,
        Bucket: str,
        Key: str,
        Parts: int,
        Expired: int = 3600,
        **options: Unpack[CreateMultipartUploadOptions],
    ) -> PresignedMultipart:
        """Refuse: whoever has the addresses has no key."""
        _refuse("create_presigned_multipart", _IN_THE_CLEAR)

    async def select_object_content(
        self,
        Bucket: str,
        Key: str,
        Expression: str,
        ExpressionType: Literal["SQL"],
        InputSerialization: InputSerialization,
        OutputSerialization: OutputSerialization,
        RequestProgress: RequestProgress | None = None,
        **options: Unpack[SelectObjectContentOptions],
    ) -> SelectObjectContentResult:
        """Refuse: COS runs queries, and has no key."""
        _refuse(
            "select_object_content",
            "COS cannot query what it has no key of; get_object decrypts it here, and a "
            "CosS3Client queries what is not encrypted",
        )


def _refuse(method: str, reason: str) -> NoReturn:
    raise ParameterError(f"CosEncryptionClient has no {method}: {reason}")

"""Uploads whose bytes pass through here, and may be coded on their way.

In: content, and a client that has a ``Coding`` or none. Out: for each new object a codec of
its own, told in the object's metadata and in the journal, so that the next call goes on with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from aiocos.errors import IntegrityError, NotEncryptedError
from aiocos.transfer.coded import ContentCount
from aiocos.transfer.coding import Codec
from aiocos.transfer.journal import Facts
from aiocos.transfer.multipart import MultipartJob
from aiocos.transfer.progress import Counts

R = TypeVar("R")
_METADATA = "metadata"
_MARK = "mark"


class ContentUpload(MultipartJob[R], Generic[R]):
    """An upload of content that the caller has."""

    _metadata: Mapping[str, str] | None = None
    """The object's, with what says how it is coded; None where it is not."""

    _codec: Codec | None = None

    def _code_by(self, codec: Codec) -> None:
        """Code everything from now on."""
        self._codec = codec

    def _content_of(self, size: int) -> int:
        return size if self._codec is None else self._codec.content_of(size)

    @property
    def _counts(self) -> Counts:
        """What is told of the bytes of one part."""
        return self.progress if self._codec is None else ContentCount(self.progress, self._codec)

    @property
    @abstractmethod
    def _content_size(self) -> int | None:
        """Bytes of content; None where only its end will tell."""

    def _state(self, facts: Facts) -> Facts:
        """Return what must be the same for a journal to be gone on with."""
        coding = self.client.coding
        return facts if coding is None else {**facts, "coding": coding.codec.name}

    async def _prepare(self) -> Facts:
        """Take a codec for a new object: no two are coded alike."""
        if (coding := self.client.coding) is None:
            return {}
        given = self.options.get("Metadata") or {}
        codec, self._metadata = await coding.begin(self.key, given, self._content_size)
        self._code_by(codec)
        return {_METADATA: self._metadata, **({_MARK: codec.mark} if codec.mark else {})}

    async def _can_go_on(self, facts: Iterable[Facts]) -> bool:
        """Take the codec that an earlier attempt had, if this client can."""
        if (coding := self.client.coding) is None:
            return True
        told = [fact for fact in facts if isinstance(fact.get(_METADATA), dict)]
        if not told:
            return False
        metadata = told[-1][_METADATA]
        try:
            codec = await coding.open(self.key, {k: str(v) for k, v in metadata.items()})
        except (IntegrityError, NotEncryptedError):
            return False
        if told[-1].get(_MARK, "") != codec.mark:
            return False
        self._code_by(codec)
        return True

    def _put_options(self) -> dict[str, Any]:
        """Return what a request that makes the object carries."""
        given = dict(self.options)
        return given if self._metadata is None else {**given, "Metadata": self._metadata}

    def _create_options(self) -> dict[str, Any]:
        given = super()._create_options()
        return given if self._metadata is None else {**given, "Metadata": self._metadata}

"""CRC-64 is the one COS gives, whole, piece after piece, and joined from pieces.

A transfer proves an object from the checksums of its parts: a join that is wrong would
either refuse good objects or pass bad ones. The join is compared with recorded values and
with an independent implementation.
"""

from __future__ import annotations

import base64
from itertools import accumulate, pairwise
from typing import Any

import anycrc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocos.encoding.digest import combine, crc64
from tests.support.vectors import content, load

VECTORS: dict[str, Any] = load("crc64.json")["vectors"]
PEER = anycrc.Model("CRC64-XZ")

checksums = st.integers(min_value=0, max_value=2**64 - 1)


def _ids(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["id"] for vector in vectors]


@pytest.mark.parametrize("vector", VECTORS["single"], ids=_ids(VECTORS["single"]))
def test_checksum_of_bytes_is_as_recorded(vector: dict[str, Any]) -> None:
    """The checksum of some bytes is the recorded number, in decimal and in hex."""
    checksum = crc64(content(vector))

    assert str(checksum) == vector["crc64"]
    assert f"{checksum:016x}" == vector["crc64_hex"]


@pytest.mark.parametrize("vector", VECTORS["combine"], ids=_ids(VECTORS["combine"]))
def test_joined_checksum_is_that_of_the_whole(vector: dict[str, Any]) -> None:
    """Checksums of consecutive parts join to the checksum of all of it, empty parts too."""
    whole = content({**vector, "size": sum(vector["sizes"])})
    joined = 0
    edges = accumulate(vector["sizes"], initial=0)
    for (start, end), part in zip(pairwise(edges), vector["parts"], strict=True):
        checksum = crc64(whole[start:end])
        assert str(checksum) == part["crc64"]
        joined = combine(joined, checksum, part["size"])

    assert str(joined) == vector["combined"]
    assert joined == crc64(whole)


@pytest.mark.parametrize("vector", VECTORS["continue"])
def test_checksum_continues_from_the_one_before(vector: dict[str, Any]) -> None:
    """A checksum goes on from that of the bytes before, as a stream needs it."""
    first = crc64(base64.b64decode(vector["first_b64"]))

    assert str(first) == vector["first_crc64"]
    assert str(crc64(base64.b64decode(vector["second_b64"]), first)) == vector["both_crc64"]


@given(first=st.binary(max_size=300), second=st.binary(max_size=300))
def test_join_and_continuation_agree_with_the_whole(first: bytes, second: bytes) -> None:
    """However bytes are cut in two, joining, continuing and one go give the same."""
    whole = crc64(first + second)

    assert crc64(second, crc64(first)) == whole
    assert combine(crc64(first), crc64(second), len(second)) == whole
    assert PEER.calc(first + second) == whole


@given(first=checksums, second=checksums, length=st.integers(min_value=0, max_value=2**46))
def test_join_agrees_with_another_implementation(first: int, second: int, length: int) -> None:
    """Any two checksums join as an independent implementation joins them, at any length."""
    assert combine(first, second, length) == PEER.combine(first, second, length)

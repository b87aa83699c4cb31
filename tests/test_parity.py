"""The page that compares this client with the sync SDK tells the truth about both."""

from __future__ import annotations

import inspect

import pytest
import qcloud_cos

import aiocos
from tests.support import parity

THEIRS = parity.methods(qcloud_cos.CosS3Client)
OURS = parity.methods(aiocos.CosS3Client)
SHARED = sorted(name for name in THEIRS.keys() & OURS.keys() if inspect.isfunction(OURS[name]))


def test_the_page_is_up_to_date():
    """The page is what ``python -m tests.support.parity`` writes today."""
    assert parity.PAGE.read_text(encoding="utf-8") == parity.page()


def test_most_methods_are_here():
    """Some ninety methods are shared, and what is out stands in no row."""
    found = parity.rows(qcloud_cos.CosS3Client, aiocos.CosS3Client)
    rows = {name: here for name, here, _ in found}
    assert len(SHARED) >= 95
    assert set(rows) == {name for name in THEIRS if not parity.reason_out(name)}
    assert {name for name in rows if rows[name] == "not yet"} <= parity.TO_COME


@pytest.mark.parametrize("name", SHARED)
def test_named_parameters_are_taken(name):
    """What the SDK names, a method here takes in the same order, or the page says why not."""
    missing = parity.missing_keywords(name, THEIRS[name], OURS[name])
    assert missing == list(parity.LEFT_OUT.get(name, {}))
    positional = [
        parameter.name
        for parameter in inspect.signature(OURS[name]).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]
    known = [key for key in parity.named(THEIRS[name]) if key in positional]
    assert [key for key in positional if key in known] == known


def test_what_is_out_is_not_here():
    """No reason is given for leaving out a method that is here, or that the SDK lacks."""
    here = {name for name in OURS if parity.reason_out(name)}
    idle = [
        pattern
        for patterns in parity.OUT.values()
        for pattern in patterns
        if not any(parity._fits(name, pattern) for name in THEIRS)
    ]
    assert not here
    assert not idle
    assert set(parity.NAMES_OUT) <= parity.public_names()
    assert not [name for name in parity.NAMES_OUT if hasattr(aiocos, name)]
    assert set(parity.LEFT_OUT) <= set(SHARED)


def test_a_method_that_vanished_is_seen():
    """A method that is no longer here stops the page from being written."""
    with pytest.raises(parity.Unclassified, match="abort_multipart_upload is neither here nor"):
        list(parity.rows(qcloud_cos.CosS3Client, aiocos.StreamBody))


def test_a_method_that_is_new_in_the_sdk_is_seen():
    """A method of the SDK about which nothing was decided stops the page."""

    class Newer(qcloud_cos.CosS3Client):
        def put_bucket_colour(self, Bucket):
            """Something new."""

    with pytest.raises(parity.Unclassified, match="put_bucket_colour"):
        list(parity.rows(Newer, aiocos.CosS3Client))


def test_a_keyword_that_vanished_is_seen():
    """A named parameter that is no longer taken stops the page."""

    class Fewer(aiocos.CosS3Client):
        async def get_bucket_inventory(self, Bucket: str) -> None:
            """Take no name."""

    with pytest.raises(parity.Unclassified, match="get_bucket_inventory does not take Id"):
        list(parity.rows(qcloud_cos.CosS3Client, Fewer))

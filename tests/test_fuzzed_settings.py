"""Whatever a server sends for a setting, it is read as a dict or refused by an error of ours."""

from __future__ import annotations

import random
import typing

import pytest

from aiocos import CosException
from aiocos.request import Reply
from tests.support.setting_samples import READ
from tests.test_fuzzed_answers import mutated
from tests.test_settings_table import operation_of

INPUTS = 200
"""For each setting; the seeds are fixed, and an input that fails is printed."""


@pytest.mark.parametrize("name", READ)
def test_a_damaged_answer_is_read_or_refused(name: str) -> None:
    """Row 1: of damaged documents, each is a dict of texts, dicts and lists, or refused."""
    decode = operation_of(name).decode
    _, sample = READ[name]
    chance = random.Random(name)
    read = 0
    for _ in range(INPUTS):
        body = mutated(sample, chance)
        try:
            found = decode(Reply(200, {}, body))
        except CosException:
            continue
        except Exception as error:
            pytest.fail(f"{name}: {error!r} for {body!r}")
        read += 1
        assert _is_plain(found), body
    assert read
    assert _is_plain(decode(Reply(200, {}, sample)))


def _is_plain(value: typing.Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(part) for name, part in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str)

"""Rows 1 to 5, 11, 13, 25, 30, 36, 42, 43, 46: nothing that is read can do harm.

Thirteen parsers read what servers, disks and strangers wrote. Of each input the promise is: a
result that is true, or an error of a type that is documented; within a second, within 64 MiB.
``AIOCOS_CAMPAIGN_INPUTS`` is how many inputs a campaign gives to each parser.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.campaigns import answers
from tests.campaigns.answers import Stranger
from tests.campaigns.fuzzing import Cost, Parser, one, run
from tests.campaigns.own import OWN
from tests.campaigns.texts import TEXTS, Place
from tests.support.accounting import PARSERS

INPUTS = int(os.environ.get("AIOCOS_CAMPAIGN_INPUTS", "10000"))
SAMPLE = 150
ANSWERS = {
    "list XML": answers.listings,
    "error XML": answers.refusals,
    "complete and copy XML": answers.joined,
    "response headers": answers.heads,
    "Content-Range": answers.ranges,
    "ETag and CRC headers": answers.checksums,
}
NAMES = [*ANSWERS, *TEXTS]
FOUND = json.loads((Path(__file__).parents[1] / "vectors" / "fuzz_regressions.json").read_text())
INPUTS_OF = {"endpoint and URL": lambda fields: Place(**fields), "CSE metadata": dict}
"""How an input that was written down becomes one again."""


async def _fuzz(name, count, account):
    async with Stranger() if name in ANSWERS else nullcontext() as stranger:
        parser: Parser = ANSWERS[name](stranger) if name in ANSWERS else TEXTS[name]()
        await _read(parser, count, account, "fuzz")


async def _read(parser: Parser, count, account, campaign):
    asyncio.get_running_loop().set_debug(False)  # which makes everything three times as slow
    name = parser.name
    ended, cost, broken = await run(parser, count)
    dearest = f"{cost.seconds:.3f} s, {cost.kib} KiB at most"
    account.figures[f"{campaign} {name}"] = f"{dict(sorted(ended.items()))}, {dearest}"
    account.note(f"{campaign}: {name}", name, f"{name} x {count}", broken, runs=count)
    assert ended["taken"] > count / 100
    assert parser.all_taken or ended["refused"] > count / 100


def test_they_are_thirteen():
    """Every parser of what comes from outside is there."""
    assert tuple(NAMES) == PARSERS
    assert len(NAMES) == 13


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found["wrong"])
async def test_what_was_found_once(found):
    """An input that did harm once is refused by a typed error."""
    parser = TEXTS[found["parser"]]()
    assert await one(parser, INPUTS_OF[parser.name](found["input"]), Cost()) == "refused"


@pytest.mark.parametrize("name", NAMES)
async def test_sample(name, account):
    """Of some damaged inputs each is refused by a typed error, or read as what it says."""
    await _fuzz(name, SAMPLE, account)


@pytest.mark.campaign
@pytest.mark.parametrize("name", NAMES)
async def test_inputs(name, account):
    """Of ten thousand damaged inputs each is refused by a typed error, or read rightly."""
    await _fuzz(name, INPUTS, account)


@pytest.mark.parametrize("name", OWN)
async def test_sample_of_our_own(name, tmp_path, account):
    """What our own programs read again is refused by a typed error, or read as what it says."""
    await _read(OWN[name](tmp_path), SAMPLE // 3, account, "fuzz of our own")


@pytest.mark.campaign
@pytest.mark.parametrize("name", OWN)
async def test_inputs_of_our_own(name, folder, account):
    """The same for ten thousand inputs."""
    await _read(OWN[name](folder), INPUTS, account, "fuzz of our own")

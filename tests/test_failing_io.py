"""Whichever call to the disk fails, a transfer ends in a typed error and costs no good file.

Rows 27 and 28: each call in turn is refused, once or from then on, or does half of what it
was asked to; then the same transfer, on a disk that works, ends as it should.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aiocos import CosClientError, CosConfig, CosS3Client, TransferConfig, TransferError
from aiocos.units import MIB
from tests.conftest import QUICK
from tests.support.accounting import Account
from tests.support.failing_os import FailingOS
from tests.support.stepping import Leftovers, Scene, cancelled_at, server_process

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs Linux to tell what is open"
)
CONTENT = random.Random(6).randbytes(2 * MIB + 54_321)
TRANSFERS = TransferConfig(single_mib=0, copy_single_mib=1)
KINDS = {
    "upload": CONTENT,
    "download": CONTENT,
    "copy": CONTENT,
    "single upload": CONTENT[-700_000:],
    "single download": CONTENT[-700_000:],
}
FAULTS: dict[str, dict[str, Any]] = {
    "full": {"fault": "ENOSPC"},
    "broken": {"fault": "EIO"},
    "full from then on": {"fault": "ENOSPC", "lasting": True},
    "broken from then on": {"fault": "EIO", "lasting": True},
    "short": {"fault": "short"},
    "short from then on": {"fault": "short", "lasting": True},
}


@pytest.fixture(scope="module")
def settings():
    with server_process() as settings:
        yield settings


@pytest.fixture
async def client(settings):
    asyncio.get_running_loop().slow_callback_duration = 60.0
    async with CosS3Client(CosConfig(**settings), retry=QUICK, transfers=TRANSFERS) as client:
        yield client


async def scene_of(client: CosS3Client, folder: Path, kind: str, workers: int = 1) -> Scene:
    options = {"PartSize": 1, "MAXThread": workers}
    scene = Scene(client, folder, kind, KINDS[kind], options)
    await scene.prepare()
    await scene.reset()
    await scene.run()
    return scene


def is_on_purpose(error: BaseException | None) -> bool:
    """Whether an error leads back to the call that failed."""
    seen: list[BaseException | None] = [error]
    for each in seen:
        if isinstance(each, OSError) and "on purpose" in str(each):
            return True
        if each is None:
            continue
        more = [each.__cause__, each.__context__]
        if isinstance(each, TransferError):
            more += [failure.error for failure in each.failures]
        seen += [other for other in more if other is not None and other not in seen]
    return False


async def fail_one(scene: Scene, nth: int, how: dict[str, Any], before: int) -> list[str]:
    """Let the n-th call fail and check everything; return the calls that did fail."""
    where = f"{scene.kind}, {how}, call {nth}, after {before}"
    await scene.reset()
    left = Leftovers(scene.client)
    if before:
        await cancelled_at(before, scene.run())
        await scene.check_cut(where)
    error: Exception | None = None
    with FailingOS(scene.folder, nth, **how) as broken:
        try:
            async with asyncio.timeout(20):
                await scene.run()
        except CosClientError as caught:
            error = caught
    where += f", {broken.fired[:1]}"
    await left.check(where)
    if error is None:
        await left.check(where)
    else:
        assert how["fault"] != "short", (where, error)
        assert is_on_purpose(error), (where, error)
    may_stay = bool(how.get("lasting")) or not any(map(scene.size_of, scene.temporary()))
    await scene.check_cut(where, is_done=error is None, may_stay=may_stay)
    await scene.check_resumed(where)
    await left.check(where)
    return broken.fired


async def sweep(scene: Scene, how: dict[str, Any], step: int, before: int = 0) -> Counter[str]:
    """Let each ``step``-th call fail until there are no more; return what failed how often."""
    failed: Counter[str] = Counter()
    nth = random.Random(f"{scene.kind} {how}").randint(1, step)
    total = await calls_of(scene, before)
    while nth <= total + 2:
        failed.update((await fail_one(scene, nth, how, before))[:1])
        nth += step
    return failed


async def calls_of(scene: Scene, before: int) -> int:
    """Return how many calls a transfer makes when none fails."""
    await scene.reset()
    if before:
        await cancelled_at(before, scene.run())
    with FailingOS(scene.folder) as working:
        await scene.run()
    assert working.calls or scene.kind == "copy"
    return len(working.calls)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_some_calls_fail(client, tmp_path, kind, fault):
    """Rows 27 and 28: no call to the disk that fails makes wrong bytes or an unclear error."""
    scene = await scene_of(client, tmp_path, kind)
    total = await calls_of(scene, 0)
    await sweep(scene, FAULTS[fault], max(1, total // 2))


def note_all(account: Account, kind: str, how: str, failed: Counter[str]) -> None:
    """Write down how often each call failed, every time without harm."""
    assert failed
    for call, count in failed.items():
        campaign = f"failing I/O in {kind.removeprefix('single ')}"
        account.note(campaign, f"{kind}, {how}: {call}", kind, [], runs=count)


@pytest.mark.campaign
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_fails(client, tmp_path, kind, fault, workers, account):
    """Rows 27 and 28: the same for every single call."""
    scene = await scene_of(client, tmp_path, kind, workers)
    failed = await sweep(scene, FAULTS[fault], 1)
    note_all(account, kind, f"{fault}, {workers} at once", failed)


@pytest.mark.campaign
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["upload", "download", "copy"])
async def test_every_call_fails_on_the_way_back(client, tmp_path, kind, fault, account):
    """Rows 27 and 28: the same for a transfer that goes on from its journal."""
    scene = await scene_of(client, tmp_path, kind)
    failed = await sweep(scene, FAULTS[fault], 1, before=14)
    note_all(account, kind, f"{fault}, resumed", failed)


async def test_the_failing_system_is_heard(tmp_path):
    """A call that is to fail does fail, so that none of the above passes by deafness."""
    path = tmp_path / "file"
    with FailingOS(tmp_path, 2, "ENOSPC") as broken:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        with pytest.raises(OSError, match="No space left on device, on purpose"):
            os.pwrite(file, b"1234", 0)
        os.pwrite(file, b"1234", 0)
    with FailingOS(tmp_path, 1, "short"):
        assert os.pread(file, 4, 0) == b"12"
    os.close(file)
    assert (broken.calls, broken.fired) == (["open", "pwrite", "pwrite"], ["pwrite"])

"""A transfer that is cancelled, at whatever moment, ends at once and leaves only its journal."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aiocos import (
    ClientStateError,
    CosConfig,
    CosException,
    CosS3Client,
    TransferConfig,
    TransferError,
)
from aiocos.emulator import FaultRule
from aiocos.units import MIB
from tests.conftest import BUCKET, QUICK
from tests.support.failing_os import FailingOS
from tests.support.leftovers import assert_nothing_left
from tests.support.stepping import (
    HANG_S,
    SOON_S,
    Leftovers,
    Scene,
    Turns,
    cancelled_at,
    cut_and_resume,
    sample,
    server_process,
    sweep,
    turns_of,
)

CONTENT = random.Random(5).randbytes(4 * MIB + 12_345)
TRANSFERS = TransferConfig(single_mib=0, copy_single_mib=1)
IN_PARTS: dict[str, Any] = {"PartSize": 1, "MAXThread": 3}
KINDS = {
    "upload": CONTENT,
    "download": CONTENT,
    "copy": CONTENT,
    "stream": CONTENT,
    "single upload": CONTENT[-MIB:],
    "single download": CONTENT[-MIB:],
}
RESUMED = ["upload", "download", "copy"]
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs Linux to tell what is open"
)


@pytest.fixture(scope="module")
def settings():
    with server_process() as settings:
        yield settings


@pytest.fixture(params=["pumps", "no pumps"])
async def client(settings, request):
    """A client whose large bodies are moved by threads, and one where the loop does it."""
    asyncio.get_running_loop().slow_callback_duration = 60.0
    async with CosS3Client(CosConfig(**settings), retry=QUICK, transfers=TRANSFERS) as client:
        await client.head_bucket(BUCKET)
        if request.param == "no pumps":
            client._session.transport().pumps.close()
        yield client


async def scene_of(client: CosS3Client, folder: Path, kind: str) -> Scene:
    scene = Scene(client, folder, kind, KINDS[kind], IN_PARTS)
    await scene.prepare()
    await scene.reset()
    await scene.run()
    return scene


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_at_some_turns(client, tmp_path, kind):
    """Row I6: cancelled at any step, a transfer ends at once, leaves nothing, and can go on."""
    await sample(await scene_of(client, tmp_path, kind), 4)


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_twice(client, tmp_path, kind):
    """Row I6: cancelled again while it cleans up, a transfer still cleans up."""
    await sample(await scene_of(client, tmp_path, kind), 3, again=(1, 2))


@pytest.mark.parametrize("kind", RESUMED)
async def test_cancelled_on_the_way_back(client, tmp_path, kind):
    """A transfer that goes on from its journal is cancelled, and goes on once more."""
    scene = await scene_of(client, tmp_path, kind)
    await sample(scene, 3, before=await turns_of(scene) * 2 // 3)


@pytest.mark.parametrize("client", ["pumps"], indirect=True)
@pytest.mark.parametrize("kind", RESUMED)
async def test_cancelled_while_a_damaged_journal_is_set_aside(client, tmp_path, kind):
    """A journal that cannot be used is set aside: whoever cancels then leaves no open file."""
    scene = await scene_of(client, tmp_path, kind)
    half = await turns_of(scene) * 2 // 3
    for turn in range(1, 8, 2):
        await cut_and_resume(scene, turn, before=half, spoil=True)
    assert list(scene.journals.glob("*.corrupt"))


@pytest.mark.parametrize("kind", ["upload", "download", "single download"])
async def test_cancelled_on_a_slow_disk(client, tmp_path, kind):
    """Cancelled while a thread waits for the disk, a transfer ends when that has let go."""
    scene = await scene_of(client, tmp_path, kind)
    with FailingOS(tmp_path, delay_s=0.006) as slow:
        await sample(scene, 3, slow=slow)


@pytest.mark.campaign
@pytest.mark.parametrize("again", [(), (1,), (2,), (3, 4)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_at_every_turn(client, tmp_path, kind, again, account):
    """Row I6: the same at every single step, also when it is cancelled again meanwhile."""
    points = await sweep(await scene_of(client, tmp_path, kind), 1, again=again)
    account.note("cancelled at each step", f"{kind}, again {again}", kind, [], runs=points)
    assert points > 1


@pytest.mark.campaign
@pytest.mark.parametrize("spoil", [False, True], ids=["sound", "spoilt"])
@pytest.mark.parametrize("part", [4, 2])
@pytest.mark.parametrize("kind", RESUMED)
async def test_cancelled_at_every_turn_on_the_way_back(
    client, tmp_path, kind, part, spoil, account
):
    """The same for a transfer that goes on from its journal, or cannot."""
    scene = await scene_of(client, tmp_path, kind)
    before = await turns_of(scene) * part // 5
    points = await sweep(scene, 1, before=before, spoil=spoil)
    cell = f"{kind}, resumed after {part} of 5, {spoil=}"
    account.note("cancelled at each step", cell, kind, [], runs=points)
    assert points > 1


@pytest.mark.alone
@pytest.mark.parametrize("client", ["pumps"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_callers_own_timeout(client, tmp_path, kind):
    """asyncio.timeout around a transfer raises TimeoutError and nothing else, at any step."""
    scene = await scene_of(client, tmp_path, kind)
    turns = await turns_of(scene)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    ended = 0
    for turn in range(1, turns, 1 + turns // 3):
        where = f"{kind}, timeout at turn {turn}"
        await scene.reset()
        left = Leftovers(client)
        limit = asyncio.timeout(HANG_S)
        expire = partial(limit.reschedule, loop.time())
        with suppress(TimeoutError), Turns({turn: expire}):
            async with limit:
                await scene.run()
        ended += limit.expired()
        assert task.cancelling() == 0
        await left.check(where)
        await scene.check_cut(where)
        await scene.check_resumed(where)
    assert ended


async def test_a_part_that_fails_at_the_same_time(make_client, emulator, tmp_path):
    """A transfer that is cancelled while its parts fail was cancelled, and did not fail."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    client = make_client(retry=0, transfers=TRANSFERS)
    for turn in range(15, 100, 7):
        emulator.add_fault(FaultRule(operation="UploadPart", status=500, after=turn % 4))
        work = client.upload_file(BUCKET, "k", source, **IN_PARTS, JournalDir=tmp_path / "journals")
        task = asyncio.create_task(work)
        with Turns({turn: task.cancel}):
            await asyncio.wait({task}, timeout=HANG_S)
        emulator.heal()
        assert task.done()
        if task.cancelling():
            assert task.cancelled(), turn
        assert_nothing_left(client)


async def test_a_failure_is_no_cancellation(make_client, emulator, tmp_path):
    """Row I6: a transfer that fails leaves no trace in the count of its task's cancellations."""
    source, task = tmp_path / "source", asyncio.current_task()
    source.write_bytes(CONTENT)
    client = make_client(retry=0, transfers=TRANSFERS)
    emulator.add_fault(FaultRule(operation="UploadPart", status=500, after=2))

    async def refuse(consumed, total):
        await asyncio.sleep(0.4)  # the transfer is done meanwhile
        if consumed == total:
            raise KeyError("the caller's own")

    options = {**IN_PARTS, "JournalDir": tmp_path / "journals"}
    with pytest.raises(TransferError):
        await client.upload_file(BUCKET, "k", source, **options)
    assert task is not None
    assert task.cancelling() == 0
    emulator.heal()
    with pytest.raises(KeyError, match="the caller's own"):
        await client.upload_file(BUCKET, "k", source, **options, progress_callback=refuse)
    assert task.cancelling() == 0
    assert_nothing_left(client)


async def test_an_abort_that_hangs(make_client, emulator, tmp_path):
    """Row U10: whoever cancels a transfer that gives its upload up waits no second for that."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    client = make_client(retry=0, transfers=TRANSFERS)
    emulator.add_fault(FaultRule(operation="UploadPart", status=400, code="InvalidArgument"))
    aborting = emulator.add_fault(FaultRule(operation="AbortMultipartUpload", blackhole=True))
    loop = asyncio.get_running_loop()
    work = client.upload_file(
        BUCKET, "k", source, **IN_PARTS, JournalDir=tmp_path / "journals", abort_on_error=True
    )
    task = asyncio.create_task(work)
    async with asyncio.timeout(HANG_S):
        while not aborting.fired:
            await asyncio.sleep(0.001)
        begun = loop.time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert loop.time() - begun < 2 * SOON_S
    assert_nothing_left(client)


@pytest.mark.parametrize("kind", ["upload", "download", "copy"])
async def test_a_client_that_is_closed_meanwhile(settings, tmp_path, kind):
    """Closing the client ends a transfer that somebody awaits with an error of ours."""
    turn = 8
    while True:
        async with CosS3Client(CosConfig(**settings), retry=0, transfers=TRANSFERS) as client:
            scene = Scene(client, tmp_path, kind, CONTENT, IN_PARTS)
            await scene.prepare()
            await scene.reset()
            left = Leftovers(client)
            task = asyncio.create_task(scene.run())
            await reached(turn)
            was_running = not task.done()
            await client.aclose()
            await asyncio.wait({task}, timeout=HANG_S)
        assert task.done()
        assert not task.cancelled(), turn
        error = task.exception()
        assert error is None or isinstance(error, CosException), (turn, error)
        await left.check(f"{kind}, closed at turn {turn}")
        turn += 12
        if not was_running:
            break


DEV_MODE = """
import asyncio, json, random, sys
from aiocos import CosConfig, CosS3Client, TransferConfig
from tests.conftest import BUCKET, QUICK
from tests.support.stepping import Scene, Turns, cancelled_at
from tests.test_cancelled_transfers import CONTENT, IN_PARTS, KINDS, TRANSFERS
from pathlib import Path

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60.0
    config = CosConfig(**json.loads(sys.argv[1]))
    for kind, content in KINDS.items():
        async with CosS3Client(config, retry=QUICK, transfers=TRANSFERS) as client:
            scene = Scene(client, Path(sys.argv[2]), kind, content, IN_PARTS)
            await scene.prepare()
            for turn in (2, 5, 9, 15, 30, 60, 90):
                await scene.reset()
                await cancelled_at(turn, scene.run(), (1 + turn % 3,))
            if kind != "stream":
                await cancelled_at(20, scene.run())
    async with CosS3Client(config, retry=QUICK, transfers=TRANSFERS) as client:
        left = client.start_upload(BUCKET, "left", scene.folder / "source")
        await asyncio.sleep(0.01)

asyncio.run(main())
print("done")
"""


async def test_developers_mode_has_nothing_to_say(settings, tmp_path):
    """Row I6: under ``-X dev -W error`` cancelled transfers make no noise whatever."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", DEV_MODE, json.dumps(settings)]
    root = Path(__file__).parent.parent
    ended = await asyncio.to_thread(
        subprocess.run, [*command, str(tmp_path)], capture_output=True, timeout=120, cwd=root
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"done\n", b"")


# -- handles -----------------------------------------------------------------


def started(scene: Scene) -> Any:
    """Start the transfer of a scene, and return its handle."""
    client, options = scene.client, {**scene.options, "JournalDir": scene.journals}
    if scene.is_download:
        return client.start_download(BUCKET, "from", scene.target, **options)
    if scene.kind == "copy":
        source: Any = {"Bucket": BUCKET, "Key": "from", "Region": "ap-guangzhou"}
        return client.start_copy(BUCKET, scene.key, source, **options)
    return client.start_upload(BUCKET, scene.key, scene.folder / "source", **options)


async def reached(turn: int) -> None:
    """Return when the loop has gone through so many turns."""
    here = asyncio.Event()
    with Turns({turn: here.set}):
        async with asyncio.timeout(HANG_S):
            while not here.is_set():
                await asyncio.sleep(0.0005)


@pytest.mark.parametrize("client", ["pumps"], indirect=True)
@pytest.mark.parametrize("kind", RESUMED)
async def test_paused_and_resumed(client, tmp_path, kind):
    """A transfer that is paused, again and again, holds nothing then, and ends as it should."""
    scene = await scene_of(client, tmp_path, kind)
    for stride in (1, 4, 15):
        await scene.reset()
        left = Leftovers(client)
        handle = started(scene)
        for _ in range(4):
            await reached(stride)
            await handle.pause()
            assert handle.is_paused or handle.done()
            await left.check(f"{kind}, paused each {stride} turns")
            await scene.check_cut(f"{kind}, paused each {stride} turns")
            handle.resume()
        async with asyncio.timeout(30):
            assert (await handle)["verified"] == "crc64"
        await scene.check_resumed(f"{kind}, paused each {stride} turns")


@pytest.mark.parametrize(
    ("who", "again"), [("handle", ()), ("waiter", ()), ("waiter", (1,)), ("client", ())], ids=str
)
@pytest.mark.parametrize("kind", RESUMED)
async def test_a_handle_is_cancelled(settings, tmp_path, kind, who, again):
    """A started transfer ends with whoever cancels it, stops awaiting it, or closes the client."""
    for turn in (1, 6, 20):
        async with CosS3Client(CosConfig(**settings), retry=QUICK, transfers=TRANSFERS) as client:
            scene = Scene(client, tmp_path, kind, CONTENT, IN_PARTS)
            await scene.prepare()
            await scene.reset()
            left = Leftovers(client)
            handle = started(scene)
            if who == "waiter":

                async def wait(handle=handle):
                    return await handle

                await cancelled_at(turn, wait(), again)
            else:
                await reached(turn)
                await (handle.cancel() if who == "handle" else client.aclose())
            assert handle.done()
            await left.check(f"{kind}, turn {turn}")
            if not handle._outcome.cancelled():
                assert (await handle)["verified"] == "crc64"
                continue
            with pytest.raises(asyncio.CancelledError):
                await handle
            if who == "client":
                with pytest.raises(ClientStateError):
                    await scene.run()
                continue
            await scene.check_cut(f"{kind}, turn {turn}")
            await scene.check_resumed(f"{kind}, turn {turn}")

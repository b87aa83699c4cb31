"""A server that is killed at any moment keeps what it acknowledged, and nothing else shows.

Eight writers at a time put, copy, append, delete and upload in parts; a random moment, drawn
with a fixed seed, ends it. ``AIOCOS_CAMPAIGN_KILLS`` is how many runs a campaign makes.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import shutil
import signal
import sys
from dataclasses import dataclass, field

import pytest
from cos_wire import BUCKET, Wire

from aiocos.emulator import CosEmulator

SEED = 20261122
KILLS = int(os.environ.get("AIOCOS_CAMPAIGN_KILLS", "500"))
AT_ONCE = 25
"""Runs of one test, so that several processes can share the campaign."""
WRITERS = 8
PART = 1024
GONE = ""
"""In place of a checksum: there is no object."""

SERVER = """
import asyncio, sys
from aiocos.emulator import CosEmulator

async def main():
    async with CosEmulator(
        data=sys.argv[1], secret_id="id", secret_key="key", min_part_size=1
    ) as server:
        print(server.port, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def of(content):
    return hashlib.sha256(content).hexdigest()


@dataclass
class Writer:
    """One client with keys of its own, and what each of them may hold."""

    name: int
    wire: Wire
    chance: random.Random
    may_hold: dict[str, set[str]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    parts: dict[tuple[str, str], dict[int, str]] = field(default_factory=dict)
    acknowledged: int = 0

    async def work(self):
        acts = [self.put, self.put, self.copy, self.delete, self.append, self.upload]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await self.chance.choice(acts)(f"{self.name}/{self.chance.randrange(6)}")
                self.acknowledged += 1

    async def change(self, key, new, method, target, headers, body, expected=(200,)):
        """Ask for a change; until it is acknowledged the key may hold the old or the new."""
        before = self.may_hold.get(key, {GONE})
        self.may_hold[key] = before | {new}
        answer = await self.wire.ask(method, target, headers, body)
        assert answer.status in expected, (method, target, answer)
        self.may_hold[key] = {new}
        return answer

    def made(self):
        content = self.chance.randbytes(self.chance.choice([0, 10, 5000, 200_000]))
        self.contents[of(content)] = content
        return content

    async def put(self, key):
        content = self.made()
        await self.change(key, of(content), "PUT", f"/{key}", {}, content)

    async def delete(self, key):
        await self.change(key, GONE, "DELETE", f"/{key}", {}, None, (204,))

    async def copy(self, key):
        source = f"{self.name}/source"
        if source not in self.may_hold:
            await self.put(source)
        [held] = self.may_hold[source]
        headers = {"x-cos-copy-source": f"/{BUCKET}/{source}"}
        await self.change(key, held, "PUT", f"/{key}", headers, b"")

    async def append(self, key):
        log = f"{key}.log"
        [held] = self.may_hold.get(log, {GONE})
        old = b"" if held == GONE else self.contents[held]
        whole = old + self.made()
        self.contents[of(whole)] = whole
        target = f"/{log}?append&position={len(old)}"
        await self.change(log, of(whole), "POST", target, {}, whole[len(old) :])

    async def upload(self, key):
        upload = (await self.wire.ask("POST", f"/{key}?uploads", {}, b"")).xml("UploadId")
        known = self.parts[key, upload] = {}
        pieces = [self.chance.randbytes(PART) for _ in range(3)]
        for number, piece in enumerate(pieces, 1):
            target = f"/{key}?partNumber={number}&uploadId={upload}"
            known[number] = (await self.wire.ask("PUT", target, {}, piece)).headers["ETag"]
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in known.items()
        )
        whole = b"".join(pieces)
        self.contents[of(whole)] = whole
        del self.parts[key, upload]
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        target = f"/{key}?uploadId={upload}"
        await self.change(key, of(whole), "POST", target, {}, body)


async def kill_once(folder, seed):
    """Start a server, let it be written to, kill it; the writers."""
    chance = random.Random(seed)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    server = CosEmulator(secret_id="id", secret_key="key")
    server.port = int(await child.stdout.readline())
    writers = [
        Writer(number, Wire(server), random.Random(f"{seed} {number}")) for number in range(WRITERS)
    ]

    async def kill():
        await asyncio.sleep(chance.uniform(0.02, 0.6))
        child.send_signal(signal.SIGKILL)

    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.work())
        group.create_task(kill())
    await child.wait()
    return writers


async def check(folder, writers):
    """What was acknowledged is there and whole; no half, no leftover is."""
    async with CosEmulator(folder, secret_id="id", secret_key="key") as server:
        wire, expected = Wire(server), {}
        for writer in writers:
            expected |= writer.may_hold
        listed = (await wire.ask("GET", "/")).all("Contents/Key")
        for key, allowed in expected.items():
            got = await wire.ask("GET", f"/{key}")
            assert got.status in (200, 404), (key, got)
            held = of(got.body) if got.status == 200 else GONE
            assert held in allowed, (key, len(got.body))
            assert (key in listed) is (held != GONE)
        assert set(listed) <= set(expected)
        for writer in writers:
            for (key, upload), parts in writer.parts.items():
                answer = await wire.ask("GET", f"/{key}?uploadId={upload}")
                found = dict(
                    zip(answer.all("Part/PartNumber"), answer.all("Part/ETag"), strict=True)
                )
                missing = {n for n, etag in parts.items() if found.get(str(n)) != etag}
                assert not missing, (key, upload)
        assert list((folder / "incoming").iterdir()) == []
        referred = server._services.database.run_now(
            lambda job: {name for (name,) in job.rows("SELECT id FROM blobs")}
        )
    there = {path.name for path in (folder / "blobs").rglob("*") if path.is_file()}
    assert there == referred


@pytest.mark.parametrize("number", range(3))
async def test_sample(tmp_path, number):
    """After SIGKILL in the middle of writing every acknowledged change holds, whole."""
    writers = await kill_once(tmp_path, SEED + number)
    await check(tmp_path, writers)


@pytest.mark.campaign
@pytest.mark.parametrize("first", range(0, KILLS, AT_ONCE))
async def test_kills(tmp_path, account, first):
    """After hundreds of SIGKILLs in the middle of writing the same holds."""
    asyncio.get_running_loop().set_debug(False)
    acknowledged = 0
    for number in range(first, min(first + AT_ONCE, KILLS)):
        folder = tmp_path / str(number)
        folder.mkdir()
        writers = await kill_once(folder, SEED + number)
        acknowledged += sum(writer.acknowledged for writer in writers)
        broken = []
        try:
            await check(folder, writers)
        except AssertionError as error:
            broken = [f"{error} [seed {SEED + number}]"]
        account.note("kill -9 of the local server", "eight writers", str(number), broken)
        shutil.rmtree(folder)
    assert acknowledged > AT_ONCE
    account.figures["kill -9 of the local server: changes acknowledged before"] = acknowledged

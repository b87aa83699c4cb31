"""Workers that upload what a queue holds: urgent jobs first, and a stop that loses nothing.

    python examples/worker_queue.py

Two clients, of two accounts say, share one TransferManager: together they never have more
requests or memory under way than it allows, however many workers there are. SIGTERM lets the
uploads that are under way end, and leaves the rest in the queue for the next start.
"""

import asyncio
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import aiocos
from aiocos.emulator import CosEmulator
from aiocos.types import Priority

BUCKET = "examplebucket-1250000000"
URGENT, NORMAL = 0, 1
PRIORITIES: dict[int, Priority] = {URGENT: "high", NORMAL: "low"}


@dataclass(order=True)
class Job:
    """One upload; a lower rank goes first."""

    rank: int
    name: str
    client: aiocos.CosS3Client = field(compare=False)


async def work(jobs: asyncio.PriorityQueue[Job], stop: asyncio.Event, folder: Path) -> None:
    """Do one job after the other, until there are none or it is time to stop."""
    while not stop.is_set() and not jobs.empty():
        job = jobs.get_nowait()
        priority = PRIORITIES[job.rank]
        try:
            path = folder / job.name
            await job.client.upload_file(BUCKET, job.name, path, Priority=priority)
        except aiocos.CosException as error:
            # Its journal lets the next attempt go on. Who wants one puts the job back.
            print(f"failed: {job.name}: {error}")
        else:
            print(f"uploaded {job.name}")
        if job.name == "file-0.bin":
            signal.raise_signal(signal.SIGTERM)  # in this example; else it comes from outside


async def main(folder: Path) -> None:
    manager = aiocos.TransferManager(aiocos.TransferConfig(requests=8, held_mib=64))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with CosEmulator() as cos:
        config = aiocos.CosConfig(**cos.settings())
        async with (
            aiocos.CosS3Client(config, transfers=manager) as one,
            aiocos.CosS3Client(config, transfers=manager) as other,
        ):
            jobs: asyncio.PriorityQueue[Job] = asyncio.PriorityQueue()
            for number in range(20):
                rank = URGENT if number >= 18 else NORMAL
                name = f"file-{number}.bin"
                (folder / name).write_bytes(bytes(100_000 + number))
                jobs.put_nowait(Job(rank, name, one if number % 2 else other))
            async with asyncio.TaskGroup() as workers:
                for _ in range(2):
                    workers.create_task(work(jobs, stop, folder))
    print(f"left for the next start: {jobs.qsize()}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))

"""Copy what is below a prefix with a Dask cluster, then sync a directory with it.

    python examples/dask_copy.py

Needs no account: it runs a COS server on this machine, and a cluster of two worker processes.
For a real one give the address of its scheduler, and a configuration with
``CredentialInstance=default_credentials()``: each worker then finds keys of its own.
"""

import asyncio
import tempfile
from pathlib import Path

from distributed import LocalCluster

from aiocos import CosConfig, CosS3Client, distributed
from aiocos.emulator import CosEmulator

BUCKET = "examplebucket-1250000000"
KEYS = [f"logs/{day:02}/{part}.txt" for day in range(8) for part in range(25)]
OBJECTS = {key: f"what happened: {key}\n" * 99 for key in KEYS}


def below(directory: str) -> dict[str, str]:
    files = Path(directory).rglob("*.txt")
    return {f"logs/{file.relative_to(directory).as_posix()}": file.read_text() for file in files}


async def main() -> None:
    """Run a server and a cluster, and use both."""
    async with (
        CosEmulator() as server,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            asynchronous=True,
        ) as cluster,
    ):
        config = CosConfig(**server.settings())
        async with CosS3Client(config) as client:
            for key, text in OBJECTS.items():
                await client.put_object(BUCKET, text, key)
            await use(cluster, config, client)


async def use(cluster: LocalCluster, config: CosConfig, client: CosS3Client) -> None:
    """Copy, copy again, and bring down what was copied."""
    source: distributed.PrefixSource = {"Bucket": BUCKET, "Prefix": "logs/"}
    for attempt in ("first", "again"):
        report = await distributed.copy_prefix(
            BUCKET,
            "archive/",
            source,
            cluster=cluster,
            config=config,
            ship_credentials=True,  # everything is on this machine
        )
        print(f"{attempt}: {report['Files']} copied, {report['SkippedCount']} were there")

    with tempfile.TemporaryDirectory() as directory:
        result = await distributed.sync(
            f"cos://{BUCKET}/archive",
            directory,
            cluster=cluster,
            config=config,
            ship_credentials=True,
        )
        verdict = "identical" if below(directory) == OBJECTS else "wrong"
    print(f"synced: {result['Downloaded']} files, {verdict}")


if __name__ == "__main__":
    asyncio.run(main())

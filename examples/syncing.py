"""A directory is kept in step with a prefix: planned, read, carried out, and nothing sent twice.

    python examples/syncing.py

Needs no account: COS is a server inside this process, over a temporary directory.
"""

import asyncio
import tempfile
from pathlib import Path

import aiocos
from aiocos.types import SyncTotals

BUCKET = "examplebucket-1250000000"
THERE = f"cos://{BUCKET}/site"


def make_site(directory: Path) -> None:
    for name in ("index.html", "img/logo.png", "img/photo.jpg", "draft.tmp"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}")


async def main(here: Path) -> None:
    site, plan = here / "site", here / "plan.jsonl"
    transfers = aiocos.TransferConfig(journal_dir=here / "state")
    config = aiocos.CosConfig.local(here / "store")
    async with aiocos.CosS3Client(config, transfers=transfers) as client:
        make_site(site)
        first = await client.sync(site, THERE, Filters=[("exclude", "*.tmp")])
        second = await client.sync(site, THERE, Filters=[("exclude", "*.tmp")])
        print(f"first run  uploaded {first['Uploaded']}, second run {second['Uploaded']}")

        (site / "index.html").write_text("this is another index.html")
        (site / "img/photo.jpg").unlink()
        async for action in client.plan_sync(site, THERE, Delete=True):
            print(f"would      {action.action} {action.path}: {action.why}")

        wishes: SyncTotals = await client.save_sync_plan(
            plan, site, THERE, Delete=True, MaxDelete="50%", BackupPrefix="backup/monday"
        )
        print(f"plan       {wishes['upload']} uploads, {wishes['delete']} deletion")
        result = await client.apply_sync_plan(plan)
        print(f"done       {result['Uploaded']} uploads, {result['Deleted']} deletion")
        kept = [item["Key"] async for item in client.iter_objects(BUCKET, Prefix="backup/")]
        print(f"kept       {', '.join(kept)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))

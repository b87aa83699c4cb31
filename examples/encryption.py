"""Encrypt before upload, with a key that never leaves this machine.

    python examples/encryption.py

What COS keeps is worth nothing without the master key, and a reader is told of every change to it.
"""

import asyncio
import tempfile
from pathlib import Path

import aiocos

BUCKET = "examplebucket-1250000000"


async def main(place: Path, master: aiocos.KeyProvider, newer: aiocos.KeyProvider) -> None:
    config = aiocos.CosConfig.local(place / "store")
    async with aiocos.CosEncryptionClient(config, master) as client:
        await client.upload_file(BUCKET, "plan.txt", place / "plan.txt")
        response = await client.get_object(BUCKET, "plan.txt", Range="bytes=5-8")
        print(f"a range:   {(await response['Body'].read()).decode()}")

        # A new master key: the content is neither read nor sent again.
        await client.rewrap(BUCKET, "plan.txt", newer)
        try:
            await client.get_object(BUCKET, "plan.txt")
        except aiocos.DecryptionError:
            print("old key:   refused")

    async with aiocos.CosEncryptionClient(config, newer) as client:
        result = await client.download_file(BUCKET, "plan.txt", place / "again.txt")
        print(f"new key:   verified by {result['verified']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        here = Path(directory)
        (here / "plan.txt").write_text("meet at noon, tell nobody")
        # Files that only their owner can read. In earnest they are made once, and backed up.
        first = aiocos.AESProvider.create(here / "master.key")
        second = aiocos.RSAProvider.create(here / "public.pem", here / "private.pem")
        asyncio.run(main(here, first, second))
        print(f"in all:    {(here / 'again.txt').read_text()}")

"""Give someone an address to download or upload one object, without an account.

    python examples/presigned.py

The address works for any HTTP client until it expires. Here COS is a server in this
process, under a domain of its own for one bucket, as you would bind one in the console.
"""

import asyncio

import aiohttp

import aiocos
from aiocos.emulator import CosEmulator

BUCKET = "examplebucket-1250000000"


async def main() -> None:
    async with CosEmulator(domains={"localhost": BUCKET}) as server:
        config = aiocos.CosConfig(
            Domain=f"localhost:{server.port}",
            SecretId=server.secret_id,
            SecretKey=server.secret_key,
            Scheme="http",
        )
        async with aiocos.CosS3Client(config) as client, aiohttp.ClientSession() as someone:
            upload = await client.get_presigned_url(BUCKET, "letter.txt", "PUT", Expired=60)
            async with someone.put(upload, data=b"Dear all") as answer:
                print("upload:  ", answer.status)

            download = await client.get_presigned_url(BUCKET, "letter.txt", "GET", Expired=60)
            async with someone.get(download) as answer:
                print("download:", answer.status, await answer.text())

            async with someone.delete(download) as answer:
                print("delete:  ", answer.status, "the address is good for GET only")


if __name__ == "__main__":
    asyncio.run(main())

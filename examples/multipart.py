"""Upload in parts by hand: begin, send parts, look at what COS has, join.

    python examples/multipart.py

For when the parts come from somewhere of their own, one worker each, or hours apart.
"""

import asyncio
import tempfile

import aiocos

BUCKET, KEY = "examplebucket-1250000000", "from-parts.bin"
MIB = 1024 * 1024
PARTS = {number: bytes([number]) * MIB for number in range(1, 6)}


async def upload(client: aiocos.CosS3Client, upload_id: str) -> None:
    """Send the parts two at a time, in any order."""
    waiting = iter(PARTS.items())

    async def worker() -> None:
        for number, content in waiting:
            await client.upload_part(BUCKET, KEY, content, number, upload_id)

    async with asyncio.TaskGroup() as group:
        group.create_task(worker())
        group.create_task(worker())


async def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:
            begun = await client.create_multipart_upload(BUCKET, KEY, ContentType="image/raw")
            try:
                await upload(client, begun["UploadId"])
                stored = await client.list_parts(BUCKET, KEY, begun["UploadId"])
                for part in stored["Part"]:
                    print(f"part {part['PartNumber']}: {part['Size']} bytes, {part['ETag']}")
                done = await client.complete_multipart_upload(
                    BUCKET, KEY, begun["UploadId"], {"Part": stored["Part"]}
                )
            except BaseException:
                # Parts are kept, and paid for, until the upload is completed or aborted.
                await client.abort_multipart_upload(BUCKET, KEY, begun["UploadId"])
                raise
            head = await client.head_object(BUCKET, KEY)
            print(f"joined: {head['Content-Length']} bytes, {done['ETag']}")


if __name__ == "__main__":
    asyncio.run(main())

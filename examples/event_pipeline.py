"""An event of COS comes in, the object is packed as it streams, and the result is stored.

    python examples/event_pipeline.py

The event is what COS hands to a cloud function. Events come at least once: the result says of
which state of the source it was made, so that a repeated event does nothing.
"""

import asyncio
import gzip
import tempfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiocos

BUCKET = "examplebucket-1250000000"
MADE_OF = "x-cos-meta-made-of"


async def packed(body: aiocos.StreamBody) -> AsyncIterator[bytes]:
    """Pack a stream, in a thread: nothing else has to wait."""
    packer = zlib.compressobj(wbits=31)
    async for piece in body:
        if ready := await asyncio.to_thread(packer.compress, piece):
            yield ready
    yield packer.flush()


async def handle(client: aiocos.CosS3Client, event: dict[str, Any]) -> None:
    """Pack every object that the event says was made."""
    for record in event["Records"]:
        found, bucket = record["cos"]["cosObject"], record["cos"]["cosBucket"]
        key = found["key"].split("/", 3)[3]  # of "/1250000000/bucket/the/key"
        is_new = record["event"]["eventName"].startswith("cos:ObjectCreated:")
        if not is_new or key.startswith("packed/"):  # what we make is an event too
            print(f"{key}: not for us")
            continue
        await pack(client, f"{bucket['name']}-{bucket['appid']}", key)


async def pack(client: aiocos.CosS3Client, bucket: str, key: str) -> None:
    """Store the packed object beside the others, unless it is there."""
    target = f"packed/{key}.gz"
    try:
        source = await client.get_object(bucket, key)
    except aiocos.NotFoundError:
        print(f"{key}: gone again")
        return
    async with source["Body"] as body:
        state = source["ETag"].strip('"')
        try:
            there = aiocos.user_metadata(await client.head_object(bucket, target))
        except aiocos.NotFoundError:
            there = {}
        if there.get(MADE_OF) == state:
            print(f"{key}: done before")
            return
        # A source that is damaged raises here, and nothing is stored.
        await client.upload_stream(bucket, target, packed(body), Metadata={MADE_OF: state})
    print(f"{key}: packed")


def event_of(key: str) -> dict[str, Any]:
    bucket, appid = BUCKET.rsplit("-", 1)
    where = {"region": "ap-guangzhou", "name": bucket, "appid": appid}
    cos = {"cosObject": {"key": f"/{appid}/{bucket}/{key}"}, "cosBucket": where}
    return {"Records": [{"cos": cos, "event": {"eventName": "cos:ObjectCreated:Put"}}]}


async def main(place: Path) -> None:
    async with aiocos.CosS3Client(aiocos.CosConfig.local(place)) as client:
        log = b"a line of a log\n" * 100_000
        await client.put_object(BUCKET, log, "logs/today.txt")
        for key in ("logs/today.txt", "logs/today.txt", "packed/a.gz", "logs/gone.txt"):
            await handle(client, event_of(key))
        result = await client.get_object(BUCKET, "packed/logs/today.txt.gz")
        same = gzip.decompress(await result["Body"].read()) == log
        print("identical" if same else "DIFFERENT")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))

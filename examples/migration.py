"""From Tencent's sync SDK to aiocos: the same calls before and after, and what differs.

    python examples/migration.py

Names, keywords and results are the same; new are ``await``, ``async with``, and that a body is
read with ``await``. Three things behave differently, on purpose.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import qcloud_cos
import requests

import aiocos
from aiocos.emulator import CosEmulator

BUCKET = "examplebucket-1250000000"


def before(client: Any) -> list[object]:
    client.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    response = client.get_object(Bucket=BUCKET, Key="a")
    content = response["Body"].get_raw_stream().read()
    names = [item["Key"] for item in client.list_objects(Bucket=BUCKET)["Contents"]]
    try:
        client.head_object(Bucket=BUCKET, Key="none")
    except qcloud_cos.CosServiceError as error:
        names.append(error.get_error_code())
    return [content, response["ETag"], names]


async def after(client: aiocos.CosS3Client) -> list[object]:
    await client.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    response = await client.get_object(Bucket=BUCKET, Key="a")
    content = await response["Body"].read()
    names = [item["Key"] for item in (await client.list_objects(Bucket=BUCKET))["Contents"]]
    try:
        await client.head_object(Bucket=BUCKET, Key="none")
    except aiocos.NotFoundError as error:  # a CosServiceError too
        names.append(error.get_error_code())
    return [content, response["ETag"], names]


async def differences(cos: CosEmulator, old: Any, new: aiocos.CosS3Client, file: Path) -> None:
    # A byte that was changed on the way is noticed.
    cos.fail("GetObject", corrupt=0)
    response = await asyncio.to_thread(old.get_object, BUCKET, "a")
    print("before:", response["Body"].get_raw_stream().read() == b"hello")
    try:
        await (await new.get_object(BUCKET, "a"))["Body"].read()
    except aiocos.IntegrityError:
        print("after:  IntegrityError")
    cos.heal()

    # Metadata that COS would drop in silence is refused.
    await asyncio.to_thread(old.put_object, BUCKET, b"", "b", Metadata={"author": "me"})
    print("before:", "author" in await new.head_object(BUCKET, "b"))
    try:
        await new.put_object(BUCKET, b"", "b", Metadata={"author": "me"})
    except aiocos.ParameterError:
        print("after:  ParameterError")

    # An unfinished upload of another program is left to it.
    await new.create_multipart_upload(BUCKET, "big")
    await asyncio.to_thread(old.upload_file, BUCKET, "big", str(file))
    print("before:", [upload["Key"] async for upload in new.iter_multipart_uploads(BUCKET)])
    await new.create_multipart_upload(BUCKET, "big")
    await new.upload_file(BUCKET, "big", file)
    print("after: ", [upload["Key"] async for upload in new.iter_multipart_uploads(BUCKET)])


async def main(folder: Path) -> None:
    (folder / "big").write_bytes(bytes(25 * 1024 * 1024))
    async with CosEmulator() as cos, aiocos.CosS3Client(aiocos.CosConfig(**cos.settings())) as new:
        with requests.Session() as session:
            old = qcloud_cos.CosS3Client(qcloud_cos.CosConfig(**cos.settings()), session=session)
            print("same:  ", await asyncio.to_thread(before, old) == await after(new))
            await differences(cos, old, new, folder / "big")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))

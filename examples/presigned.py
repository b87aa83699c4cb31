"""Give someone an address to download or upload one object, without an account.

    python examples/presigned.py

The address works for any HTTP client until it expires, and for the one method it was signed
for. The form is what a web page sends; COS holds it to its prefix and size. Here COS is a server
inside this process.
"""

import asyncio
import tempfile

import aiohttp

import aiocos

BUCKET = "examplebucket-1250000000"


async def main(store: str) -> None:
    config = aiocos.CosConfig.local(store)
    async with aiocos.CosS3Client(config) as client, aiohttp.ClientSession() as someone:
        upload = await client.get_presigned_url(BUCKET, "letter.txt", "PUT", Expired=60)
        async with someone.put(upload, data=b"Dear all") as answer:
            print("upload:  ", answer.status)

        download = await client.get_presigned_url(BUCKET, "letter.txt", "GET", Expired=60)
        async with someone.get(download) as answer:
            print("download:", answer.status, await answer.text())

        async with someone.delete(download) as answer:
            print("delete:  ", answer.status, "the address is good for GET only")

        form = await client.get_presigned_post(
            BUCKET, "inbox/${filename}", ContentLengthRange=(1, 1_000_000)
        )
        data = aiohttp.FormData(form["fields"])
        data.add_field("file", b"Dear all", filename="reply.txt")
        async with someone.post(form["url"], data=data) as answer:
            print("form:    ", answer.status, await client.object_exists(BUCKET, "inbox/reply.txt"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(directory))

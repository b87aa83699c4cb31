"""What can go wrong, by what you would do about it.

    python examples/error_handling.py

A class says what to do next; ``code`` and ``request_id`` are for logs and for support.
"""

import asyncio
import tempfile

import aiocos

BUCKET = "examplebucket-1250000000"


async def greeting(client: aiocos.CosS3Client, key: str) -> str:
    """Return an object's text, or say why there is none."""
    try:
        response = await client.get_object(BUCKET, key)
        text = (await response["Body"].read()).decode()
    except aiocos.NotFoundError as error:  # make it, or do without
        text = f"not there ({error.code})"
    except aiocos.ExpiredTokenError:  # get new credentials
        text = "sign in again"
    except aiocos.AccessDeniedError as error:  # these credentials will never do
        text = f"not allowed ({error.code})"
    except aiocos.ParameterError as error:  # our own mistake; nothing was sent
        text = f"cannot be right: {error}"
    except aiocos.CosServiceError as error:  # refused for another reason
        text = f"refused: {error.code}, request {error.request_id}"
    except aiocos.CosClientError as error:  # no usable answer, after all retries
        text = f"no answer: {type(error).__name__}"
    return text


async def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:
            await client.put_object(BUCKET, "good morning", "greeting.txt")
            print("there:     ", await greeting(client, "greeting.txt"))
            print("not there: ", await greeting(client, "no-such-key"))
            print("no key:    ", await greeting(client, ""))
            try:
                await client.put_object(BUCKET, "me first", "greeting.txt", IfNoneMatch="*")
            except aiocos.PreconditionError as error:
                print("taken:     ", error.code)

        dead = aiocos.CosConfig(
            Region="ap-guangzhou",
            SecretId="id",
            SecretKey="key",
            Scheme="http",
            IP="127.0.0.1",
            Port=1,
        )
        async with aiocos.CosS3Client(dead, retry=1) as client:
            print("no server: ", await greeting(client, "greeting.txt"))


if __name__ == "__main__":
    asyncio.run(main())

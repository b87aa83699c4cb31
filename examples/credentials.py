"""Let the keys come from where they are, and be replaced before they end.

    python examples/credentials.py

On a machine of yours ``aiocos.default_credentials()`` is all it takes: environment, files of
Tencent's tools, the role of a pod, a function or a CVM. Here a COS and a CVM's metadata
service are servers inside this process.
"""

import asyncio

import aiocos
from aiocos.emulator import CosEmulator, IdentityEmulator

BUCKET = "examplebucket-1250000000"


async def main() -> None:
    async with CosEmulator() as cos, IdentityEmulator(cos, roles=["reader"]) as identity:
        found = aiocos.CredentialChain(
            aiocos.EnvironmentCredentials({}),  # of this process: leave the argument out
            aiocos.CvmRoleCredentials(endpoint=identity.url),  # of the real service: the same
        )
        for finding in await found.explain():
            print(f"{finding.source}: {finding.state}")

        config = aiocos.CosConfig(**cos.settings())
        config = config.replace(SecretId=None, SecretKey=None, CredentialInstance=found)
        async with aiocos.CosS3Client(config) as client:
            await client.put_object(BUCKET, b"first", "a")
            first = await found.get_credentials()
            cos.clock.advance(hours=3)  # the keys are good for two
            await client.put_object(BUCKET, b"second", "a")
            print("new keys:", await found.get_credentials() != first)


if __name__ == "__main__":
    asyncio.run(main())

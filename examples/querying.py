"""Ask COS for the rows of a CSV object that are wanted, not for the whole of it.

    python examples/querying.py

Here COS is a server inside this process, which needs DuckDB for this: pip install
"aiocos[emulator]".
"""

import asyncio
import tempfile

import aiocos

BUCKET = "examplebucket-1250000000"
PEOPLE = b"name,age,city\nLeon,30,Shenzhen\nAda,41,London\nMei,7,Guangzhou\n"


async def main(store: str) -> None:
    async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:
        await client.put_object(BUCKET, PEOPLE, "people.csv")
        response = await client.select_object_content(
            Bucket=BUCKET,
            Key="people.csv",
            Expression="Select s.name, s.city from COSObject s where cast(s.age as int) >= 18",
            ExpressionType="SQL",
            InputSerialization={"CSV": {"FileHeaderInfo": "USE"}},
            OutputSerialization={"JSON": {}},
        )
        async with response["Body"] as answer:
            async for row in answer.rows():
                print(row)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(directory))

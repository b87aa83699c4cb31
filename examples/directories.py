"""Whole directories: up, moved, down again from keys that nobody should trust, and away.

    python examples/directories.py

Needs no account: COS is a server inside this process, over a temporary directory.
"""

import asyncio
import tempfile
from pathlib import Path

import aiocos
from aiocos.transfer.paths import original_key

BUCKET = "examplebucket-1250000000"


def make_site(directory: Path) -> None:
    for name in ("index.html", "img/logo.png", "img/photo.jpg"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}")
    (directory / "latest").symlink_to("index.html")


def show(what: str, files: list[str]) -> None:
    print(f"{what:11}{', '.join(sorted(files))}")


def below(directory: Path) -> list[str]:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return [path.relative_to(directory).as_posix() for path in paths]


async def main(here: Path) -> None:
    config = aiocos.CosConfig.local(here / "store")
    async with aiocos.CosS3Client(config) as client:
        make_site(here / "site")
        result = await client.upload_dir(BUCKET, "site", here / "site", CacheControl="max-age=60")
        print(f"uploaded   {result['Files']} files, {result['Bytes']} bytes")
        print(f"skipped    {Path(result['Skipped'][0]['Name']).name}: a symbolic link")

        photo = "site/img/photo.jpg"
        await client.move(
            BUCKET,
            "site/archive/photo.jpg",
            {"Bucket": BUCKET, "Key": photo, "Region": "ap-guangzhou"},
        )

        # Whoever may write to the bucket chooses its keys. By default such a one is an error;
        # every other file is there all the same.
        await client.put_object(BUCKET, b"surprise", "site/../../.bashrc")
        try:
            await client.download_dir(BUCKET, "site", here / "copy")
        except aiocos.TransferError as failed:
            for key, error in failed.failures:
                print(f"refused    {key}: {error}")
        show("downloaded", below(here / "copy"))

        await client.download_dir(BUCKET, "site", here / "safe", Unsafe="encode")
        encoded = next(name for name in below(here / "safe") if "%" in name)
        print(f"encoded    {encoded} is {original_key(encoded.split('/'))}")

        result = await client.delete_prefix(BUCKET, "site/")
        print(f"deleted    {result['Files']} objects")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(Path(place)))

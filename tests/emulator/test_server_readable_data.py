"""A person can read what a data directory holds, without the server."""

import asyncio
import re
import shlex
import shutil
import sqlite3
import sys

import pytest
from cos_wire import BUCKET, Wire

from aiocos.emulator import CosEmulator

MIB = 1 << 20
KEY = "dir/größe 1+1.txt"


@pytest.fixture
async def written(tmp_path):
    """A directory with a plain object, a joined one, an empty one, versions and a marker."""
    async with CosEmulator(tmp_path) as server:
        wire = Wire(server)
        await server.put(BUCKET, KEY, b"hello")
        await server.put(BUCKET, "empty", b"")
        upload = (await wire.ask("POST", "/joined?uploads", {}, b"")).xml("UploadId")
        listed = ""
        for number, fill in ((1, b"a"), (2, b"b")):
            target = f"/joined?partNumber={number}&uploadId={upload}"
            etag = (await wire.ask("PUT", target, {}, fill * MIB)).headers["ETag"]
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        assert (await wire.ask("POST", f"/joined?uploadId={upload}", {}, body)).status == 200
        await server.create_bucket("versioned-1250000000")
        host = "versioned-1250000000.cos.ap-guangzhou.myqcloud.com"
        on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        assert (await wire.ask("PUT", "/?versioning", {}, on, host=host)).status == 200
        for content in (b"first", b"second"):
            await wire.ask("PUT", "/v", {}, content, host=host)
        await wire.ask("PUT", "/gone", {}, b"x", host=host)
        await wire.ask("DELETE", "/gone", host=host)
    return tmp_path


def ask(folder, sql, *values):
    connection = sqlite3.connect(folder / "metadata.sqlite")
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def recipes(folder):
    """The commands of the README that is kept with the data."""
    text = (folder / "README.txt").read_text(encoding="utf-8")
    return re.findall(r"^  ((?:sqlite3|aiocos) .*(?:\n    .*)*)", text, re.M)


def content(folder, bucket, key):
    """An object's content, read as the README says."""
    [recipe] = [recipe for recipe in recipes(folder) if "pieces" in recipe]
    sql = shlex.split(recipe)[2].replace("BUCKET", bucket).replace("KEY", key)
    whole = b""
    for file, start, length in ask(folder, sql):
        with (folder / file).open("rb") as stream:
            stream.seek(start)
            whole += stream.read(length)
    return whole


async def test_the_readme_is_true(written):
    """What the README says finds every object and its content."""
    [recipe] = [recipe for recipe in recipes(written) if "FROM objects" in recipe]
    rows = ask(written, shlex.split(recipe)[2])
    assert [(bucket, key, size) for bucket, key, size, _ in rows] == [
        (BUCKET, KEY, 5),
        (BUCKET, "empty", 0),
        (BUCKET, "joined", 2 * MIB),
        ("versioned-1250000000", "v", 6),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row[3]) for row in rows)
    assert content(written, BUCKET, KEY) == b"hello"
    assert content(written, BUCKET, "empty") == b""
    assert content(written, BUCKET, "joined") == b"a" * MIB + b"b" * MIB
    assert content(written, "versioned-1250000000", "v") == b"second"


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 command here")
async def test_the_readme_in_a_shell(written):
    """The commands of the README work as they stand."""
    for recipe in recipes(written):
        if recipe.startswith("sqlite3"):
            child = await asyncio.create_subprocess_shell(
                recipe.replace("'KEY'", f"'{KEY}'").replace("'BUCKET'", f"'{BUCKET}'"),
                cwd=written,
                stdout=asyncio.subprocess.PIPE,
            )
            lines = (await child.communicate())[0].decode().splitlines()
            assert child.returncode == 0
            assert len(lines) == (1 if "pieces" in recipe else 4)


async def test_the_commands_of_the_readme(written, tmp_path_factory):
    """The commands that need aiocos but no server list and copy everything."""
    target = tmp_path_factory.mktemp("copy")
    for recipe in recipes(written):
        if recipe.startswith("aiocos"):
            command = recipe.replace("BUCKET", BUCKET).replace("some-folder", str(target))
            words = [sys.executable, "-m", *shlex.split(command)]
            child = await asyncio.create_subprocess_exec(
                *words, cwd=written, stdout=asyncio.subprocess.PIPE
            )
            told = (await child.communicate())[0].decode()
            assert child.returncode == 0
            assert ("ls" not in words) or BUCKET in told or KEY in told
    assert (target / KEY).read_bytes() == b"hello"


async def test_every_version(written):
    """Older versions and delete markers are told apart from what is there now."""
    rows = ask(
        written,
        "SELECT key, latest, deleted, size FROM objects WHERE bucket LIKE 'versioned%'",
    )
    assert rows == [("gone", 1, 1, 0), ("gone", 0, 0, 1), ("v", 1, 0, 6), ("v", 0, 0, 5)]


async def test_the_readme_stays_as_it_is(written):
    """What somebody wrote into the README is theirs, and a temporary store has none."""
    (written / "README.txt").write_text("mine")
    async with CosEmulator(written):
        pass
    assert (written / "README.txt").read_text() == "mine"
    async with CosEmulator() as server:
        assert not (server._root / "README.txt").exists()


async def test_no_key_becomes_a_path(tmp_path):
    """No file is named by a bucket or a key, however either looks."""
    async with CosEmulator(tmp_path) as server:
        for key in ("../evil", "/etc/evil", "a/../../evil", "evil\x00", "C:\\evil", "evil" * 200):
            await server.put(BUCKET, key, key.encode())
        assert not [path for path in tmp_path.parent.rglob("*") if "evil" in path.name]
    assert content(tmp_path, BUCKET, "../evil") == b"../evil"

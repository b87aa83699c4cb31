"""coscmd 1.9.0.6, as it is, works against the server."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
from pathlib import Path

import pytest
from cos_wire import BUCKET, HOST

VERBS = Path(__file__).with_name("coscmd_verbs.py")
PROGRAM = Path(sys.executable).with_name("coscmd")
ARCHIVED = '{"x-cos-storage-class": "ARCHIVE"}'


def environment(server, folder):
    return {**os.environ, "http_proxy": server.url, "no_proxy": "", "HOME": str(folder)}


def configuring(server):
    keys = ["-a", server.secret_id, "-s", server.secret_key]
    return ["config", *keys, "-b", BUCKET, "-r", "ap-guangzhou", "--do-not-use-ssl"]


@pytest.fixture
async def coscmd(server, tmp_path):
    """Runs lines of coscmd in a folder; what each printed. They must succeed."""

    async def run(*lines, codes=None, last=True):
        if not (tmp_path / ".cos.conf").exists():
            lines = (configuring(server), *lines)
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(VERBS),
            cwd=tmp_path, env=environment(server, tmp_path), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        words = [line.split(" ") if isinstance(line, str) else line for line in lines]
        printed, _ = await child.communicate(json.dumps(words).encode())
        text = printed.decode()
        assert child.returncode == 0, text
        *told, end = re.split(r"\nexit (?=\S+\n)", text)
        ended = [each.split("\n", 1)[0] for each in [*told[1:], end]]
        said = [told[0], *(each.split("\n", 1)[1] for each in told[1:])]
        assert [code for code in ended if code not in {"0", "None"}] == (codes or []), text
        return said[-1] if last else said

    return run


async def test_first_steps(server, tmp_path):
    """The program itself: configure it, upload, list, download."""

    async def run(*words):
        child = await asyncio.create_subprocess_exec(
            str(PROGRAM), *words, cwd=tmp_path, env=environment(server, tmp_path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await child.communicate()
        assert child.returncode == 0, printed.decode()
        return printed.decode()

    (tmp_path / "f.txt").write_bytes(b"hello")
    await run(*configuring(server))
    assert "Upload" in await run("upload", "f.txt", "docs/f.txt")
    listed, _ = await asyncio.gather(run("list", "-ar"), run("download", "docs/f.txt", "back.txt"))
    assert re.search(r"docs/f\.txt\s+5\s+STANDARD", listed)
    assert (tmp_path / "back.txt").read_bytes() == b"hello"
    assert await server.read(BUCKET, "docs/f.txt") == b"hello"


async def test_directories(server, coscmd, tmp_path):
    """Directories go up, are brought up to date, come down, are copied and deleted."""
    files = {"a.txt": b"a", "sub/图 +%.txt": b"b", "sub/deep/c": b"", "z": b"z"}
    for name, content in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert "4 files uploaded" in await coscmd("upload -r tree tree")
    (tmp_path / "tree/z").unlink()
    (tmp_path / "tree/a.txt").write_bytes(b"new")
    again = await coscmd("upload -rsf --delete tree tree")
    assert "1 files uploaded, 2 files skipped" in again
    assert "1 files sync deleted" in again
    said = await coscmd(
        "download -r tree back", f"copy -r {HOST}/tree copied", "delete -rf tree", "list -ar",
    )  # fmt: skip
    kept = {"a.txt": b"new", "sub/图 +%.txt": b"b", "sub/deep/c": b""}
    back = tmp_path / "back"
    found = {str(p.relative_to(back)): p.read_bytes() for p in back.rglob("*") if p.is_file()}
    assert found == kept
    assert {name: await server.read(BUCKET, f"copied/{name}") for name in kept} == kept
    assert "Files num: 3" in said


async def test_parts(server, coscmd, tmp_path):
    """A file of more than 20 MiB goes up and comes down in parts, and is the same."""
    content = random.Random(1).randbytes(21 * 2**20 + 3)
    (tmp_path / "big").write_bytes(content)
    await coscmd()
    with (tmp_path / ".cos.conf").open("a") as conf:
        conf.write("multiupload_threshold = 20\nmultidownload_threshold = 20\n")
    await coscmd("upload big big", "download big back")
    assert (tmp_path / "back").read_bytes() == content
    assert await server.read(BUCKET, "big") == content
    assert server.count("UploadPart", status=200) == 22
    assert server.count("GetObject", status=206) == 22


async def test_uploads_that_were_left(server, coscmd, tmp_path):
    """An upload that broke off is listed, and goes on with the parts that are there."""
    content = random.Random(2).randbytes(20 * 2**20 + 3)
    (tmp_path / "big").write_bytes(content)
    await coscmd()
    conf = tmp_path / ".cos.conf"
    conf.write_text(
        conf.read_text()
        .replace("max_thread = 5", "max_thread = 1\nmultiupload_threshold = 20")
        .replace("retry = 5", "retry = 0")
    )
    server.fail("UploadPart", after=4, status=400)
    await coscmd("upload big big", codes=["-1"])
    server.heal()
    server.forget_requests()
    assert "Parts num: 1" in await coscmd("listparts")
    await coscmd("upload big big")
    assert server.count("ListParts", status=200) >= 1
    assert server.count("UploadPart", status=200) == 21 - 4
    assert await server.read(BUCKET, "big") == content


async def test_objects(server, coscmd, wire, tmp_path):
    """Headers, description, copy, move, a signed URL, permissions, restoring."""
    (tmp_path / "f").write_bytes(b"hello")
    said = await coscmd(
        ["upload", "-H", '{"x-cos-meta-who": "me"}', "f", "docs/f"],
        "info docs/f",
        f"copy {HOST}/docs/f docs/copy",
        f"move {HOST}/docs/copy docs/moved",
        "signurl docs/moved",
        "putobjectacl --grant-read anyone docs/f",
        "getobjectacl docs/f",
        ["upload", "-H", ARCHIVED, "f", "cold"],
        "restore -d 3 -t Expedited cold",
        last=False,
    )
    _, _, info, _, _, url, _, acl, _, restored = said
    assert re.search(r"x-cos-meta-who\s+me", info)
    assert await server.read(BUCKET, "docs/moved") == b"hello"
    assert server.count("DeleteObject", status=204) == 1
    assert re.search(r"ACL\s+\|\s+anyone: READ", acl)
    assert "Restore cos://" in restored
    assert server.count("RestoreObject", status=202) == 1
    target = re.search(r"myqcloud\.com(/\S+?)'", url)[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\nhello")


async def test_versions(server, coscmd, tmp_path):
    """Versions are switched on, listed, downloaded and deleted one by one, and all together."""
    (tmp_path / "f").write_bytes(b"one")
    (tmp_path / "g").write_bytes(b"other")
    listed = await coscmd(
        "putbucketversioning Enabled", "upload f k", "upload g k", "delete -f k", "list -arv"
    )
    marker, newer, older = re.findall(r"k .*?(\S+)\s*\n", listed)
    # In this order: it looks at the newest version before it asks for another.
    await coscmd(f"delete -f --versionId {marker} k", f"download --versionId {older} k back")
    assert (tmp_path / "back").read_bytes() == b"one"
    assert await server.read(BUCKET, "k") == b"other"
    assert newer != older
    said = await coscmd("getbucketversioning", "delete -rfy --versions /", "list -arv", last=False)
    assert "Enabled" in said[0]
    assert "Files num: 0" in said[2]


async def test_buckets(server, coscmd, tmp_path):
    """A bucket is made, given away, filled, cleared and deleted."""
    other = ["-b", "another-1250000000"]
    (tmp_path / "f").write_bytes(b"x")
    said = await coscmd(
        [*other, "createbucket"],
        [*other, "putbucketacl", "--grant-read", "anyone"],
        [*other, "getbucketacl"],
        [*other, "upload", "f", "k"],
        [*other, "deletebucket", "-f"],
        last=False,
    )
    assert re.search(r"ACL\s+\|\s+anyone: READ", said[3])
    assert server.count("CreateBucket", status=200) == 1
    assert server.count("DeleteBucket", status=204) == 1


async def test_refusals(server, coscmd, tmp_path):
    """What is refused is said with COS's code, and the exit code is not 0."""
    (tmp_path / "f").write_bytes(b"x")
    said = await coscmd(
        "restore f", "download none back", "createbucket", codes=["-1"] * 3, last=False
    )
    assert "NoSuchKey" in said[1]
    assert "BucketAlreadyOwnedByYou" in said[3]
    (tmp_path / ".cos.conf").unlink()
    server.secret_key, kept = "another", server.secret_key
    await coscmd()
    server.secret_key = kept
    assert "SignatureDoesNotMatch" in await coscmd("upload f k", codes=["-1"])

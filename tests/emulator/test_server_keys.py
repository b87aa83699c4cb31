"""A key is stored as it is sent, whatever it looks like."""

from urllib.parse import quote

import pytest

KEYS = [
    "plain",
    "../escape",
    "../../../../tmp/escape",
    "a/../../b",
    "./here",
    "a/./b",
    "a//b",
    "//a",
    "/a",
    "dir/",
    "x/.",
    "x/y/..",
    ".",
    "..",
    "C:\\windows\\system32",
    "a b+c%d%2Fe?f#g&h=i;j:k",
    "'\"<>&!*()[]{}|^`~$,@",
    "%2F%2e%2e",
    "中文/目录/文件.txt",
    "\U0001f600",
    "e\u0301",
    "é",
    "line\nbreak\r\ttab",
    "\x01\x1f\x7f\x00",
    "\ufffe\uffff",
    "k" * 850,
    "中" * 283,
]


def encode(key):
    return quote(key, safe="-_.~/")


@pytest.mark.parametrize("key", KEYS)
async def test_key_survives(wire, key):
    """What is put under an awkward key is read, listed and deleted under it."""
    content = key.encode()
    assert (await wire.ask("PUT", f"/{encode(key)}", {}, content)).status == 200
    assert (await wire.ask("GET", f"/{encode(key)}")).body == content
    assert (await wire.ask("HEAD", f"/{encode(key)}")).headers["Content-Length"] == str(
        len(content)
    )
    listing = await wire.ask("GET", "/?encoding-type=url")
    assert listing.all("Contents/Key") == [quote(key, safe="-_.~")]
    assert (await wire.ask("DELETE", f"/{encode(key)}")).status == 204
    assert (await wire.ask("GET", f"/{encode(key)}")).code == "NoSuchKey"


async def test_encoded_slash_is_a_slash(wire):
    """%2F in a path is a slash of the key, and nothing is decoded twice."""
    await wire.ask("PUT", "/a%2Fb", {}, b"1")
    assert (await wire.ask("GET", "/a/b")).body == b"1"
    assert (await wire.ask("GET", "/a%252Fb")).code == "NoSuchKey"


async def test_similar_keys_are_different(wire):
    """Keys that a file system or a browser would take for one another are kept apart."""
    keys = ["a/b", "a//b", "a/./b", "./a/b", "A/b", "e\u0301", "\u00e9", "a/b/", "/a/b"]
    for number, key in enumerate(keys):
        await wire.ask("PUT", f"/{encode(key)}", {}, b"%d" % number)
    for number, key in enumerate(keys):
        assert (await wire.ask("GET", f"/{encode(key)}")).body == b"%d" % number


async def test_no_file_is_named_by_a_key(server, wire, tmp_path, monkeypatch):
    """Whatever the key, files stay inside the store, under names of its own."""
    for key in KEYS:
        await wire.ask("PUT", f"/{encode(key)}", {}, b"content")
    root = server._root
    names = {path.name for path in (root / "blobs").rglob("*") if path.is_file()}
    assert len(names) == len(KEYS)
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)
    assert {path.name for path in root.iterdir()} <= {
        "blobs",
        "incoming",
        "metadata.sqlite",
        "metadata.sqlite-wal",
        "metadata.sqlite-shm",
    }
    assert not (root.parent / "escape").exists()


@pytest.mark.parametrize("key", ["k" * 851, "中" * 284])
async def test_key_that_is_too_long_is_refused(wire, key):
    """A key of more than 850 bytes is refused."""
    answer = await wire.ask("PUT", f"/{quote(key)}", {}, b"")
    assert (answer.status, answer.code) == (400, "KeyTooLong")


async def test_key_that_is_not_unicode_is_refused(wire):
    """A path that is not UTF-8 is refused."""
    answer = await wire.ask("GET", "/%ff", signed=False)
    assert (answer.status, answer.code) == (400, "InvalidURI")


async def test_error_document_can_hold_any_key(wire):
    """An error about a key of control characters is still XML."""
    answer = await wire.ask("GET", f"/{quote('<&>' + chr(1) + chr(0xFFFE))}")
    assert answer.code == "NoSuchKey"
    assert (answer.xml("Resource") or "").endswith("/<&>\ufffd\ufffd")

"""The web console shows what the server holds and does, to its owner, and changes nothing."""

import asyncio
import html
import itertools
import json
import re
import sys
import time
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

import pytest
from cos_wire import BUCKET, Wire, read_answer

from aiocos.emulator import CosEmulator, FaultRule

LOCAL = "127.0.0.1"
EVIL = '<script>alert("1")</script>'
BIDI = "invoice\u202egnp.exe"
PAGES = ["", "/bucket", "/object", "/uploads", "/requests", "/faults", "/server"]


class Elements(HTMLParser):
    """The elements of a page, its attributes and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


class Browser:
    """Somebody who came by the whole address."""

    def __init__(self, server):
        self.wire, self.server = Wire(server), server
        self.cookie = ""

    async def ask(self, path, method="GET", **headers):
        sent = {"host": LOCAL, **({"cookie": self.cookie} if self.cookie else {}), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return await self.wire.raw(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())

    async def enter(self):
        answer = await self.ask(self.server.console_url.partition(str(self.server.port))[2])
        assert answer.status == 303
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer

    async def page(self, path="", **params):
        query = f"?{urlencode(params)}" if params else ""
        answer = await self.ask(f"/_console{path}{query}")
        assert answer.status == 200
        return answer.body.decode()

    async def text(self, path="", **params):
        return Elements(await self.page(path, **params)).text


@pytest.fixture
async def browser(server):
    browser = Browser(server)
    await browser.enter()
    return browser


# -- who is let in


async def test_the_address_lets_in(server):
    """The address of the console lets a browser in, and leaves no key in its history."""
    browser = Browser(server)
    assert server.console_url.startswith(f"{server.url}/_console?enter=")
    answer = await browser.enter()
    assert answer.headers["Location"] == "/_console"
    given = answer.headers["Set-Cookie"]
    assert "HttpOnly" in given
    assert "SameSite=Strict" in given
    assert "Path=/_console" in given
    assert "Buckets" in await browser.text()


async def test_nobody_else_is_let_in(server):
    """Without the key, with a wrong one, or with that of another server there is no page."""
    await server.put(BUCKET, "secret-name", b"secret-content")
    other = CosEmulator()
    browser = Browser(server)
    for cookie in ("", "x=y", f"aiocos-console-{server.port}=wrong", "aiocos-console-1=ÿ"):
        browser.cookie = cookie
        for path in PAGES:
            answer = await browser.ask(f"/_console{path}?bucket={BUCKET}&key=secret-name")
            assert answer.status == 403
            assert b"secret" not in answer.body
    answer = await browser.ask(f"/_console?enter={other.secret_key}")
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


async def test_the_key_is_not_the_secret(server):
    """The key of the console signs nothing, and tells nothing of the secret key."""
    key = server.console_url.partition("=")[2]
    assert key not in (server.secret_key, server.secret_id)
    assert (await Wire(server).ask("GET", "/", secret_key=key)).status == 403


async def test_the_key_holds_after_a_restart(tmp_path):
    """With a directory of its own a server keeps the key of its console."""
    async with CosEmulator(tmp_path) as first:
        key = first.console_url.partition("=")[2]
    async with CosEmulator(tmp_path) as second:
        assert second.console_url.endswith(key)


async def test_anonymous_servers_have_no_key():
    """Where signatures are not checked the console opens as well."""
    async with CosEmulator(anonymous=True) as server:
        assert "Buckets" in await Browser(server).text()


async def test_foreign_hosts(server, browser):
    """A page of another name in the browser cannot reach the console under that name."""
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        answer = await browser.ask("/_console", host=host)
        assert (answer.status, answer.code) == (403, "AccessDenied")


async def test_a_bucket_keeps_its_keys(server, wire, browser):
    """An object may have the console's name for a key, in the bucket's own host name."""
    assert (await wire.ask("PUT", "/_console", {}, b"mine")).status == 200
    assert (await wire.ask("GET", "/_console")).body == b"mine"
    assert (await wire.ask("GET", f"/{BUCKET}/_console", host=LOCAL)).body == b"mine"


async def test_off_loopback_it_is_closed():
    """A server that other machines can reach has no console, unless it was asked for."""
    async with CosEmulator(host="0.0.0.0") as server:
        answer = await Browser(server).ask("/_console")
        assert answer.status == 403
        assert b"console=True" in answer.body
        key = server.console_url.partition("?")[2]
        assert (await Browser(server).ask(f"/_console?{key}")).status == 403
    async with CosEmulator(host="0.0.0.0", console=True) as server:
        browser = Browser(server)
        assert (await browser.ask("/_console")).status == 403
        await browser.enter()
        assert "Buckets" in await browser.text()


async def test_it_can_be_left_out():
    """A server without a console takes the address for a bucket, which there is not."""
    async with CosEmulator(console=False) as server:
        answer = await Wire(server).ask("GET", "/_console", host=LOCAL)
        assert (answer.status, answer.code) == (404, "NoSuchBucket")


# -- how it answers


async def test_only_to_look_at(server, browser):
    """Nothing but GET and HEAD is answered."""
    await server.put(BUCKET, "k", b"v")
    for method, path in itertools.product(["POST", "PUT", "DELETE", "OPTIONS", "PATCH"], PAGES):
        answer = await browser.ask(f"/_console{path}?bucket={BUCKET}&key=k", method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert await server.read(BUCKET, "k") == b"v"


async def test_head(server, browser):
    """HEAD says what GET would, without the page."""
    reader, writer = await asyncio.open_connection(LOCAL, server.port)
    writer.write(f"HEAD /_console HTTP/1.1\r\nhost: {LOCAL}\r\n".encode())
    writer.write(f"cookie: {browser.cookie}\r\n\r\n".encode())
    answer = await read_answer(reader, is_head=True)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    writer.close()


async def test_headers(server, browser):
    """Every answer forbids scripts, frames, guessing of types and keeping."""
    await server.put(BUCKET, "k", b"v")
    for path in [*PAGES, "/style.css", "/icon.svg", "/nothing"]:
        headers = (await browser.ask(f"/_console{path}?bucket={BUCKET}&key=k")).headers
        rules = headers["Content-Security-Policy"].split(";")
        policy = dict(rule.strip().split(" ", 1) for rule in rules)
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert set(policy.values()) == {"'none'", "'self'"}
        assert "script-src" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in headers if name.lower().startswith("access-control")]


ODD = [
    ("/nothing", 404),
    ("/bucket", 404),
    ("/bucket?bucket=no-1250000000", 404),
    (f"/object?bucket={BUCKET}&key=none", 404),
    (f"/object?bucket={BUCKET}&key=k&version=none", 404),
    ("/bucket?bucket=%ff", 400),
    ("/?" + "a=1&" * 100, 400),
    (f"/bucket?bucket={BUCKET}&versions=1&after=x&past=²", 200),
    (f"/bucket?bucket={BUCKET}&versions=1&after=x&past={'9' * 19}", 200),
    (f"/bucket?bucket={BUCKET}&after=%00", 200),
    ("/../../etc/passwd", 404),
    ("/%2e%2e/style.css", 404),
    ("/__init__.py", 404),
]


async def test_odd_addresses(server, browser):
    """An address that means nothing is answered with words, and the server stays well."""
    for path, status in ODD:
        answer = await browser.ask(f"/_console{quote(path, safe='/?=&%')}")
        assert answer.status == status
        assert b"<h1>" in answer.body
    assert server.requests == []


# -- what is shown


@pytest.mark.parametrize("name", [EVIL, BIDI, "a&amp;b", "'\"><img src=x onerror=alert(1)>"])
async def test_names_are_data(server, browser, name):
    """Whatever stands in a key, a header, a tag or the content is shown, never obeyed."""
    wire = Wire(server)
    headers = {"x-cos-meta-note": quote(name), "content-type": "text/" + re.sub(r"\W", "<", name)}
    await wire.ask("PUT", f"/{quote(name, safe='')}", headers, name.encode())
    upload = f"/{quote(name, safe='')}?uploads"
    assert (await wire.ask("POST", upload, {}, b"")).status == 200
    server.fail("HeadBucket", message=name, status=400)
    target = {"bucket": BUCKET, "key": name}
    pages = [
        await browser.page("/bucket", bucket=BUCKET),
        await browser.page("/bucket", bucket=BUCKET, prefix=name),
        await browser.page("/bucket", bucket=BUCKET, versions="1"),
        await browser.page("/object", **target),
        await browser.page("/uploads"),
        await browser.page("/requests"),
        await browser.page("/faults"),
    ]
    for page in pages:
        elements = Elements(page)
        assert "<" not in re.search("<title>(.*)</title>", page)[1]
        assert not {"script", "img", "iframe", "style", "object"} & set(elements.tags)
        assert not [key for key, _ in elements.attributes if key.startswith("on")]
        assert not [1 for key, _ in elements.attributes if key == "style"]
        assert "\u202e" not in page
    shown = name.replace("\u202e", "U+202E")
    assert shown in Elements(pages[3]).text
    assert shown.rpartition("/")[2] in "".join(Elements(page).text for page in pages[2:])


async def test_refused_names_are_data(server, browser):
    """A page about something that is not there does not obey its name either."""
    for path in (f"/{EVIL}", f"/bucket?bucket={EVIL}", f"/object?bucket={BUCKET}&key={EVIL}"):
        answer = await browser.ask(f"/_console{quote(path, safe='/?=&')}")
        assert "script" not in Elements(answer.body.decode()).tags


async def test_buckets(server, browser):
    """The first page lists the buckets with what is in them."""
    await server.create_bucket("second-1250000000", acl="public-read")
    await server.put(BUCKET, "a", bytes(1536))
    await server.put(BUCKET, "b", bytes(512))
    text = await browser.text()
    assert re.search(rf"{BUCKET}22\.0 KiBOffprivateap-guangzhou", text)
    assert re.search(r"second-125000000000 BOffpublic-read", text)


async def test_prefixes_and_pages(server, browser):
    """A bucket is browsed by prefix, a page at a time, until everything was shown."""
    keys = [f"deep/er/{number:03d}" for number in range(250)] + ["top", "deep/one"]
    for key in keys:
        await server.put(BUCKET, key, b"x")
    top = await browser.page("/bucket", bucket=BUCKET)
    assert [word for word in ("deep/", "top", "er/") if word in Elements(top).text] == [
        "deep/",
        "top",
    ]
    target, seen = f"/_console/bucket?bucket={BUCKET}&prefix=deep/er/", []
    while target:
        page = (await browser.ask(target)).body.decode()
        seen += re.findall(r'class="key">(\d{3})<', page)
        following = re.search(r'href="([^"]*)">Next page', page)
        target = html.unescape(following[1]) if following else None
    assert seen == [f"{number:03d}" for number in range(250)]


async def test_versions_and_their_pages(server, browser):
    """All versions are shown, the newest first, with those that were deleted."""
    wire = Wire(server)
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await wire.ask("PUT", "/?versioning", {}, body)
    for number in range(150):
        await server.put(BUCKET, "k", bytes(number + 1))
    await wire.ask("DELETE", "/k")
    target, seen, deleted = f"/_console/bucket?bucket={BUCKET}&versions=1", [], 0
    while target:
        page = (await browser.ask(target)).body.decode()
        seen += [int(size) for size in re.findall(r">(\d+) B<", page)]
        deleted += page.count(">Deleted<")
        following = re.search(r'href="([^"]*)">Next page', page)
        target = html.unescape(following[1]) if following else None
    assert (seen, deleted) == (list(range(150, 0, -1)), 1)
    text = await browser.text("/object", bucket=BUCKET, key="k")
    assert "by a marker" in text
    version = re.search(
        r"version=([^\"&]+)\"><code>[^<]*</code></a></td><td><span class=\"mark "
        r"older",
        await browser.page("/object", bucket=BUCKET, key="k"),
    )[1]
    assert "150 B" in await browser.text("/object", bucket=BUCKET, key="k", version=version)


async def test_an_object(server, browser):
    """An object's page has its headers, tags, and the beginning of its text."""
    headers = {
        "content-type": "text/plain",
        "x-cos-meta-author": "somebody",
        "x-cos-tagging": "colour=light%20blue",
    }
    content = "größe\n" * 2000
    assert (await Wire(server).ask("PUT", "/k", headers, content.encode())).status == 200
    text = await browser.text("/object", bucket=BUCKET, key="k")
    for word in ("text/plain", "x-cos-meta-author", "somebody", "colour", "light blue", "ETag"):
        assert word in text
    assert content[:500] in text
    assert "The first 4,096 bytes." in text
    assert "U+" not in text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "Empty."),
        (b"\x00\x01\xff" * 100, "00 01 ff 00"),
        (b"\x89PNG", "89 50 4e 47"),
        ("中".encode() * 2000, "中" * 1365),
        (b"a\x1bb and so on and on and on", "aU+001Bb"),
    ],
)
async def test_content(server, browser, content, shown):
    """Text is shown as text, even if a letter was cut in two; other bytes are as numbers."""
    await server.put(BUCKET, "k", content)
    assert shown in await browser.text("/object", bucket=BUCKET, key="k")


async def test_content_that_is_not_for_everybody(server, browser):
    """What is encrypted with a customer's key, or archived, is not shown."""
    import base64
    import hashlib

    wire, key, name = Wire(server), bytes(32), "x-cos-server-side-encryption-customer-"
    headers = {
        f"{name}algorithm": "AES256",
        f"{name}key": base64.b64encode(key).decode(),
        f"{name}key-md5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }
    assert (await wire.ask("PUT", "/c", headers, b"content-canary")).status == 200
    archived = {"x-cos-storage-class": "ARCHIVE"}
    assert (await wire.ask("PUT", "/a", archived, b"content-canary")).status == 200
    for name, words in (("c", "Encrypted"), ("a", "Archived")):
        text = await browser.text("/object", bucket=BUCKET, key=name)
        assert words in text
        assert "canary" not in text


async def test_uploads(server, browser):
    """An upload in progress is shown with its parts and bytes, until it ends."""
    wire = Wire(server)
    assert "No multipart upload" in await browser.text("/uploads")
    upload = (await wire.ask("POST", "/big?uploads", {}, b"")).xml("UploadId")
    for number in (1, 2, 7):
        await wire.ask("PUT", f"/big?partNumber={number}&uploadId={upload}", {}, bytes(1 << 20))
    text = await browser.text("/uploads")
    assert "Parts3" in text
    assert "3.0 MiB" in text
    opened = await browser.text("/uploads", open=upload)
    assert re.search(r"71\.0 MiB[0-9a-f]{32}", opened)
    await wire.ask("DELETE", f"/big?uploadId={upload}")
    assert "No multipart upload" in await browser.text("/uploads")


async def test_requests(server, browser):
    """Requests are shown, the latest first; looking at them adds none."""
    assert "No request has come yet" in await browser.text("/requests")
    wire = Wire(server)
    await wire.ask("PUT", "/k", {}, b"hello")
    server.fail("GetObject", status=503, code="SlowDown")
    await wire.ask("GET", "/k")
    text = await browser.text("/requests")
    assert re.search(r"GetObject.*503 SlowDown.*status 503.*PutObject.*200.*5 B", text)
    assert len(server.requests) == 2


async def test_no_secret_is_shown(server, browser):
    """No page shows the secret key, a whole key id, a token or a signature."""
    wire = Wire(server)
    server.add_credentials("AKIDtemporary", "secret-canary", token="token-canary")
    headers = {"x-cos-security-token": "token-canary"}
    await wire.ask("GET", "/a", headers, secret_id="AKIDtemporary", secret_key="secret-canary")
    fields = wire.fields("GET", "/a", [], {})
    await wire.ask("GET", f"/a?{urlencode(fields)}", signed=False)
    for path in ("", "/requests", "/faults", "/uploads", "/server"):
        page = await browser.page(path)
        for secret in (server.secret_key, server.secret_id, fields["q-signature"], "canary"):
            assert secret not in page
    assert server.secret_id[:8] in await browser.text("/server")


async def test_the_key_is_in_no_account_of_requests(server, browser):
    """A browser that comes by a proxy's way is a client of COS, and its key is blotted out."""
    key = server.console_url.rpartition("=")[2]
    head = f"Host: {server.endpoint}\r\nCookie: {browser.cookie}\r\n\r\n"
    await browser.wire.raw(f"GET {server.console_url} HTTP/1.1\r\n{head}".encode())
    assert server.requests[-1].raw_path.endswith("/_console")
    assert key not in json.dumps(server.requests[-1].to_dict())
    assert key not in await browser.page("/requests")


async def test_faults(server, browser):
    """Rules are shown with how often they were met and fired."""
    assert "no fault is in force" in await browser.text("/faults")
    fault = server.add_fault(FaultRule(operation="GetObject", status=503, nth=2))
    for _ in range(3):
        await Wire(server).ask("GET", "/k")
    assert f"{json.dumps(fault.rule.to_dict())}31" in await browser.text("/faults")


async def test_server_facts(server, browser):
    """The server tells where it is, its limits, and how its clock stands."""
    server.clock.advance(days=3)
    server.clock.skew(-90)
    text = await browser.text("/server")
    for words in (server.url, "ap-guangzhou", "3 d", "−1 min 30 s", "1,000", "850 B", "checked"):
        assert words in text


async def test_pages_that_come_anew(server, browser):
    """What goes on comes anew by itself until told to stand still."""
    for path in ("/uploads", "/requests", "/faults"):
        assert 'http-equiv="refresh"' in await browser.page(path)
        assert 'http-equiv="refresh"' not in await browser.page(path, still="1")
    assert 'http-equiv="refresh"' not in await browser.page("/server")


@pytest.mark.alone
async def test_the_loop_stays_free(server, browser):
    """A full page takes less than 20 ms of the loop, whatever else the machine does."""
    asyncio.get_running_loop().set_debug(False)
    for number in range(150):
        await server.put(BUCKET, f"{'long ' * 20}{number:03d}\u202e", b"x")
    wire = Wire(server)
    for number in range(120):
        await wire.ask("GET", f"/{'k' * 100}{number}")
    made = []
    tracer = sys.gettrace()
    sys.settrace(None)  # to note each line that runs makes every step slower
    for _ in range(3):
        for path in (f"/bucket?bucket={BUCKET}", "/requests"):
            begun = time.thread_time()
            assert (await browser.ask(f"/_console{path}")).status == 200
            made.append(time.thread_time() - begun)
    sys.settrace(tracer)
    assert sorted(made)[len(made) // 2] < 0.02

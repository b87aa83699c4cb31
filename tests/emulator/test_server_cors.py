"""Browsers learn from the server which pages may use a bucket."""

import pytest

CORS = b"""<CORSConfiguration>
<CORSRule><AllowedOrigin>http://*.qq.com</AllowedOrigin><AllowedOrigin>https://a.example</AllowedOrigin>
<AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod>
<AllowedHeader>x-cos-meta-*</AllowedHeader><AllowedHeader>Content-Type</AllowedHeader>
<ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-cos-request-id</ExposeHeader>
<MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>
<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule>
</CORSConfiguration>"""


async def preflight(wire, origin, method, headers="", target="/k"):
    asked = {"origin": origin, "access-control-request-method": method}
    if headers:
        asked["access-control-request-headers"] = headers
    return await wire.ask("OPTIONS", target, asked, signed=False)


@pytest.fixture
async def configured(wire):
    assert (await wire.ask("PUT", "/?cors", {}, CORS)).status == 200


@pytest.mark.parametrize("target", ["/k", "/", "/?lifecycle", "/k?acl&versionId=x"])
async def test_preflight(wire, configured, target):
    """Without a signature a browser is told what a page may do, before any request whatever."""
    answer = await preflight(wire, "http://www.qq.com", "PUT", "X-Cos-Meta-A, content-type", target)
    assert (answer.status, answer.body) == (200, b"")
    told = {name: value for name, value in answer.headers.items() if name.startswith("Access")}
    assert told == {
        "Access-Control-Allow-Origin": "http://www.qq.com",
        "Access-Control-Allow-Methods": "PUT,GET",
        "Access-Control-Allow-Headers": "X-Cos-Meta-A,content-type",
        "Access-Control-Expose-Headers": "ETag,x-cos-request-id",
        "Access-Control-Max-Age": "600",
    }
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        ("http://www.qq.com", "DELETE", ""),
        ("https://www.qq.com", "PUT", ""),
        ("http://www.qq.com.evil.example", "GET", ""),
        ("https://a.example", "PUT", "authorization"),
        ("https://b.example", "HEAD", "range"),
    ],
)
async def test_preflight_that_no_rule_allows(wire, configured, origin, method, headers):
    """What no rule allows is forbidden, with nothing a browser could take for a yes."""
    answer = await preflight(wire, origin, method, headers)
    assert (answer.status, answer.code) == (403, "AccessForbidden")
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_preflight_of_a_signed_address(wire, configured):
    """A preflight has the signature of the request behind it, which is not held against it."""
    signed = "q-sign-algorithm=sha1&q-ak=none&q-sign-time=1;2&q-key-time=1;2&q-signature=0"
    answer = await preflight(wire, "http://www.qq.com", "PUT", target=f"/k?{signed}")
    assert answer.status == 200


async def test_preflight_without_rules(wire):
    """A bucket without rules allows nothing, and half a question is no question."""
    assert (await preflight(wire, "https://a.example", "GET")).status == 403
    answer = await wire.ask("OPTIONS", "/k", {"origin": "https://a.example"}, signed=False)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


async def test_rule_for_everyone(wire, configured):
    """A rule for all origins answers with the star."""
    answer = await preflight(wire, "https://anything.example", "HEAD")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_answers_to_pages(wire, configured):
    """Answers tell the browser that the page may see them, refusals too."""
    page = {"origin": "https://a.example"}
    await wire.ask("PUT", "/k", {}, b"v")
    for answer in [
        await wire.ask("GET", "/k", page),
        await wire.ask("GET", "/none", page),
        await wire.ask("GET", "/k", page, signed=False),
        await wire.ask("PUT", "/k", page, b"v"),
    ]:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert answer.headers["Access-Control-Expose-Headers"] == "ETag,x-cos-request-id"
        assert answer.headers["Vary"] == "Origin"
    other = await wire.ask("GET", "/k", {"origin": "https://b.example"})
    assert (other.status, other.body, other.headers["Vary"]) == (200, b"v", "Origin")
    plain = await wire.ask("GET", "/k")
    for answer in (other, plain, await wire.ask("DELETE", "/none", page)):
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_rules_can_change(wire, configured):
    """What is allowed is what was put last."""
    await wire.ask("DELETE", "/?cors")
    assert (await preflight(wire, "http://www.qq.com", "PUT")).status == 403
    answer = await wire.ask("GET", "/", {"origin": "http://www.qq.com"})
    assert "Vary" not in answer.headers


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b">PUT<", b">PATCH<"),
        (b"http://*.qq.com", b"http://*.*.com"),
        (b">ETag<", b">ETag\r\nx-forged: 1<"),
        (b">600<", b">soon<"),
    ],
)
async def test_rules_that_make_no_sense(wire, old, new):
    """Unknown methods, two stars in one origin, and what is no header are refused."""
    answer = await wire.ask("PUT", "/?cors", {}, CORS.replace(old, new))
    assert (answer.status, answer.code) == (400, "InvalidRequest")

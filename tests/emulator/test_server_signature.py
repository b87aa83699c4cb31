"""Only requests signed with a known key, as COS signs, get through."""

import json
import logging
import time
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from cos_wire import BUCKET, HOST, Wire, encode

from aiocos.emulator import CosEmulator
from aiocos.emulator.auth import Credential, Keyring
from aiocos.emulator.routing import Hosts, read

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sign.json").read_text())["vectors"]

TARGET = "/a%20b?versionId=&tag=x%2Fy"
HEADERS = {"host": HOST, "x-cos-meta-note": "one two", "range": "bytes=0-1"}
PARAMS = [("versionId", ""), ("tag", "x/y")]


async def ask(wire, fields, *, method="GET", target=TARGET, headers=HEADERS):
    authorization = "&".join(f"{name}={value}" for name, value in fields.items())
    sent = {**headers, "authorization": authorization}
    return await wire.ask(method, target, sent, signed=False)


@pytest.fixture
async def stored(server):
    await server.put(BUCKET, "a b", b"content")


def damage(fields, name):
    """The fields with one of them wrong."""
    value = fields[name]
    last = "0" if value[-1] != "0" else "1"
    return {**fields, name: value[:-1] + last}


async def test_valid_signature_is_accepted(wire, stored):
    """A request signed over its path, parameters and headers is served."""
    answer = await ask(wire, wire.fields("GET", "/a b", PARAMS, HEADERS))
    assert (answer.status, answer.body) == (206, b"co")


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_published_signatures_are_accepted(vector):
    """Signatures made by the official SDK are valid, in all its ways of signing."""
    token = vector["headers"].get("x-cos-security-token", "")
    keyring = Keyring()
    keyring.add(Credential(vector["secret_id"], vector["secret_key"], "owner", token))
    host = vector["url"].split("/")[2]
    path = quote("/" + (vector["key"] or "").removeprefix("/"), safe="/-_.~")
    params = {name: str(value or "") for name, value in (vector["params"] or {}).items()}
    target = read(vector["method"], f"{path}?{urlencode(params)}", host, Hosts())
    headers = {"host": host} | {name.lower(): text for name, text in vector["headers"].items()}
    headers["authorization"] = vector["authorization"]
    caller = keyring.identify(target, headers, vector["now"], vector["now"])
    assert caller.secret_id == vector["secret_id"]


@pytest.mark.parametrize(
    "change",
    [
        "q-ak",
        "q-sign-time",
        "q-key-time",
        "q-header-list",
        "q-url-param-list",
        "q-signature",
        "q-sign-algorithm",
    ],
)
async def test_altered_field_is_refused(wire, stored, change):
    """A signature of which one field was altered is refused."""
    fields = damage(wire.fields("GET", "/a b", PARAMS, HEADERS), change)
    answer = await ask(wire, fields)
    assert answer.status == 403
    assert answer.code in ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "HEAD"},
        {"target": "/a%20c?versionId=&tag=x%2Fy"},
        {"target": "/a%20b?versionId=&tag=x%2Fz"},
        {"target": "/a%20b?versionId=1&tag=x%2Fy"},
        {"target": "/a%20b?versionId="},
        {"headers": {**HEADERS, "range": "bytes=0-2"}},
        {"headers": {**HEADERS, "x-cos-meta-note": "one  two"}},
        {"headers": {"host": HOST, "range": "bytes=0-1"}},
        {"headers": {**HEADERS, "host": "other-1250000000.cos.ap-guangzhou.myqcloud.com"}},
    ],
)
async def test_altered_request_is_refused(wire, stored, change):
    """A request that differs from what was signed is refused."""
    answer = await ask(wire, wire.fields("GET", "/a b", PARAMS, HEADERS), **change)
    assert answer.status == 403


@pytest.mark.parametrize("missing", ["q-signature", "q-ak", "q-sign-time", "q-header-list"])
async def test_incomplete_signature_is_refused(wire, stored, missing):
    """A signature that lacks a field is refused."""
    fields = wire.fields("GET", "/a b", PARAMS, HEADERS)
    del fields[missing]
    answer = await ask(wire, fields)
    assert (answer.status, answer.code) == (403, "AccessDenied")


async def test_wrong_secret_is_explained(wire, stored):
    """A mismatch answers with the text the server signed, to compare with one's own."""
    answer = await wire.ask("GET", "/a%20b", {"range": "bytes=0-1"}, secret_key="wrong")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert answer.xml("FormatString") == f"get\n/a b\n\nhost={HOST}&range=bytes%3D0-1\n"
    start, sign_time, digest, end = (answer.xml("StringToSign") or "").split("\n")
    assert (start, end, len(digest)) == ("sha1", "", 40)
    assert sign_time.split(";")[0].isdigit()


async def test_explanation_holds_no_secret(server, wire):
    """The explanation of a mismatch shows neither token nor customer key."""
    headers = {
        "x-cos-security-token": "token-canary",
        "x-cos-server-side-encryption-customer-key": "key-canary",
    }
    server.add_credentials("temporary", "secret", token="token-canary")
    answer = await wire.ask(
        "PUT", "/a", headers, b"", secret_id="temporary", secret_key="wrong-canary"
    )
    assert answer.code == "SignatureDoesNotMatch"
    assert b"canary" not in answer.body
    assert b"x-cos-security-token" in answer.body


@pytest.mark.parametrize(
    ("now", "status", "code"),
    [
        (-700, 403, "AccessDenied"),
        (+300, 403, "AccessDenied"),
        (+3600, 403, "RequestTimeTooSkewed"),
    ],
)
async def test_signature_outside_its_window_is_refused(wire, now, status, code):
    """A signature that is too old, or from the future, is refused."""
    answer = await wire.ask("GET", "/", now=time.time() + now)
    assert (answer.status, answer.code) == (status, code)
    if code == "AccessDenied":
        assert answer.xml("Message") == "Request has expired"


async def test_server_clock_can_be_wrong(server, wire):
    """With the server's clock six hours ahead the Date shows it and signatures are too old."""
    server.clock.skew(6 * 3600)
    answer = await wire.ask("GET", "/")
    assert answer.xml("Message") == "Request has expired"
    hour = time.gmtime(time.time() + 6 * 3600).tm_hour
    assert f" {hour:02d}:" in answer.headers["Date"]


async def test_unknown_key_is_refused(wire):
    """A key id nobody registered is refused as such."""
    answer = await wire.ask("GET", "/", secret_id="AKIDnobody")
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize("host", [HOST, f"{HOST}:80", HOST.upper(), None])
async def test_host_may_be_signed_with_or_without_port_or_not_at_all(server, wire, stored, host):
    """Clients differ in the host they sign; all of their ways are accepted."""
    sent = f"{HOST}:{server.port}"
    signed = {} if host is None else {"host": sent if ":" in host else HOST}
    fields = wire.fields("GET", "/a b", [], signed)
    headers = {"host": host if host == HOST.upper() else sent}
    answer = await ask(wire, fields, target="/a%20b", headers=headers)
    assert answer.body == b"content"


async def test_unlisted_headers_and_parameters_are_not_judged(wire, stored):
    """A parameter that the signature does not list may be anything, as on COS."""
    fields = wire.fields("GET", "/", [], {"host": HOST})
    answer = await ask(wire, fields, target="/?max-keys=5", headers={"host": HOST})
    assert answer.xml("MaxKeys") == "5"


async def test_two_spellings_of_a_parameter_are_refused(wire, stored):
    """A parameter cannot come once as signed and once more, spelled differently, as wished."""
    fields = wire.fields("GET", "/", [("max-keys", "5")], {"host": HOST})
    target = "/?max-keys=9&Max-Keys=5"
    assert (await ask(wire, fields, target=target, headers={"host": HOST})).status == 403


async def test_plus_in_a_query_is_a_space(server, wire):
    """A space in the query may come as plus, and is signed as %20."""
    await server.put(BUCKET, "x y", b"")
    fields = wire.fields("GET", "/", [("prefix", "x y")], {"host": HOST})
    answer = await ask(wire, fields, target="/?prefix=x+y", headers={"host": HOST})
    assert answer.all("Contents/Key") == ["x y"]


async def test_presigned_url(wire, stored):
    """A URL that carries its signature is served, and not after its time."""
    params = [("response-content-type", "text/x")]
    fields = wire.fields("GET", "/a b", params, {"host": HOST})
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    target = f"/a%20b?{query}&response-content-type=text%2Fx"
    answer = await wire.ask("GET", target, signed=False)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/x")
    wire.server.clock.skew(3600)
    assert (await wire.ask("GET", target, signed=False)).status == 403


async def test_temporary_credentials(server, wire, stored):
    """A temporary key works with its token, not without, and not once it has expired."""
    expires = server.clock.now() + 1800
    server.add_credentials("temporary", "secret", token="good", expires=expires)
    keys = {"secret_id": "temporary", "secret_key": "secret"}
    good = {"x-cos-security-token": "good"}
    assert (await wire.ask("GET", "/a%20b", good, **keys)).status == 200
    in_query = await wire.ask("GET", f"/a%20b?x-cos-security-token={encode('good')}", **keys)
    assert in_query.status == 200
    for headers in ({}, {"x-cos-security-token": "bad"}):
        answer = await wire.ask("GET", "/a%20b", headers, **keys)
        assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    server.clock.advance(hours=1)
    answer = await wire.ask("GET", "/a%20b", good, **keys)
    assert (answer.status, answer.code) == (400, "ExpiredToken")


async def test_anonymous_reads_need_a_public_object(wire):
    """Without a signature only what is public can be read, and nothing written."""
    await wire.ask("PUT", "/open", {"x-cos-acl": "public-read"}, b"open")
    await wire.ask("PUT", "/closed", {}, b"closed")
    for headers in ({}, {"authorization": ""}):
        answer = await wire.ask("GET", "/open", headers, signed=False)
        assert answer.body == b"open"
    for method, target in [("GET", "/closed"), ("GET", "/none"), ("GET", "/"), ("PUT", "/open")]:
        body = b"x" if method == "PUT" else None
        answer = await wire.ask(method, target, {}, body, signed=False)
        assert (answer.status, answer.code) == (403, "AccessDenied")


async def test_another_account_sees_nothing_of_ours(server, wire, stored):
    """Another account neither reads our bucket nor finds it in its list."""
    server.add_credentials("other", "secret", appid="1259999999")
    keys = {"secret_id": "other", "secret_key": "secret"}
    assert (await wire.ask("GET", "/a%20b", **keys)).status == 403
    listing = await wire.ask("GET", "/", host="service.cos.myqcloud.com", **keys)
    assert listing.all("Buckets/Bucket/Name") == []
    taken = await wire.ask("PUT", "/", {}, b"", **keys)
    assert (taken.status, taken.code) == (409, "BucketAlreadyExists")


async def test_open_server_checks_nobody():
    """A server told to be anonymous serves unsigned requests, but only on loopback."""
    async with CosEmulator(anonymous=True) as server:
        wire = Wire(server)
        assert (await wire.ask("PUT", "/k", {}, b"v", signed=False)).status == 200
        assert (await wire.ask("GET", "/k", signed=False)).body == b"v"
    with pytest.raises(ValueError, match="loopback"):
        CosEmulator(host="0.0.0.0", anonymous=True)


async def test_records_and_log_hold_no_secret(server, wire, caplog):
    """What the server remembers and logs of a request shows no secret."""
    caplog.set_level(logging.DEBUG)
    server.add_credentials("temporary", "secret-canary", token="token-canary")
    headers = {
        "x-cos-security-token": "token-canary",
        "x-cos-server-side-encryption-customer-key": "key-canary",
    }
    await wire.ask("GET", "/a", headers, secret_id="temporary", secret_key="secret-canary")
    fields = wire.fields("GET", "/a", [], {"host": HOST})
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    await wire.ask("GET", f"/a?{query}&x-cos-security-token=token-canary", signed=False)
    await wire.raw(b"GET / HTTP/1.1\r\nhost: x\r\nauthorization canary\r\n\r\n")
    remembered = repr(server.requests)
    assert "canary" not in remembered + caplog.text
    assert fields["q-signature"] not in remembered + caplog.text
    assert repr(server.requests[0].headers).count("***") == 3


def test_default_secrets_are_random():
    """Two servers started without credentials do not share any."""
    first, second = CosEmulator(), CosEmulator()
    assert first.secret_key != second.secret_key
    assert first.secret_id != second.secret_id
    assert len(first.secret_key) >= 32

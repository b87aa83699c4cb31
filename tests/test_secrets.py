"""No key, token or signature gets into a log line, an error, a repr or a pickle.

Canaries are put where secrets go, whatever can go wrong is made to go wrong, and
everything that could be read afterwards is searched for them.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import pickle
import re
import traceback
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from aiocos import (
    CosConfig,
    CosException,
    CosS3Client,
    Credentials,
    ParameterError,
    RetryPolicy,
    Timeouts,
    signing,
)
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.operations.objects import PUT_OBJECT
from tests.conftest import BUCKET
from tests.support.relay import Relay
from tests.support.traces import Traces

SECRET_KEY = "canarySecretKey0123456789abcdefABCDEF"
TOKEN = "canaryToken.0123456789-abcdef_ABCDEF"
CUSTOMER_KEY = base64.b64encode(b"canary: a customer's own key, 32").decode()
CUSTOMER = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": CUSTOMER_KEY,
    "SSECustomerKeyMD5": base64.b64encode(
        hashlib.md5(base64.b64decode(CUSTOMER_KEY), usedforsecurity=False).digest()
    ).decode(),
}
COPY_CUSTOMER = {f"CopySource{name}": value for name, value in CUSTOMER.items()}
SOURCE = {"Bucket": BUCKET, "Key": "there", "Region": "ap-guangzhou"}
PART = {"MultipartUpload": {"Part": [{"PartNumber": 1, "ETag": '"e"'}]}}


class Listening(Relay):
    """Passes on, and remembers what the client sent."""

    def __init__(self, onward):
        super().__init__(onward)
        self.heard = bytearray()

    async def talk(self, reader, writer):
        original = reader.read

        async def read(size):
            piece = await original(size)
            self.heard += piece
            return piece

        reader.read = read
        await super().talk(reader, writer)

    def signatures(self):
        return set(re.findall(r"q-signature=([0-9a-f]{40})", self.heard.decode("latin-1")))


CALLS = {
    "put": lambda c: c.put_object(BUCKET, b"x" * 300_000, "a", **CUSTOMER),
    "get": lambda c: read(c.get_object(BUCKET, "there", **CUSTOMER)),
    "head": lambda c: c.head_object(BUCKET, "there", **CUSTOMER),
    "list": lambda c: c.list_objects(BUCKET),
    "delete": lambda c: c.delete_objects(BUCKET, {"Object": [{"Key": "none"}]}),
    "copy": lambda c: c.copy_object(BUCKET, "b", SOURCE, **CUSTOMER, **COPY_CUSTOMER),
    "part": lambda c: c.upload_part(BUCKET, "a", b"x", 1, "none", **CUSTOMER),
    "complete": lambda c: c.complete_multipart_upload(BUCKET, "a", "none", **PART),
    "append": lambda c: c.append_object(BUCKET, "log", 0, b"x" * 300_000),
}


async def read(getting):
    response = await getting
    return await response["Body"].read()


# What a server that explains a refused signature repeats, and what an echo would.
ALL_THAT_WAS_SIGNED = quote(
    f"x-cos-security-token={TOKEN}&x-cos-server-side-encryption-customer-key={CUSTOMER_KEY}",
    safe="&=",
)
ECHO = (
    f"authorization: q-sign-algorithm=sha1&amp;q-ak=AKID&amp;q-signature={'ca' * 20}\n"
    f"X-Cos-Security-Token: {TOKEN}\n"
    f"x-cos-server-side-encryption-customer-key: {CUSTOMER_KEY}\n"
    f'"x-cos-security-token": "{TOKEN}"'
)
EXPLAINED = (
    "<Error><Code>SignatureDoesNotMatch</Code><Message>m</Message>"
    f"<StringToSign>sha1\n1;2\n{'0' * 40}\n</StringToSign>"
    f"<FormatString>put\n/a\n\n{ALL_THAT_WAS_SIGNED.replace('&', '&amp;')}\n</FormatString></Error>"
)
ECHOED = "<Error><Code>{code}</Code><Message>{echo}</Message><Resource>{echo}</Resource></Error>"

FAULTS = {
    "none": {},
    "explained 403": {"status": 403, "body": EXPLAINED},
    "echo in 400": {"status": 400, "body": ECHOED.format(code="InvalidRequest", echo=ECHO)},
    "echo in 503": {"status": 503, "body": ECHOED.format(code="SlowDown", echo=ECHO)},
    "echo in 200": {"status": 200, "body": ECHOED.format(code="AccessDenied", echo=ECHO)},
    "echo as page": {"status": 200, "body": f"<html>{ECHO}</html>"},
    "echo as text": {"status": 400, "body": ECHO},
    "echo in header": {"status": 400, "headers": {
        "x-cos-error-code": "Bad", "x-cos-error-message": ECHO.replace("\n", " "),
    }},
    "redirect": {"status": 307, "location": f"http://127.0.0.2/a?x-cos-security-token={TOKEN}"},
    "expired token": {"expired_token": True},
    "403": {"status": 403},
    "404": {"status": 404},
    "409": {"status": 409},
    "412": {"status": 412},
    "416": {"status": 416},
    "429": {"status": 429},
    "500": {"status": 500},
    "501": {"status": 501},
    "502": {"status": 502},
    "503": {"status": 503, "headers": {"Retry-After": "0"}},
    "504": {"status": 504},
    "error in 200": {"error_in_200": "InternalError"},
    "not XML": {"body": "<ListBucketResult><Con"},
    "empty": {"truncate_hide": 0},
    "raw": {"raw": "HTTP/1.1 OK\r\n\r\n"},
    "not HTTP": {"raw": "SSH-2.0-OpenSSH\r\n"},
    "wrong lengths": {"raw": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"},
    "bad header": {"raw": "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"},
    "no answer": {"blackhole": True},
    "reset at once": {"reset_request": 0},
    "reset in body": {"reset_request": 100_000},
    "answer lost": {"lose_response": True},
    "answer reset": {"reset_response": 1},
    "answer cut": {"close_response": 1},
    "answer stalls": {"stall": 1},
    "byte flipped": {"corrupt": 3},
    "byte flipped on the way in": {"corrupt_request": 9},
    "no checksum": {"omit_crc": True, "corrupt": 3},
    "clock wrong": {"clock_skew": 3600.0},
    "range ignored": {"ignore_range": True},
}  # fmt: skip


def everything(error: BaseException) -> str:
    """All that can be read of an error, by whatever way it is looked at."""
    seen = ["".join(traceback.format_exception(error))]
    chain = [error]
    for item in chain:
        chain += [cause for cause in (item.__cause__, item.__context__) if cause is not None]
        seen += [str(item), repr(item), repr(getattr(item, "__notes__", "")), repr(item.args)]
        seen += [repr(vars(item))]
    if isinstance(error, CosException):
        getters = [name for name in dir(error) if name.startswith("get_")]
        seen += [str(getattr(error, name)()) for name in getters]
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
        seen += [repr(again), repr(vars(again)), pickle.dumps(error).decode("latin-1")]
    return "\n".join(seen)


def canaries(*more: str) -> list[str]:
    plain = [SECRET_KEY, TOKEN, CUSTOMER_KEY, CUSTOMER_KEY.rstrip("="), "ca" * 20, *more]
    return [*plain, *(quote(text, safe="") for text in plain)]


def found_in(text: str, *more: str) -> set[str]:
    return {canary for canary in canaries(*more) if canary in text}


def settings_of(emulator: CosEmulator, port: int, **changes) -> dict[str, object]:
    given = {"SecretId": "AKIDcanary", "SecretKey": SECRET_KEY, "Token": TOKEN, "Port": port}
    return {**emulator.settings(), **given, **changes}


@pytest.fixture
async def listening(emulator):
    emulator.add_credentials("AKIDcanary", SECRET_KEY, TOKEN)
    await emulator.put(BUCKET, "there", bytes(100_000))
    async with Listening(emulator.port) as relay:
        yield relay


QUICK = {
    "retry": RetryPolicy(max_attempts=2, base=0.001, throttle_base=0.001),
    "Timeouts": Timeouts(connect=0.5, response_header=0.2, idle=0.2, complete=0.2),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_secret_is_told_whatever_goes_wrong(
    emulator, make_client, listening, caplog, capfd, fault
):
    """Row 44: 9 calls through each of 40 faults; errors, logs, traces, pickles, output."""
    caplog.set_level(1)
    traces = Traces(keys=True)
    given = settings_of(emulator, listening.port)
    client = make_client(**QUICK, telemetry=traces.telemetry, **given)
    told = []
    if FAULTS[fault]:
        fired = emulator.add_fault(FaultRule(**FAULTS[fault]))
    for call in CALLS.values():
        try:
            result = await call(client)
            told.append("" if isinstance(result, bytes) else repr(result))
        except CosException as error:
            told.append(everything(error))
    assert not FAULTS[fault] or fired.fired >= len(CALLS)
    signatures = listening.signatures()
    assert len(signatures) >= 1
    assert TOKEN.encode() in listening.heard  # the canaries did travel
    assert CUSTOMER_KEY.encode() in listening.heard
    formatter = logging.Formatter("%(name)s %(message)s %(args)s")
    told += [formatter.format(record) for record in caplog.records]
    told += [*capfd.readouterr(), traces.everything()]
    assert len(traces.spans()) >= 2 * len(CALLS)
    assert found_in("\n".join(told), *signatures) == set()
    assert len(told) >= len(CALLS)


async def test_a_wrong_key_tells_neither_key(emulator, make_client, listening, caplog):
    """Row 44: a refused signature is explained without the key, the token or the signature."""
    caplog.set_level(1)
    wrong = SECRET_KEY[::-1]
    client = make_client(**QUICK, **settings_of(emulator, listening.port, SecretKey=wrong))
    with pytest.raises(CosException, match="SecretKey") as caught:
        await client.put_object(BUCKET, b"x", "a", **CUSTOMER)
    text = everything(caught.value) + caplog.text
    assert found_in(text, wrong, *listening.signatures()) == set()


async def test_a_presigned_address_stays_with_who_asked(emulator, make_client, listening, caplog):
    """Row 44: making a presigned URL logs nothing, and its query is in no error afterwards."""
    caplog.set_level(1)
    client = make_client(**QUICK, **settings_of(emulator, listening.port))
    url = await client.get_presigned_url(BUCKET, "a", "GET")
    query = parse_qs(urlsplit(url).query)
    (signature,) = query["q-signature"]
    assert query["x-cos-security-token"] == [TOKEN]
    body = (
        f"<Error><Code>AccessDenied</Code><Resource>{url.replace('&', '&amp;')}</Resource></Error>"
    )
    for rule in ({"status": 403, "body": body}, {"status": 302, "location": url}):
        emulator.heal()
        fault = emulator.add_fault(FaultRule(**rule))
        with pytest.raises(CosException) as caught:
            await client.get_object(BUCKET, "a")
        assert found_in(everything(caught.value), signature) == set()
        assert fault.fired == 1
    assert found_in(caplog.text, signature) == set()


def config(**changes) -> CosConfig:
    given = {"Region": "ap-guangzhou", "SecretId": "AKID", "SecretKey": SECRET_KEY, "Token": TOKEN}
    return CosConfig(**{**given, **changes})


async def test_reprs_show_no_secret():
    """Row 44: the reprs of configuration, client, credentials, request and signature are clean."""
    signature = signing.sign(
        method="GET", path="/", params=(), headers=[("x-cos-security-token", TOKEN)],
        secret_id="AKID", secret_key=SECRET_KEY, now=0, expire_s=1,
    )  # fmt: skip
    async with CosS3Client(config()) as client:
        session = await client._ready()
        request = client._request(session, PUT_OBJECT, CUSTOMER, BUCKET, "a")
        signed = await session.signer.sign(request, request.target, is_repeat=False, refused=None)
        objects = [
            client, client.config, config(CredentialInstance=Credentials("AKID", SECRET_KEY)),
            Credentials("AKID", SECRET_KEY, TOKEN), request, signed, signature, session,
            session.signer, client.iter_objects(BUCKET), client.get_object(BUCKET, "a", **CUSTOMER),
        ]  # fmt: skip
        text = "\n".join(f"{item!r} {item}" for item in objects)
        objects[-1].close()
    assert CUSTOMER_KEY in str(request.headers)  # it is in there, and is not shown
    assert found_in(text, signature.value) == set()


BAD = [
    lambda c: c.put_object(BUCKET, b"", "a", SSECustomerKey=CUSTOMER_KEY + "\n"),
    lambda c: c.get_object(BUCKET, "a", SSECustomerKey=CUSTOMER_KEY + "é"),
    lambda c: c.copy_object(BUCKET, "a", SOURCE, CopySourceSSECustomerKey=CUSTOMER_KEY + "\0"),
    lambda c: c.put_object(BUCKET, b"", "a", SSECustomerKey=CUSTOMER_KEY.encode()),
    lambda c: c.get_auth("GET", BUCKET, "a", Headers={"x-cos-security-token": TOKEN + "\n"}),
    lambda c: c.get_auth("GET", BUCKET, "a", Headers={"Authorization": TOKEN + "\n"}),
]


@pytest.mark.parametrize("call", BAD)
async def test_a_secret_with_a_typing_error_is_not_repeated(call):
    """Row 44: a key that was read with its line break is refused without being shown."""
    async with CosS3Client(config()) as client:
        with pytest.raises(ParameterError) as caught:
            await call(client)
    assert found_in(everything(caught.value)) == set()


@pytest.mark.parametrize(
    "given",
    [
        {"SecretKey": SECRET_KEY + "\n"},
        {"SecretKey": " " + SECRET_KEY},
        {"SecretKey": SECRET_KEY + "é"},
        {"Token": TOKEN + "\r\n"},
        {"Token": TOKEN + "é"},
        {"Token": TOKEN.encode()},
        {"SecretKey": SECRET_KEY.encode()},
        {"Region": "a/b"},
        {"Proxies": {"http": f"ftp://user:{SECRET_KEY}@proxy"}},
    ],
)
def test_a_configuration_that_is_refused_keeps_its_secrets(given):
    """Row 44: an error about a configuration does not repeat the keys in it."""
    with pytest.raises(ParameterError) as caught:
        config(**given)
    assert found_in(everything(caught.value)) == set()

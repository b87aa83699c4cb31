"""A refused signature is explained: which line differs, by what, and what likely did it."""

from __future__ import annotations

import hashlib

import pytest

from aiocos import AccessDeniedError, CosServiceError, SignatureError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.capture import CaptureServer, Reply
from tests.support.relay import Relay

HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
TOKEN = "canaryToken0123456789"
CUSTOMER_KEY = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5MTI="
SECRET = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": CUSTOMER_KEY,
    "SSECustomerKeyMD5": "7MFoRRN0MdjrlSDT0tECzw==",
}


class Meddler(Relay):
    """A proxy that rewrites requests on their way."""

    def __init__(self, onward, old, new):
        super().__init__(onward)
        self._old, self._new = old, new
        self.rewritten = 0

    async def talk(self, reader, writer):
        original = reader.read

        async def read(size):
            piece = await original(size)
            self.rewritten += self._old in piece
            return piece.replace(self._old, self._new)

        reader.read = read
        await super().talk(reader, writer)


async def put(client):
    await client.put_object(BUCKET, b"x", "dir/a b", ContentType="text/plain", **SECRET)


async def listing(client):
    await client.list_objects(BUCKET, Prefix="dir/")


# What the proxy replaces, and what the explanation must name: line, place, both values, cause.
MEDDLING = {
    "path": (
        put, b"PUT /dir/a%20b ", b"PUT /dir/a%2520b ",
        ["Line 2", "(path)", "'/dir/a b'", "'/dir/a%20b'", "encoded twice"],
    ),
    "path normalised": (
        put, b"PUT /dir/a%20b ", b"PUT /a%20b ",
        ["Line 2", "(path)", "'/dir/a b'", "'/a b'", "rewrote the path"],
    ),
    "parameter": (
        listing, b"max-keys=1000", b"max-keys=0005",
        ["Line 3", "'max-keys'", "'1000'", "'0005'", "parameter"],
    ),
    "parameter removed": (
        listing, b"prefix=dir%2F&", b"",
        ["Line 3", "'prefix'", "'dir%2F'", "nothing", "removed"],
    ),
    "header": (
        put, b"Content-Type: text/plain", b"Content-Type: text/p1ain",
        ["Line 4", "'content-type'", "'text%2Fplain'", "'text%2Fp1ain'", "signed header"],
    ),
    "host": (
        put, b"cos.ap-guangzhou.", b"cos.ap-beijing.",
        ["Line 4", "'host'", "guangzhou", "beijing", "SignHost=False"],
    ),
}  # fmt: skip


@pytest.fixture
def known(emulator, make_client):
    """Makes clients of one account with a temporary key; keywords change the configuration."""
    emulator.add_credentials("AKIDcanary", "canarySecretKey", TOKEN)
    given = {"SecretId": "AKIDcanary", "SecretKey": "canarySecretKey", "Token": TOKEN}
    return lambda **changes: make_client(**{**given, **changes})


def told(error: SignatureError) -> str:
    """All that the error says, which must not be a secret."""
    text = f"{error}{error!r}{error.get_origin_msg()}"
    for secret in (TOKEN, CUSTOMER_KEY, CUSTOMER_KEY.rstrip("="), "canarySecretKey"):
        assert secret not in text
    return str(error)


@pytest.mark.parametrize("what", MEDDLING)
async def test_what_a_proxy_changed_is_named(emulator, known, what):
    """The first line that differs is named with both its values and the likely cause."""
    call, old, new, expected = MEDDLING[what]
    async with Meddler(emulator.port, old, new) as proxy:
        client = known(Port=proxy.port)
        with pytest.raises(SignatureError) as caught:
            await call(client)
        assert proxy.rewritten == 1
    text = told(caught.value)
    assert [part for part in expected if part not in text] == []
    assert caught.value.code == "SignatureDoesNotMatch"
    assert len(emulator.requests) == 1
    assert client.get_retry_exe_times() == 0


@pytest.mark.parametrize("call", [put, listing])
async def test_a_wrong_key_is_the_key(emulator, known, call):
    """Where both sides signed the same text, the key is what is wrong; nothing else is blamed."""
    client = known(SecretKey="canarySecretKez")
    with pytest.raises(SignatureError) as caught:
        await call(client)
    text = told(caught.value)
    assert "Both sides signed the same request" in text
    assert "SecretKey" in text
    assert "canarySecretKez" not in text
    assert "Line" not in text
    assert len(emulator.requests) == 1


def refusal(*details: str) -> Reply:
    document = f"<Error><Code>SignatureDoesNotMatch</Code>{''.join(details)}</Error>".encode()
    return Reply(403, (("Content-Length", str(len(document))),), document)


OURS = f"get\n/a\n\nhost={HOST}\n"
"""The text that is signed for a GET of ``a``, by the documented rule."""
DIGEST = hashlib.sha1(OURS.encode()).hexdigest()
SAME_KEY = "does not belong to the SecretId"

# What a server says of what it computed, and what follows from it.
SAID = {
    "all the same": (
        [f"<FormatString>{OURS}</FormatString>"], ["Both sides", SAME_KEY],
    ),
    "Windows line ends": (
        [f"<FormatString>{OURS}</FormatString>".replace("\n", "&#13;\n")], ["Both sides", SAME_KEY],
    ),
    "only our StringToSign": (
        [f"<StringToSign>sha1\n1;2\n{DIGEST}\n</StringToSign>"], ["Both sides", SAME_KEY],
    ),
    "only another StringToSign": (
        [f"<StringToSign>sha1\n1;2\n{'0' * 40}\n</StringToSign>"], ["did not say", SAME_KEY],
    ),
    "nothing": ([], ["did not say", SAME_KEY, "SignHost=False", "encoded twice"]),
    "empty": (["<FormatString/><StringToSign/>"], ["did not say"]),
    "method": (
        [f"<FormatString>{OURS.replace('get', 'head')}</FormatString>"],
        ["Line 1", "(method)", "'get'", "'head'"],
    ),
    "added parameter": (
        [f"<FormatString>get\n/a\nx-proxy=1\nhost={HOST}\n</FormatString>"],
        ["Line 3", "'x-proxy'", "we signed nothing", "'1'", "added"],
    ),
    "added secret": (
        [f"<FormatString>get\n/a\nx-cos-security-token=other&amp;x=1\nhost={HOST}\n</FormatString>"],
        ["Line 3", "'x'"],
    ),
    "host without port": (
        ["<FormatString>get\n/a\n\nhost=files.example\n</FormatString>"],
        ["Line 4", "'host'", "'files.example'", "sign for that Domain"],
    ),
    "several headers": (
        [f"<FormatString>get\n/a\n\ncontent-type=x&amp;host={HOST}\n</FormatString>"],
        ["Line 4", "'content-type'", "nothing", "'x'"],
    ),
    "cut short": (["<FormatString>get\n/a</FormatString>"], ["Line 4", "'host'", "nothing"]),
    "nonsense": (["<FormatString>?</FormatString>"], ["Line 1"]),
    "foreign text": (["<FormatString>get\n/中\n\n\n</FormatString>"], ["Line 2", "'/中'"]),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
async def test_whatever_the_server_says_is_made_use_of(make_client, what):
    """All, half or nothing of what the server computed: the error says what follows from it."""
    details, expected = SAID[what]
    async with CaptureServer([refusal(*details)]) as server:
        client = make_client(Port=server.port)
        with pytest.raises(SignatureError) as caught:
            await client.get_object(BUCKET, "a")
    text = told(caught.value)
    assert [part for part in expected if part not in text] == []
    assert len(server.requests) == 1


async def test_a_refusal_without_a_body_is_still_typed(emulator, known):
    """HEAD brings no explanation; a refused one is AccessDeniedError and not repeated."""
    client = known(SecretKey="canarySecretKez")
    with pytest.raises(AccessDeniedError) as caught:
        await client.head_object(BUCKET, "a")
    assert caught.value.status == 403
    assert emulator.count("HeadObject") == 1


async def test_the_code_decides_and_not_the_status(emulator, known):
    """A 403 for another reason is not explained as a signature."""
    fault = emulator.add_fault(FaultRule(operation="GetObject", status=403, code="AccessDenied"))
    with pytest.raises(AccessDeniedError) as caught:
        await known().get_object(BUCKET, "a")
    assert not isinstance(caught.value, SignatureError)
    assert "SecretKey" not in str(caught.value)
    assert fault.fired == 1


async def test_what_follows_a_message_is_a_sentence_of_its_own(make_client):
    """The explanation of a refused HEAD begins behind a full stop, and there is but one."""
    for status, end in ((404, "Not Exist. No such object"), (403, "Unknown. An answer")):
        async with CaptureServer([Reply(status, (("Content-Length", "0"),))]) as server:
            with pytest.raises(CosServiceError) as caught:
                await make_client(Port=server.port).head_object(BUCKET, "a")
        assert end in str(caught.value)
        assert ".." not in str(caught.value)

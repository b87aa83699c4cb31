"""Nothing a caller gives can become a header of its own, and metadata comes back unharmed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiocos import (
    CosConfig,
    CosException,
    CosS3Client,
    Credentials,
    ParameterError,
    user_metadata,
)
from aiocos.operations import appending, objects
from aiocos.operations.spec import Header
from tests.conftest import BUCKET
from tests.support.capture import CaptureServer, Reply
from tests.support.doorbell import Doorbell

PAYLOADS = {
    "crlf": "a\r\nx-cos-acl: public-read",
    "cr": "a\rb",
    "lf": "a\nb",
    "nul": "a\0b",
    "not latin-1": "a中b",
    "latin-1": "aéb",
    "control": "a\x1bb",
    "delete": "a\x7fb",
}
# Payloads that percent-encoding makes harmless, in the one field that has it.
ENCODED_IN_METADATA = {"not latin-1", "latin-1"}


def put(**options):
    async def call(client):
        await client.put_object(BUCKET, b"x", "a", **options)

    return call


FIELDS = {
    "Metadata name": lambda text: put(Metadata={f"x-cos-meta-{text}": "1"}),
    "Metadata value": lambda text: put(Metadata={"x-cos-meta-a": text}),
    "ContentType": lambda text: put(ContentType=text),
    "CacheControl": lambda text: put(CacheControl=text),
    "ContentDisposition": lambda text: put(ContentDisposition=text),
    "ContentEncoding": lambda text: put(ContentEncoding=text),
    "Expires": lambda text: put(Expires=text),
    "Tagging": lambda text: put(Tagging=text),
    "Referer": lambda text: put(Referer=text),
    "GrantRead": lambda text: put(GrantRead=text),
    "SSECustomerKey": lambda text: put(SSECustomerKey=text),
    "Bucket": lambda text: lambda client: client.put_object(text, b"x", "a"),
    "CopySource Bucket": lambda text: (
        lambda client: client.copy_object(
            BUCKET, "a", {"Bucket": text, "Key": "a", "Region": "ap-guangzhou"}
        )
    ),
    "CopySource Appid": lambda text: (
        lambda client: client.copy_object(
            BUCKET, "a", {"Bucket": "b", "Key": "a", "Region": "ap-guangzhou", "Appid": text}
        )
    ),
    "CopySource Region": lambda text: (
        lambda client: client.copy_object(
            BUCKET, "a", {"Bucket": BUCKET, "Key": "a", "Region": text}
        )
    ),
    "CopySource Endpoint": lambda text: (
        lambda client: client.copy_object(
            BUCKET, "a", {"Bucket": BUCKET, "Key": "a", "Endpoint": text}
        )
    ),
    "presigned header": lambda text: (
        lambda client: client.get_presigned_url(BUCKET, "a", "GET", Headers={"Range": text})
    ),
}


CASES = [
    (field, payload)
    for field in FIELDS
    for payload in PAYLOADS
    if (field, payload) not in {("Metadata value", name) for name in ENCODED_IN_METADATA}
]


@pytest.mark.parametrize(("field", "payload"), CASES)
async def test_a_line_break_in_an_argument_is_refused(field, payload):
    """Row 40: a control or foreign character in a field raises before any connection."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        with pytest.raises(ParameterError):
            await FIELDS[field](PAYLOADS[payload])(client)
    assert door.rings == 0


HEADER_OPTIONS = sorted(
    {
        (operation, keyword)
        for operation, row in {
            "put_object": objects.PUT_OBJECT,
            "get_object": objects.GET_OBJECT,
            "append_object": appending.APPEND_OBJECT,
        }.items()
        for keyword, option in row.accepts.items()
        if isinstance(option.place, Header)
    }
)
BODIES = {"put_object": {"Body": b"x"}, "append_object": {"Position": 0, "Data": b"x"}}


@pytest.mark.parametrize(("operation", "keyword"), HEADER_OPTIONS)
async def test_every_header_option_refuses_every_payload(operation, keyword):
    """Row 40: each keyword that becomes a header refuses each payload, with its own name."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        for payload in PAYLOADS.values():
            with pytest.raises(ParameterError, match=keyword):
                await getattr(client, operation)(
                    Bucket=BUCKET, Key="a", **BODIES.get(operation, {}), **{keyword: payload}
                )
    assert door.rings == 0


CONFIGURED = [
    "Region", "Endpoint", "Domain", "ServiceDomain", "IP", "UA", "Appid", "Token",
    "SecretId", "SecretKey",
]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("parameter", CONFIGURED)
@pytest.mark.parametrize("anonymous", [False, True])
def test_a_configuration_refuses_line_breaks(parameter, payload, anonymous):
    """Row 40: a configuration with a control or foreign character cannot be made."""
    given = {
        "Region": "ap-guangzhou", "SecretId": "AKID", "SecretKey": "key", "Anonymous": anonymous,
        parameter: PAYLOADS[payload],
    }  # fmt: skip
    with pytest.raises(ParameterError) as caught:
        CosConfig(**given)
    if parameter in {"Token", "SecretKey"}:
        assert PAYLOADS[payload] not in str(caught.value)


class Rotating:
    """Credentials that turn bad after the client was made."""

    def __init__(self, **values: str) -> None:
        self.secret_id, self.secret_key, self.token = "AKID", "key", "token"
        vars(self).update(values)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("name", ["secret_id", "token", "secret_key"])
async def test_credentials_read_later_are_checked_as_well(name, payload):
    """Row 40: a bad token from a CredentialInstance is refused when it is read, unsent."""
    async with Doorbell() as door:
        given = door.settings() | {"SecretId": None, "SecretKey": None}
        config = CosConfig(**given, CredentialInstance=Rotating(**{name: PAYLOADS[payload]}))
        async with CosS3Client(config) as client:
            with pytest.raises(ParameterError):
                await client.head_object(BUCKET, "a")
    assert door.rings == 0
    with pytest.raises(ParameterError):
        Credentials(**{"secret_id": "AKID", "secret_key": "key", name: PAYLOADS[payload]})


async def test_a_header_is_sent_once_and_as_given():
    """What is harmless is sent unchanged: one line for each header, no line more."""
    reply = Reply(200, (("ETag", '"x"'), ("Content-Length", "0")))
    async with CaptureServer([reply]) as server:
        given = {"Region": "ap-guangzhou", "SecretId": "AKID", "SecretKey": "key", "UA": "mine/1"}
        config = CosConfig(**given, Scheme="http", IP="127.0.0.1", Port=server.port, Token="t")
        async with CosS3Client(config) as client:
            await client.put_object(
                BUCKET,
                b"x",
                "a",
                ContentDisposition="attachment; filename*=UTF-8''%E4%B8%AD.txt",
                Metadata={"X-Cos-Meta-A": "a: b; c=d, %41 ~"},
            )
    headers = server.requests[0].headers
    names = [name.lower() for name, _ in headers]
    assert len(set(names)) == len(names)
    sent = dict(headers)
    assert sent["Content-Disposition"] == "attachment; filename*=UTF-8''%E4%B8%AD.txt"
    assert sent["X-Cos-Meta-A"] == "a: b; c=d, %41 ~"
    assert sent["User-Agent"] == "mine/1"
    assert sent["x-cos-security-token"] == "t"
    assert server.requests[0].body == b"x"


FOREIGN = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda text: not text.isascii()
)
PLAIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60).map(str.strip)


@settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(foreign=st.lists(FOREIGN, min_size=1, max_size=4), plain=PLAIN)
async def test_metadata_that_is_not_ascii_comes_back_identical(client, emulator, foreign, plain):
    """Row 40: any Unicode text in metadata, line breaks and edge spaces too, survives the way."""
    metadata = {f"x-cos-meta-{number}": text for number, text in enumerate(foreign)}
    if "%" not in plain:
        metadata["x-cos-meta-plain"] = plain
    await client.put_object(BUCKET, b"x", "a", Metadata=metadata)
    head = await client.head_object(BUCKET, "a")
    assert user_metadata(head) == metadata
    sent = dict(emulator.requests[-2].headers)
    assert all(sent[name].isascii() and sent[name].isprintable() for name in metadata)
    assert {record.status for record in emulator.requests[-2:]} == {200}


@pytest.mark.parametrize("value", ["100%", "%41", "a%2Fb", "%zz", "%C3%28", "%E4%B8"])
async def test_a_percent_sign_in_plain_metadata_is_kept(client, value):
    """A value that only looks encoded comes back as it was given."""
    await client.put_object(BUCKET, b"x", "a", Metadata={"x-cos-meta-a": value})
    assert user_metadata(await client.head_object(BUCKET, "a")) == {"x-cos-meta-a": value}


@pytest.mark.parametrize(
    "line",
    ["x-cos-meta-a: %FF%FE", "x-cos-meta-a: \xe9", "x-cos-meta-b: %ED%A0%80", "ETag: \xff"],
)
async def test_a_hostile_answer_header_is_only_text(line):
    """Bytes that are no UTF-8 in an answer's header are a value or a typed error, no crash."""
    name, _, value = line.partition(": ")
    reply = Reply(200, ((name, value), ("Content-Length", "0")))
    async with CaptureServer([reply]) as server:
        given = {"Region": "ap-guangzhou", "SecretId": "AKID", "SecretKey": "key"}
        config = CosConfig(**given, Scheme="http", IP="127.0.0.1", Port=server.port)
        async with CosS3Client(config, retry=0) as client:
            try:
                head = await client.head_object(BUCKET, "a")
            except CosException:
                return
    assert isinstance(head[name], str)

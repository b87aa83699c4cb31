"""What is tried again, how often and how fast: by what the failure says was done."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import socket
import ssl
import time
from email.utils import formatdate

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts
from aiocos.emulator import FaultRule
from aiocos.operations.deleting import DELETE_OBJECT
from aiocos.request import Repeat
from aiocos.session import Session
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import HANG_UP, RESET, RawServer, ok

# A job of which a second one must never be begun; no operation of today is like this.
ONE_TIME = dataclasses.replace(DELETE_OBJECT, repeat=Repeat.NEVER)
CALLS = {
    "A": ("PutObject", lambda client: client.put_object(BUCKET, b"x", "k")),
    "B": ("AppendObject", lambda client: client.append_object(BUCKET, "log", 0, b"x")),
    "C": ("DeleteObject", lambda client: client._invoke(ONE_TIME, {}, Bucket=BUCKET, Key="k")),
}

# What befalls the first attempt, and what follows in each class of operations.
NOT_DONE = {
    "503": {"status": 503},
    "429": {"status": 429},
    "408": {"status": 408},
    "SlowDown": {"status": 503, "code": "SlowDown"},
    "RequestLimitExceeded": {"status": 400, "code": "RequestLimitExceeded"},
    "RequestTimeout": {"status": 400, "code": "RequestTimeout"},
}
UNKNOWN = {
    "500": {"status": 500},
    "502": {"status": 502, "body": "<html>bad gateway</html>"},
    "504": {"status": 504, "body": ""},
    "InternalError": {"status": 500, "code": "InternalError"},
    "InternalError in 400": {"status": 400, "code": "InternalError"},
    "error in a success": {"error_in_200": "InternalError"},
    "reset": {"reset_request": 0},
    "hung up": {"raw": ""},
    "answer lost": {"lose_response": True},
    "silence": {"blackhole": True},
    "not HTTP": {"raw": "SSH-2.0-OpenSSH\r\n"},
}
FINAL = [400, 401, 403, 404, 405, 409, 411, 412, 413, 416, 451, 501]


@pytest.fixture
def hasty(make_client):
    return make_client(Timeouts=Timeouts(response_header=0.5))


def strike(emulator, operation, **rule):
    return emulator.add_fault(FaultRule(operation=operation, **rule))


# -- the table


@pytest.mark.parametrize("group", CALLS)
@pytest.mark.parametrize("signal", NOT_DONE)
async def test_what_was_not_done_is_repeated(client, emulator, signal, group):
    """Row 21: where COS says that it is busy, every kind of operation is tried again."""
    operation, call = CALLS[group]
    fault = strike(emulator, operation, times=1, **NOT_DONE[signal])
    await call(client)
    assert (fault.fired, emulator.count(operation), len(emulator.requests)) == (1, 2, 2)
    assert client.get_retry_exe_times() == 1
    assert_nothing_left(client)


@pytest.mark.parametrize("group", CALLS)
@pytest.mark.parametrize("signal", UNKNOWN)
async def test_what_may_have_been_done(client, hasty, emulator, signal, group):
    """Row 24: a doubtful failure is repeated, or looked into first, or raised as doubtful."""
    operation, call = CALLS[group]
    client = hasty if signal == "silence" else client
    fault = strike(emulator, operation, times=1, **UNKNOWN[signal])
    if group == "C":
        with pytest.raises(aiocos.AmbiguousResultError, match="may or may not") as caught:
            await call(client)
        assert isinstance(caught.value.__cause__, aiocos.CosException)
        assert emulator.count(operation) == 1
    else:
        await call(client)
        looked = [record.operation for record in emulator.requests].count("HeadObject")
        is_applied = signal == "answer lost"
        assert looked == (1 if group == "B" else 0)
        assert emulator.count(operation) == (1 if group == "B" and is_applied else 2)
    assert fault.fired == 1
    assert_nothing_left(client)


@pytest.mark.parametrize("group", CALLS)
@pytest.mark.parametrize("status", FINAL)
async def test_a_refusal_is_final(client, emulator, status, group):
    """A refusal that a repeat would meet again is raised at once."""
    operation, call = CALLS[group]
    fault = strike(emulator, operation, status=status, code="Refused")
    with pytest.raises(aiocos.CosServiceError) as caught:
        await call(client)
    assert (caught.value.status, caught.value.code) == (status, "Refused")
    assert fault.fired == len(emulator.requests) == 1
    assert client.get_retry_exe_times() == 0
    assert_nothing_left(client)


@pytest.mark.parametrize("group", CALLS)
@pytest.mark.parametrize("cause", ["refused", "no such name", "not TLS"])
async def test_without_a_connection_nothing_was_sent(group, cause):
    """Row 24: where no connection came about, every kind of operation is tried five times."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with RawServer([[ok()]]) as server:
        changes = {
            "refused": {"Port": port},
            "no such name": {"IP": "nowhere.invalid", "Port": None},
            "not TLS": {"Scheme": "https"},
        }[cause]
        timeouts = Timeouts(connect=0.1)
        config = CosConfig(**(server.settings() | changes), Timeouts=timeouts)
        async with CosS3Client(config, retry=QUICK) as client:
            with pytest.raises(aiocos.TransportError) as caught:
                await CALLS[group][1](client)
            assert caught.value.sent is False
            assert client.get_retry_exe_times() == 4
            assert server.came == []
            assert_nothing_left(client)


async def test_a_certificate_that_nobody_vouches_for(tmp_path):
    """Row 24: a server whose certificate is not to be trusted is asked once, and told nothing."""
    async with (
        RawServer([[ok()]], tls=self_signed(tmp_path)) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        with pytest.raises(aiocos.TransportError, match="certificate") as caught:
            await client.put_object(BUCKET, b"x", "k")
        assert (caught.value.sent, caught.value.retryable) == (False, False)
        assert server.came == []
        assert client.get_retry_exe_times() == 0
        assert_nothing_left(client)


def self_signed(folder):
    """TLS settings of a server that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begun = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(begun).not_valid_after(begun.replace(year=2120))
    paths = folder / "certificate", folder / "key"
    paths[0].write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    return context


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_the_number_of_attempts(make_client, emulator, attempts):
    """Row 20: a call makes as many attempts as the policy allows, and the error counts them."""
    client = make_client(retry=dataclasses.replace(QUICK, max_attempts=attempts))
    fault = strike(emulator, "PutObject", status=503)
    with pytest.raises(aiocos.ThrottledError) as caught:
        await client.put_object(BUCKET, b"x", "k")
    assert fault.fired == attempts
    notes = getattr(caught.value, "__notes__", [])
    assert notes == ([] if attempts == 1 else [f"aiocos made {attempts} attempts"])
    marks = [dict(record.headers).get("x-cos-sdk-retry") for record in emulator.requests]
    assert marks == [None] + ["true"] * (attempts - 1)


async def test_each_attempt_is_signed_anew(make_client, emulator):
    """Row 21: each attempt asks for the credentials, and signs with those of that moment."""

    class Rotating:
        asked = 0

        async def get_credentials(self, *, refresh=False):
            self.asked += 1
            return aiocos.Credentials(f"AKID{self.asked}", f"key{self.asked}")

    emulator.add_credentials("AKID3", "key3")
    provider = Rotating()
    client = make_client(SecretId=None, SecretKey=None, CredentialInstance=provider)
    strike(emulator, "PutObject", times=2, status=503)
    await client.put_object(BUCKET, b"x", "k")
    assert provider.asked == emulator.count("PutObject") == 3
    assert await emulator.read(BUCKET, "k") == b"x"


# -- connections that had been closed


@pytest.mark.parametrize("end", [HANG_UP, RESET])
async def test_a_connection_closed_meanwhile_costs_no_attempt(end):
    """Row 24: a pooled connection that the server has closed is replaced at once, for free."""
    answers = [[ok(b"", 'ETag: "e"')], [end], [ok(b"", 'ETag: "e"')]]
    policy = RetryPolicy(max_attempts=1)
    async with (
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=policy) as client,
    ):
        await client.put_object(BUCKET, b"x", "a")
        await client.put_object(BUCKET, b"x", "b")
        assert [came.connection for came in server.came] == [1, 1, 2]
        assert server.came[2].header(b"x-cos-sdk-retry") == b"true"
        assert client.get_retry_exe_times() == 0
        assert_nothing_left(client)


async def test_only_one_such_repeat_is_free():
    """Row 24: a second failure of the same call counts like any other."""
    answers = [[ok(b"", 'ETag: "e"')], [HANG_UP]]
    policy = RetryPolicy(max_attempts=1)
    async with (
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=policy) as client,
    ):
        await client.put_object(BUCKET, b"x", "a")
        with pytest.raises(aiocos.TransportError):
            await client.put_object(BUCKET, b"x", "b")
        assert len(server.came) == 3
        assert_nothing_left(client)


async def test_a_new_connection_is_no_reason_for_a_free_repeat():
    """Row 24: a connection that fails at its first request is no stale one."""
    async with (
        RawServer([[HANG_UP]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=RetryPolicy(max_attempts=1)) as client,
    ):
        with pytest.raises(aiocos.TransportError):
            await client.put_object(BUCKET, b"x", "b")
        assert len(server.came) == 1


async def test_an_append_is_never_repeated_for_free():
    """Row 24: what may be done twice is not repeated unseen, also on a stale connection."""
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    answers = [[ok(b"", 'ETag: "e"')], [HANG_UP], [gone]]
    async with (
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=RetryPolicy(max_attempts=1)) as client,
    ):
        await client.put_object(BUCKET, b"x", "a")
        with pytest.raises(aiocos.TransportError):
            await client.append_object(BUCKET, "log", 0, b"x")
        methods = [came.line.split()[0] for came in server.came]
        assert methods == [b"PUT", b"POST", b"HEAD"]


# -- how often in all


@pytest.mark.parametrize("at_once", [1, 20])
async def test_a_storm_is_not_fed(client, emulator, at_once):
    """Row 20: while COS fails everything, a client adds no more than 100 requests of its own."""
    calls = 200
    strike(emulator, "PutObject", status=503)
    gate = asyncio.Semaphore(at_once)

    async def put(number):
        async with gate:
            with pytest.raises(aiocos.ThrottledError):
                await client.put_object(BUCKET, b"x", str(number))

    await asyncio.gather(*(put(number) for number in range(calls)))
    assert calls < emulator.count("PutObject") <= calls + 100
    assert client.get_retry_exe_times() == emulator.count("PutObject") - calls
    assert_nothing_left(client)


async def test_the_budget_comes_back(client, emulator):
    """Row 20: after the storm, each success earns a fifth of a retry."""
    strike(emulator, "PutObject", status=503)
    for _ in range(40):
        with pytest.raises(aiocos.ThrottledError):
            await client.put_object(BUCKET, b"x", "k")
    emulator.heal()
    for _ in range(10):
        await client.head_bucket(BUCKET)
    emulator.forget_requests()
    strike(emulator, "PutObject", status=503)
    with pytest.raises(aiocos.ThrottledError):
        await client.put_object(BUCKET, b"x", "k")
    assert emulator.count("PutObject") == 3


async def test_a_retry_that_succeeds_is_paid_back(client, emulator):
    """Row 20: retries that help never use the budget up."""
    fault = strike(emulator, "PutObject", every=2, status=503)
    for _ in range(150):
        await client.put_object(BUCKET, b"x", "k")
    assert fault.fired == client.get_retry_exe_times() == 150


# -- how long in between


def with_naps(client, policy, draw=max):
    """Give a client a session that notes its pauses instead of sleeping; return the notes."""
    naps = []

    async def nap(seconds):
        naps.append(seconds)

    client._session = Session(client.config, policy, sleep=nap, uniform=draw)
    return naps


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"status": 500}, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20.0, 20.0]),
        ({"status": 503}, [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0, 20.0, 20.0]),
        ({"status": 429}, [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0, 20.0, 20.0]),
    ],
)
async def test_the_longest_pauses(client, emulator, rule, expected):
    """Row 21: pauses are drawn up to a bound that doubles, ends at 20 s, is 1 s when busy."""
    naps = with_naps(client, RetryPolicy(max_attempts=11, deadline=None))
    strike(emulator, "PutObject", **rule)
    with pytest.raises(aiocos.CosServiceError):
        await client.put_object(BUCKET, b"x", "k")
    assert naps == pytest.approx(expected)


async def test_the_shortest_pauses(client, emulator):
    """Row 21: the whole of a pause is drawn by chance, down to none."""
    naps = with_naps(client, RetryPolicy(), draw=min)
    strike(emulator, "PutObject", status=503)
    with pytest.raises(aiocos.ThrottledError):
        await client.put_object(BUCKET, b"x", "k")
    assert naps == [0.0] * 4


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("draw", [min, max])
@pytest.mark.parametrize("told", ["5", "5.0", "date"])
async def test_retry_after_is_obeyed(client, emulator, told, draw, status):
    """Row 21: a Retry-After, in seconds or as a date, is waited for, and little longer."""
    naps = with_naps(client, RetryPolicy(), draw)
    now = time.time()
    headers = {"Retry-After": told}
    if told == "date":
        headers = {"Retry-After": formatdate(now + 3605), "Date": formatdate(now + 3600)}
    strike(emulator, "PutObject", times=1, status=status, headers=headers)
    await client.put_object(BUCKET, b"x", "k")
    assert len(naps) == 1
    assert 5.0 <= naps[0] <= 6.0


@pytest.mark.parametrize("told", ["", "x", "-3", "nan", "inf", "1e400", "9" * 400, "0", "²"])
async def test_a_retry_after_that_says_nothing(client, emulator, told):
    """Row 21: a Retry-After that is none is passed over, or raises the refusal: no more."""
    naps = with_naps(client, RetryPolicy(), max)
    strike(emulator, "PutObject", times=1, status=503, headers={"Retry-After": told})
    await client.put_object(BUCKET, b"x", "k")
    assert naps == [1.0]


@pytest.mark.parametrize(("told", "deadline"), [("61", 120.0), ("7", 5.0)])
async def test_a_retry_after_that_is_too_long(client, emulator, told, deadline):
    """Row 21: one that is longer than allowed is raised at once, and the error tells it."""
    naps = with_naps(client, RetryPolicy(deadline=deadline))
    fault = strike(emulator, "PutObject", status=503, headers={"Retry-After": told})
    with pytest.raises(aiocos.ThrottledError) as caught:
        await client.put_object(BUCKET, b"x", "k")
    assert caught.value.retry_after_s == float(told)
    assert (fault.fired, naps) == (1, [])

"""A wrong clock or an expired token is put right, once, and the call goes on."""

from __future__ import annotations

import asyncio
import time

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, Credentials, RetryPolicy
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import RawServer, ok

DAY = 86_400


async def get(client):
    async with (await client.get_object(BUCKET, "k"))["Body"] as body:
        assert await body.read() == b"content"


CALLS = {
    "PutObject": lambda client: client.put_object(BUCKET, bytes(300_000), "new"),
    "GetObject": get,
    "HeadObject": lambda client: client.head_object(BUCKET, "k"),
    "HeadBucket": lambda client: client.head_bucket(BUCKET),
    "ListObjects": lambda client: client.list_objects(BUCKET),
    "ListBuckets": lambda client: client.list_buckets(),
    "AppendObject": lambda client: client.append_object(BUCKET, "log", 0, b"line"),
    "DeleteObject": lambda client: client.delete_object(BUCKET, "k"),
    "CreateMultipartUpload": lambda client: client.create_multipart_upload(BUCKET, "new"),
}


@pytest.fixture(autouse=True)
async def stored(emulator):
    await emulator.put(BUCKET, "k", b"content")


# -- the clock


@pytest.mark.parametrize("skew", [-6 * DAY, -3_600, 3_600, 21_600, 6 * DAY])
@pytest.mark.parametrize("operation", CALLS)
async def test_a_wrong_clock_is_corrected(make_client, emulator, operation, skew):
    """Row 22: the first answer tells COS's time; the call is signed by it, and those after."""
    client = make_client(retry=RetryPolicy(max_attempts=1))
    emulator.clock.skew(skew)
    await CALLS[operation](client)
    assert (emulator.count(operation), emulator.count(operation, status=403)) == (2, 1)
    emulator.forget_requests()
    await client.list_objects(BUCKET)
    assert len(emulator.requests) == 1
    assert client.get_retry_exe_times() == 0
    assert_nothing_left(client)


@pytest.mark.parametrize("skew", [-3_600, 21_600])
async def test_a_corrected_clock_is_corrected_again(client, emulator, skew):
    """Row 22: when the clock that was wrong is set right, that is found out as well."""
    needed = []
    for now in (skew, 0, -skew, 0):
        emulator.clock.skew(now)
        emulator.forget_requests()
        await client.list_objects(BUCKET)
        await client.list_objects(BUCKET)
        needed.append(len(emulator.requests))
    assert needed == [3, 3, 3, 3]


@pytest.mark.parametrize("skew", [-3_600, 21_600])
@pytest.mark.parametrize("operation", ["ListObjects", "HeadObject"])
async def test_many_calls_correct_the_clock_together(client, emulator, operation, skew):
    """Row 22: calls that find out together all go on, and the clock is corrected once."""
    emulator.clock.skew(skew)
    await asyncio.gather(*(CALLS[operation](client) for _ in range(20)))
    assert emulator.count(operation, status=403) <= 20
    assert emulator.count(operation, status=200) == 20
    emulator.forget_requests()
    await client.list_objects(BUCKET)
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("skew", [-8 * DAY, 8 * DAY, 4_000 * DAY])
async def test_a_clock_is_not_set_by_more_than_a_week(client, emulator, skew):
    """Row 22: an answer that is more than seven days off is not believed."""
    emulator.clock.skew(skew)
    with pytest.raises(aiocos.AccessDeniedError):
        await client.list_objects(BUCKET)
    assert len(emulator.requests) == 1
    emulator.clock.skew(0)
    await client.list_objects(BUCKET)
    assert len(emulator.requests) == 2


async def test_a_clock_is_not_led_away_step_by_step(client, emulator):
    """Row 22: nor is it led there by several answers, each a little further off."""
    emulator.clock.skew(5 * DAY)
    await client.list_objects(BUCKET)
    emulator.clock.skew(10 * DAY)
    with pytest.raises(aiocos.AccessDeniedError):
        await client.list_objects(BUCKET)
    emulator.clock.skew(0)
    await client.list_objects(BUCKET)
    assert len(emulator.requests) == 5


@pytest.mark.parametrize(
    "rule",
    [
        {"code": "RequestTimeTooSkewed"},
        {"code": "AccessDenied", "message": "Request has expired", "clock_skew": 21_600},
    ],
)
async def test_a_clock_is_corrected_once_a_call(client, emulator, rule):
    """Row 22: a server that still complains after the correction is believed to mean it."""
    fault = emulator.add_fault(FaultRule(operation="ListObjects", status=403, **rule))
    with pytest.raises(aiocos.AccessDeniedError):
        await client.list_objects(BUCKET)
    assert fault.fired == 2


@pytest.mark.parametrize("operation", ["ListObjects", "HeadObject"])
@pytest.mark.parametrize("message", ["Access Denied.", "Request has expired"])
async def test_a_refusal_with_the_right_time_is_final(client, emulator, operation, message):
    """Row 22: a 403 whose Date agrees with ours has another reason, and is not repeated."""
    fault = emulator.add_fault(
        FaultRule(operation=operation, status=403, code="AccessDenied", message=message)
    )
    with pytest.raises(aiocos.AccessDeniedError):
        await CALLS[operation](client)
    assert fault.fired == 1


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 20xx 99:99:99 GMT", "²"])
async def test_a_date_that_is_none_corrects_nothing(client, emulator, date):
    """Row 22: without a readable Date the refusal is raised as it is."""
    fault = emulator.add_fault(
        FaultRule(status=403, code="RequestTimeTooSkewed", headers={"Date": date})
    )
    with pytest.raises(aiocos.AccessDeniedError) as caught:
        await client.list_objects(BUCKET)
    assert caught.value.code == "RequestTimeTooSkewed"
    assert fault.fired == 1


async def test_a_stream_that_was_begun_is_not_repeated(client, emulator):
    """Row 22: a body that cannot be read twice is not sent twice for the clock's sake."""

    async def once():
        yield b"x" * 300_000

    emulator.clock.skew(21_600)
    with pytest.raises(aiocos.AccessDeniedError) as caught:
        await client.put_object(BUCKET, once(), "new")
    assert "cannot be read twice" in " ".join(caught.value.__notes__)
    assert emulator.count("PutObject") == 1
    await client.put_object(BUCKET, b"x", "new")
    assert emulator.count("PutObject") == 2


async def test_the_second_request_is_signed_by_the_new_time():
    """Row 22: the window of the second signature lies around the time that COS told."""
    body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 40_000))
    refusal = ok(body, f"Date: {date}").replace(b"200 OK", b"403 Forbidden")
    page = ok(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    async with (
        RawServer([[refusal], [page]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        await client.list_objects(BUCKET)
    windows = []
    for came in server.came:
        given = (came.header(b"authorization") or b"").decode()
        window = given.partition("q-sign-time=")[2].partition("&")[0]
        windows.append([int(end) for end in window.split(";")])
    assert windows[1][0] - windows[0][0] == pytest.approx(40_000, abs=30)
    assert [end - start for start, end in windows] == pytest.approx([960, 960], abs=61)


# -- the token


class Provider:
    """Gives expired credentials until it is asked to refresh them."""

    def __init__(self, renews=True):
        self.renews = renews
        self.asked = self.refreshed = 0
        self.current = Credentials("AKIDold", "old-key", "old-token")

    async def get_credentials(self, *, refresh=False):
        self.asked += 1
        if refresh:
            self.refreshed += 1
            await asyncio.sleep(0.01)
            if self.renews:
                self.current = Credentials("AKIDnew", "new-key", "new-token")
        return self.current


@pytest.fixture
def provider(emulator):
    now = emulator.clock.now()
    emulator.add_credentials("AKIDold", "old-key", "old-token", expires=now - 5)
    emulator.add_credentials("AKIDnew", "new-key", "new-token", expires=now + 500)
    return Provider()


def client_of(make_client, provider, **more):
    return make_client(SecretId=None, SecretKey=None, CredentialInstance=provider, **more)


@pytest.mark.parametrize("operation", CALLS)
async def test_an_expired_token_is_replaced(make_client, emulator, provider, operation):
    """Row 23: the provider is asked for new credentials once, and the call goes on."""
    client = client_of(make_client, provider, retry=RetryPolicy(max_attempts=1))
    await CALLS[operation](client)
    assert provider.refreshed == 1
    assert emulator.count(operation) == 2
    emulator.forget_requests()
    await client.list_objects(BUCKET)
    assert (provider.refreshed, len(emulator.requests)) == (1, 1)
    assert client.get_retry_exe_times() == 0
    assert_nothing_left(client)


async def test_many_calls_refresh_together(make_client, emulator, provider):
    """Row 23: of many calls that find the token expired, one has it replaced."""
    client = client_of(make_client, provider)
    await asyncio.gather(*(client.list_objects(BUCKET) for _ in range(20)))
    assert provider.refreshed == 1
    assert emulator.count("ListObjects", status=200) == 20


async def test_a_provider_without_new_credentials(make_client, emulator, provider):
    """Row 23: a provider that has nothing new is asked once a call, and the error is typed."""
    provider.renews = False
    client = client_of(make_client, provider)
    with pytest.raises(aiocos.ExpiredTokenError):
        await client.list_objects(BUCKET)
    assert (provider.refreshed, len(emulator.requests)) == (1, 2)


async def test_a_token_that_expires_again(make_client, emulator, provider):
    """Row 23: a token refused after it was replaced is not replaced again in that call."""
    client = client_of(make_client, provider)
    fault = emulator.add_fault(FaultRule(operation="ListObjects", expired_token=True))
    with pytest.raises(aiocos.ExpiredTokenError):
        await client.list_objects(BUCKET)
    assert (provider.refreshed, fault.fired) == (1, 2)


async def test_what_a_provider_raises_is_raised(make_client, emulator, provider):
    """Row 23: an error of the provider itself reaches the caller, and nothing is left."""

    async def broken(*, refresh=False):
        if refresh:
            raise LookupError("the token service is down")
        return provider.current

    provider.get_credentials = broken
    client = client_of(make_client, provider)
    for _ in range(2):
        with pytest.raises(LookupError, match="token service"):
            await client.list_objects(BUCKET)
    assert_nothing_left(client)


async def test_fixed_credentials_cannot_be_replaced(make_client, emulator, provider):
    """Row 23: without a provider an expired token raises at once, under its own class."""
    client = make_client(SecretId="AKIDold", SecretKey="old-key", Token="old-token")
    with pytest.raises(aiocos.ExpiredTokenError) as caught:
        await client.list_objects(BUCKET)
    assert isinstance(caught.value, aiocos.AccessDeniedError)
    assert caught.value.code == "ExpiredToken"
    assert len(emulator.requests) == 1
    assert "old-token" not in str(caught.value)


async def test_an_instance_is_read_for_each_attempt(make_client, emulator, provider):
    """Row 23: credentials held as attributes are read anew when a failure is repeated."""

    class Instance:
        secret_id, secret_key, token = "AKIDold", "old-key", "old-token"

    instance = Instance()
    client = client_of(make_client, instance)
    with pytest.raises(aiocos.ExpiredTokenError):
        await client.list_objects(BUCKET)
    instance.secret_id, instance.secret_key = "AKIDnew", "new-key"
    instance.token = "new-token"
    await client.list_objects(BUCKET)
    assert len(emulator.requests) == 2


async def test_clock_and_token_may_both_be_wrong(make_client, emulator, provider):
    """Row 22, 23: a call survives both, each repaired once."""
    client = client_of(make_client, provider, retry=RetryPolicy(max_attempts=1))
    emulator.clock.skew(-3_600)
    await client.list_objects(BUCKET)
    assert len(emulator.requests) == 3
    assert provider.refreshed == 1

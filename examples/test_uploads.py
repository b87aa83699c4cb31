"""Tests of code that uses COS, without COS: a local one comes as pytest's fixtures.

    pytest examples/test_uploads.py

Code under test gets a client and a bucket; what it did is looked at, and how it bears failures.
The async tests run by pytest-asyncio or by anyio, whichever is there.
"""

import pytest

pytestmark = pytest.mark.anyio


async def save_report(client, bucket, text):
    """What is tested: your own code."""
    await client.put_object(bucket, text.encode(), "reports/today.txt", ContentType="text/plain")


async def test_report_is_saved(cos_client, cos_bucket, cos_emulator):
    """The object is there, and it took one request."""
    await save_report(cos_client, cos_bucket, "all well")
    assert cos_emulator.read(cos_bucket, "reports/today.txt") == b"all well"
    cos_emulator.requests.assert_count("PutObject", 1)


async def test_report_survives_a_bad_moment(cos_client, cos_bucket, cos_faults):
    """One refusal is overcome."""
    fault = cos_faults.fail("PutObject", times=1, status=503)
    await save_report(cos_client, cos_bucket, "all well")
    assert fault.fired == 1


@pytest.mark.cos(seed={"reports/today.txt": "yesterday's"})
async def test_report_is_replaced(cos_client, cos_bucket, cos_emulator):
    """What was there before gives way."""
    await save_report(cos_client, cos_bucket, "all well")
    assert cos_emulator.read(cos_bucket, "reports/today.txt") == b"all well"

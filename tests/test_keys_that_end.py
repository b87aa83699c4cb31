"""Temporary keys are replaced when they end, and while they are used by many at once."""

from __future__ import annotations

import asyncio

import pytest

from aiocos import (
    CosConfig,
    CosS3Client,
    Credentials,
    CredentialsError,
    CvmRoleCredentials,
    EnvironmentCredentials,
    ExpiredTokenError,
    TransferError,
)
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left


async def works(client):
    return (await client.put_object(BUCKET, b"x", "a"))["ETag"].startswith('"9dd4e461')


async def test_refused_keys_are_replaced_and_the_request_repeated(
    emulator, identity, assume, client_of
):
    """Row 23: keys that COS takes for expired are replaced once for all, and work goes on."""
    client = client_of(assume())
    assert await works(client)
    emulator.clock.advance(hours=3)
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(works(client))
    assert identity.count("AssumeRole", "Success") == 2


async def test_a_role_outlives_the_keys_that_assumed_it(emulator, identity, assume):
    """Where STS refuses the keys beneath as ended, those are replaced before the role's."""
    beneath = CvmRoleCredentials(endpoint=identity.url)
    provider = assume(beneath)
    await provider.get_credentials()
    emulator.clock.advance(hours=3)
    assert (await provider.get_credentials(refresh=True)).token
    outcomes = [request.outcome for request in identity.requests if request.action == "AssumeRole"]
    assert outcomes == ["Success", "AuthFailure.TokenFailure", "Success"]


async def test_a_batch_stops_when_there_are_no_keys(client_of, tmp_path):
    """A directory is not tried file by file when no file can be signed."""
    for number in range(50):
        (tmp_path / str(number)).touch()
    client = client_of(EnvironmentCredentials({}))
    with pytest.raises(
        TransferError, match="stopped because all that is left would fail"
    ) as caught:
        await client.upload_dir(BUCKET, "x/", tmp_path)
    assert len(caught.value.failures) < 20


async def test_a_long_upload_outlives_its_keys(emulator, identity, assume, client_of, tmp_path):
    """Row 23: an upload whose keys end after some parts gets new ones and sends no part twice."""
    source = tmp_path / "big.bin"
    source.write_bytes(bytes(21 << 20))
    client = client_of(assume())
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.02))
    upload = asyncio.create_task(client.upload_file(BUCKET, "big", source, PartSize=4, MAXThread=1))
    async with asyncio.timeout(10):
        while emulator.count("UploadPart", 200) < 2:
            await asyncio.sleep(0.001)
    emulator.clock.advance(hours=3)
    await upload
    assert emulator.count("UploadPart", 200) == 6
    assert emulator.count("UploadPart", 400) >= 1
    assert identity.count("AssumeRole", "Success") == 2


async def test_when_new_keys_cannot_be_had_the_error_says_so(emulator, identity, assume, client_of):
    """Expired keys and an STS that refuses are an error of credentials, not a riddle from COS."""
    client = client_of(assume())
    assert await works(client)
    emulator.clock.advance(hours=3)
    identity.fail(status=403)
    with pytest.raises(CredentialsError, match="not an answer of STS"):
        await works(client)


async def test_fixed_temporary_keys_end_in_a_typed_error(identity, client_of, emulator):
    """Keys that nobody can replace end as ExpiredTokenError, by the server's calendar."""
    given = await CvmRoleCredentials(endpoint=identity.url).get_credentials()
    client = client_of(given)
    assert await works(client)
    emulator.clock.advance(hours=2, minutes=1)
    with pytest.raises(ExpiredTokenError):
        await works(client)


async def test_temporary_keys_need_their_token(identity, client_of):
    """COS refuses the pair without its token, and with another pair's."""
    first = await CvmRoleCredentials(endpoint=identity.url).get_credentials()
    identity.rotate()
    second = await CvmRoleCredentials(endpoint=identity.url).get_credentials()
    for token in (None, second.token):
        client = client_of(Credentials(first.secret_id, first.secret_key, token))
        with pytest.raises(Exception, match="does not go with this key"):
            await works(client)


class Rotating:
    """A provider that gives other keys to every fifth request."""

    def __init__(self, sets):
        self.sets, self.asked = sets, 0

    async def get_credentials(self, *, refresh=False):
        self.asked += 1
        await asyncio.sleep(0)
        return self.sets[self.asked // 5 % len(self.sets)]


class Torn:
    """What the sync SDK calls a CredentialInstance, whose keys change between two readings."""

    def __init__(self, sets):
        self.sets, self.asked = sets, 0

    def _read(self, name):
        self.asked += 1
        return getattr(self.sets[self.asked // 7 % len(self.sets)], name)

    secret_id = property(lambda self: self._read("secret_id"))
    secret_key = property(lambda self: self._read("secret_key"))
    token = property(lambda self: self._read("token"))


@pytest.mark.parametrize("kind", [Rotating, Torn])
async def test_rotation_under_load_mixes_no_two_sets(emulator, identity, client_of, kind):
    """Two hundred requests, other keys every few: none has one's id and another's token."""
    sets = []
    for _ in range(20):
        identity.rotate()
        sets.append(await CvmRoleCredentials("emulated-role", endpoint=identity.url).find())
    rotating = kind(sets)
    client = client_of(rotating)
    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(client.put_object(BUCKET, b"x", str(number)))
    assert emulator.count("PutObject", 200) == 200
    assert emulator.count("PutObject") == 200, "one was refused, and repeated"
    assert rotating.asked >= 200


async def test_keys_that_are_replaced_under_load_all_work(emulator, identity, client_of):
    """While an instance's keys are replaced again and again, every request is accepted."""
    provider = CvmRoleCredentials("emulated-role", endpoint=identity.url)
    client = client_of(provider)
    rotations = 0

    async def rotate():
        nonlocal rotations
        while rotations < 8:
            identity.rotate()
            await provider.get_credentials(refresh=True)
            rotations += 1

    async def work(number):
        while rotations < 8:
            await client.put_object(BUCKET, b"x", str(number))

    async with asyncio.TaskGroup() as group:
        group.create_task(rotate())
        for number in range(20):
            group.create_task(work(number))
    assert emulator.count("PutObject") == emulator.count("PutObject", 200) >= 20
    assert identity.count("Metadata", "200") >= 8


async def test_a_client_that_closes_leaves_no_refresh_behind(emulator, identity):
    """The refresh that a client's last request began ends when the client is closed."""
    provider = CvmRoleCredentials(endpoint=identity.url)
    given = emulator.settings() | {"SecretId": None, "SecretKey": None}
    config = CosConfig(**given, CredentialInstance=provider)
    async with CosS3Client(config, retry=QUICK) as client:
        assert await works(client)
        held = provider._keeper._held
        provider._keeper._held = held._replace(due=0.0)
        identity.fail(status=0, delay_s=0.5)
        assert await works(client)
        assert provider._keeper._flights
    assert_nothing_left(client)
    async with CosS3Client(config, retry=QUICK) as client:
        identity.heal()
        assert await works(client)

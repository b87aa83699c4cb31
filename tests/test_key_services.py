"""Master keys may stay in a key service: any object with wrap and unwrap is a provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import aiocos
from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET
from tests.support.encrypting import MIB, encrypting, plain
from tests.support.key_service import KeyService, KeyServiceDownError, ServiceProvider

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
async def service() -> AsyncIterator[KeyService]:
    async with KeyService() as running:
        yield running


@pytest.fixture
async def kms(service: KeyService) -> AsyncIterator[ServiceProvider]:
    async with ServiceProvider(service) as provider:
        yield provider


async def test_a_key_service_is_all_it_takes(
    emulator: CosEmulator, service: KeyService, kms: ServiceProvider, tmp_path: Path
) -> None:
    """put_object, ranges, upload_file and download_file work, and ask once for each object."""
    assert isinstance(kms, aiocos.KeyProvider)
    (tmp_path / "up").write_bytes(CONTENT * 12)
    async with encrypting(emulator, kms) as client, plain(emulator) as seen:
        await client.put_object(BUCKET, CONTENT, "a")
        await client.upload_file(BUCKET, "b", tmp_path / "up", PartSize=1, MAXThread=4)
        assert service.calls == ["/wrap", "/wrap"]
        for key, content in (("a", CONTENT), ("b", CONTENT * 12)):
            service.calls.clear()
            part = await client.get_object(BUCKET, key, Range="bytes=100-70000")
            assert await part["Body"].read() == content[100:70001]
            assert service.calls == ["/unwrap"]
        service.calls.clear()
        await client.download_file(BUCKET, "b", tmp_path / "down", PartSize=1, MAXThread=4)
        assert service.calls == ["/unwrap"]
        envelope = (await seen.head_object(BUCKET, "a"))["x-cos-meta-aiocos-encryption"]
    assert (tmp_path / "down").read_bytes() == CONTENT * 12
    assert ";wrap=corp-kms;kid=arn:keys/2025;" in envelope


async def test_a_new_master_key_reads_what_the_old_one_wrapped(
    emulator: CosEmulator, service: KeyService, kms: ServiceProvider
) -> None:
    """After a rotation both are read, by the name each object has; rewrap moves one on."""
    async with encrypting(emulator, kms) as client:
        await client.put_object(BUCKET, b"old", "old")
        service.rotate("arn:keys/2026")
        await client.put_object(BUCKET, b"new", "new")
        await client.rewrap(BUCKET, "old", kms)
        listed = [one async for one in client.audit_encryption(BUCKET, exposed_only=False)]
        assert {(one.Key, one.KeyId) for one in listed} == {
            ("new", "arn:keys/2026"),
            ("old", "arn:keys/2026"),
        }
        del service.masters["arn:keys/2025"]
        for key in ("old", "new"):
            assert await (await client.get_object(BUCKET, key))["Body"].read() == key.encode()


async def test_a_master_key_that_is_gone_is_a_typed_error(
    emulator: CosEmulator, service: KeyService, kms: ServiceProvider, tmp_path: Path
) -> None:
    """An object whose master key the service has lost is refused as the provider says."""
    async with encrypting(emulator, kms) as client:
        await client.put_object(BUCKET, b"old", "old")
        service.masters.clear()
        with pytest.raises(aiocos.DecryptionError, match="no such key"):
            await client.get_object(BUCKET, "old")
        with pytest.raises(aiocos.DecryptionError, match="no such key"):
            await client.download_file(BUCKET, "old", tmp_path / "down")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trouble", ["slow", "failing"])
async def test_trouble_of_the_service_reaches_the_caller(
    trouble: str, emulator: CosEmulator, service: KeyService, tmp_path: Path
) -> None:
    """A timeout or a 500 of the service is the provider's own error, and nothing is stored."""
    (tmp_path / "up").write_bytes(CONTENT * 12)
    async with (
        ServiceProvider(service, timeout_s=0.1) as kms,
        encrypting(emulator, kms) as client,
    ):
        await client.put_object(BUCKET, b"content", "there")
        service.delay_s, service.status = (30, 200) if trouble == "slow" else (0, 500)
        emulator.forget_requests()
        for call in (
            client.put_object(BUCKET, b"content", "k"),
            client.upload_file(BUCKET, "k", tmp_path / "up", PartSize=1),
            client.create_multipart_upload(BUCKET, "k"),
            client.get_object(BUCKET, "there"),
            client.get_object(BUCKET, "there", Range="bytes=0-1"),
            client.download_file(BUCKET, "there", tmp_path / "down"),
            client.rewrap(BUCKET, "there", kms),
        ):
            begun = time.monotonic()
            with pytest.raises((KeyServiceDownError, aiocos.TransferError)) as failed:
                await call
            assert time.monotonic() - begun < 2
            reasons: Any = getattr(failed.value, "exceptions", [failed.value])
            assert isinstance(reasons[0], KeyServiceDownError), call
        assert {record.method for record in emulator.requests} <= {"GET", "HEAD"}
        assert await emulator.uploads(BUCKET) == []
        service.delay_s, service.status = 0, 200
        assert await (await client.get_object(BUCKET, "there"))["Body"].read() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["up"]


async def test_trouble_of_the_service_ends_a_directory(
    emulator: CosEmulator, service: KeyService, kms: ServiceProvider, tmp_path: Path
) -> None:
    """Whole directories end with the provider's own error too, and the task is not cancelled."""
    for number in range(20):
        (tmp_path / f"f{number}").write_bytes(b"%d" % number)
    task = asyncio.current_task()
    assert task is not None
    async with encrypting(emulator, kms) as client:
        service.status = 500
        with pytest.raises(KeyServiceDownError):
            await client.upload_dir(BUCKET, "p/", tmp_path)
        assert task.cancelling() == 0
        service.status = 200
        await client.upload_dir(BUCKET, "p/", tmp_path)
        service.status = 500
        with pytest.raises(KeyServiceDownError):
            await client.download_dir(BUCKET, "p/", tmp_path / "down")
        assert task.cancelling() == 0
        service.status = 200
        await client.download_dir(BUCKET, "p/", tmp_path / "down")
    assert len([path for path in (tmp_path / "down").iterdir() if path.suffix == ""]) == 20


async def test_waiting_for_the_service_can_be_cancelled(
    emulator: CosEmulator, service: KeyService, kms: ServiceProvider
) -> None:
    """A call that waits for a key ends at once when it is cancelled, and stores nothing."""
    service.delay_s = 30
    async with encrypting(emulator, kms) as client:
        task = asyncio.create_task(client.put_object(BUCKET, b"content", "k"))
        while not service.calls:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
    assert emulator.count("PutObject") == 0


async def test_many_objects_wait_for_their_keys_at_once(
    emulator: CosEmulator, service: KeyService, kms: ServiceProvider
) -> None:
    """A slow service costs its latency once, and not once for each object."""
    service.delay_s = 0.2
    async with encrypting(emulator, kms) as client:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(client.put_object(BUCKET, b"%d" % number, f"k{number}"))
        assert time.monotonic() - begun < 2
        assert service.most_at_once > 10
        service.delay_s = 0
        for number in range(20):
            body = (await client.get_object(BUCKET, f"k{number}"))["Body"]
            assert await body.read() == b"%d" % number


class Broken:
    """A provider that gives whatever it is told to."""

    def __init__(self, wrapped: Any = None, data_key: Any = None) -> None:
        self.wrapped, self.data_key = wrapped, data_key
        self._real = aiocos.AESProvider("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")

    async def wrap(self, data_key: bytes) -> Any:
        return await self._real.wrap(data_key) if self.wrapped is None else self.wrapped

    async def unwrap(self, wrapped: aiocos.WrappedKey) -> Any:
        return await self._real.unwrap(wrapped) if self.data_key is None else self.data_key


@pytest.mark.parametrize(
    "data_key", [b"", bytes(31), bytes(33), "k" * 32, 32, ["k"] * 32, {}], ids=str
)
async def test_a_data_key_that_is_none_is_refused(
    data_key: Any, emulator: CosEmulator, tmp_path: Path
) -> None:
    """A provider that unwraps to anything but 32 bytes gives a typed error, and no content."""
    provider = Broken()
    async with encrypting(emulator, provider) as client:
        await client.put_object(BUCKET, b"content", "k")
        provider.data_key = data_key
        for call in (
            client.get_object(BUCKET, "k"),
            client.get_object(BUCKET, "k", Range="bytes=0-1"),
            client.download_file(BUCKET, "k", tmp_path / "down"),
            client.rewrap(BUCKET, "k", Broken()),
        ):
            with pytest.raises(aiocos.DecryptionError, match="32 bytes"):
                await call


async def test_another_data_key_is_refused(emulator: CosEmulator) -> None:
    """32 bytes that are not the object's data key do not open it."""
    provider = Broken()
    async with encrypting(emulator, provider) as client:
        await client.put_object(BUCKET, b"content", "k")
        provider.data_key = bytes(32)
        with pytest.raises(aiocos.DecryptionError):
            await client.get_object(BUCKET, "k")


@pytest.mark.parametrize(
    "wrapped",
    [
        b"key",
        "key",
        5,
        (),
        ("a", "b"),
        ("corp-kms", "id", "not bytes"),
        ("corp-kms", 5, b"key"),
        (b"corp-kms", "id", b"key"),
        aiocos.WrappedKey("", "id", b"key"),
        aiocos.WrappedKey("corp;mac=", "id", b"key"),
        aiocos.WrappedKey("corp\r\nx: y", "id", b"key"),
        aiocos.WrappedKey("c" * 33, "id", b"key"),
        aiocos.WrappedKey("corp", "i d", b"key"),
        aiocos.WrappedKey("corp", "i;key=", b"key"),
        aiocos.WrappedKey("corp", "i" * 129, b"key"),
        aiocos.WrappedKey("corp", "é", b"key"),
        aiocos.WrappedKey("corp", "id", b""),
        aiocos.WrappedKey("corp", "id", bytes(1025)),
    ],
    ids=lambda key: repr(key)[:60],
)
async def test_a_wrapped_key_that_fits_nowhere_is_refused(
    wrapped: Any, emulator: CosEmulator, tmp_path: Path
) -> None:
    """A provider that wraps to what no envelope can hold gives a typed error; nothing is sent."""
    (tmp_path / "up").write_bytes(bytes(2 * MIB))
    async with encrypting(emulator, Broken()) as client:
        await client.put_object(BUCKET, b"content", "there")
        emulator.forget_requests()
        with pytest.raises(aiocos.ParameterError, match="key provider"):
            await client.rewrap(BUCKET, "there", Broken(wrapped))
    async with encrypting(emulator, Broken(wrapped)) as client:
        for call in (
            client.put_object(BUCKET, b"content", "k"),
            client.create_multipart_upload(BUCKET, "k"),
            client.upload_file(BUCKET, "k", tmp_path / "up", PartSize=1),
        ):
            with pytest.raises(aiocos.ParameterError, match="key provider"):
                await call
    assert {record.method for record in emulator.requests} <= {"HEAD", "GET"}


@pytest.mark.parametrize("size", [1, 1024])
async def test_the_longest_names_and_keys_fit(size: int, emulator: CosEmulator) -> None:
    """The limits that are told are those that hold."""
    provider = Broken(aiocos.WrappedKey("w" * 32, "a:/._-Z9" * 16, bytes(size)))
    async with encrypting(emulator, provider) as client:
        fixed = bytes(range(32))
        provider.data_key = fixed
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.urandom", lambda _size: fixed)
            await client.put_object(BUCKET, b"content", "k")
        assert await (await client.get_object(BUCKET, "k"))["Body"].read() == b"content"

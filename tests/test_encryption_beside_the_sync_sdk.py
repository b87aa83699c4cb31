"""With ``Legacy`` the sync SDK's encrypting client and this one read what the other wrote.

The SDK runs as it is, in a thread, against the local server. What it writes it can only write
one part after the other; what this client writes at once it still reads.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import qcloud_cos
import qcloud_cos.crypto as sdk_crypto
import requests
from qcloud_cos.cos_encryption_client import CosEncryptionClient as SyncEncryptionClient

import aiocos
from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET
from tests.support.encrypting import MASTER, MIB, OTHER_MASTER, encrypting, plain, rsa_pair

KEY = "目录/大 文件+.bin"
KINDS = pytest.mark.parametrize("kind", ["aes-text", "aes-file", "rsa-files", "rsa-texts"])


class Both:
    """The same master key, for the SDK and for this client."""

    def __init__(self, kind: str, folder: Path, emulator: CosEmulator) -> None:
        self.emulator, self.kind = emulator, kind
        public, private = rsa_pair()
        paths = [str(folder / name) for name in ("public.pem", "private.pem", "aes.pem")]
        for path, text in zip(paths, (public, private, MASTER), strict=True):
            Path(path).write_text(text)
            Path(path).chmod(0o600)
        self.of_sdk, self.ours = {
            "aes-text": (
                lambda: sdk_crypto.AESProvider(aes_key=MASTER),
                lambda: aiocos.AESProvider(MASTER),
            ),
            "aes-file": (
                lambda: sdk_crypto.AESProvider(aes_key_path=paths[2]),
                lambda: aiocos.AESProvider(aes_key_path=paths[2]),
            ),
            "rsa-files": (
                lambda: sdk_crypto.RSAProvider(sdk_crypto.RSAKeyPairPath(*paths[:2])),
                lambda: aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair_path(*paths[:2])),
            ),
            "rsa-texts": (
                lambda: sdk_crypto.RSAProvider(sdk_crypto.RSAKeyPair(public, private)),
                lambda: aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair(public, private)),
            ),
        }[kind]

    def client(self, legacy: str = "read") -> Any:
        """This client."""
        return encrypting(self.emulator, self.ours(), Legacy=legacy)


@pytest.fixture
def both(request: pytest.FixtureRequest, tmp_path: Path, emulator: CosEmulator) -> Both:
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    return Both(params.get("kind", "aes-text"), tmp_path, emulator)


@pytest.fixture
def sdk(both: Both) -> Iterator[SyncEncryptionClient]:
    """The official client, without retries and without a log."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    with requests.Session() as session:
        config = qcloud_cos.CosConfig(**both.emulator.settings())
        yield SyncEncryptionClient(config, both.of_sdk(), retry=0, session=session)


def content(size: int) -> bytes:
    """Bytes whose parts all differ."""
    return b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(size // 64 + 1))[:size]


async def by_sdk(call: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a blocking call beside the loop that serves it."""
    return await asyncio.to_thread(partial(call, *args, **kwargs))


async def read_by_sdk(sdk: SyncEncryptionClient, path: Path, **wanted: str) -> bytes:
    """What the SDK makes of an object."""

    def read() -> bytes:
        sdk.get_object(BUCKET, KEY, **wanted)["Body"].get_stream_to_file(str(path))
        return path.read_bytes()

    return await asyncio.to_thread(read)


RANGES = [(0, 0), (0, 15), (15, 16), (17, 4000), (65_535, 65_536), (70_000, 99_999)]


@KINDS
async def test_we_read_what_the_sdk_puts(
    kind: str, both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """An object that the SDK has put is read whole, in ranges, as a stream and into a file."""
    data = content(100_000)
    await by_sdk(sdk.put_object, BUCKET, data, KEY)
    async with both.client() as client:
        whole = await client.get_object(BUCKET, KEY)
        assert await whole["Body"].read() == data
        for first, last in RANGES:
            part = await client.get_object(BUCKET, KEY, Range=f"bytes={first}-{last}")
            assert await part["Body"].read() == data[first : last + 1]
            assert part["Content-Range"] == f"bytes {first}-{last}/100000"
        tail = await client.get_object(BUCKET, KEY, Range="bytes=-21")
        assert await tail["Body"].read() == data[-21:]
        rest = await client.get_object(BUCKET, KEY, Range="bytes=99990-")
        assert b"".join([piece async for piece in rest["Body"]]) == data[99_990:]
        await client.download_file(BUCKET, KEY, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == data


@KINDS
async def test_we_read_what_the_sdk_uploads_in_parts(
    kind: str, both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """What the SDK has uploaded part by part is downloaded in parts of other sizes."""
    data = content(3 * MIB + 5)
    (tmp_path / "up").write_bytes(data)
    await by_sdk(
        sdk.upload_file, BUCKET, KEY, str(tmp_path / "up"), PartSize=1, MAXThread=1, EnableMD5=False
    )
    async with both.client() as client:
        assert (await client.head_object(BUCKET, KEY))["ETag"].endswith('-4"')
        await client.download_file(BUCKET, KEY, tmp_path / "down", PartSize=1, MAXThread=5)
        part = await client.get_object(BUCKET, KEY, Range=f"bytes={MIB - 3}-{MIB + 30}")
        assert await part["Body"].read() == data[MIB - 3 : MIB + 31]
    assert (tmp_path / "down").read_bytes() == data


@pytest.mark.parametrize("kind", ["aes-text", "rsa-files"])
async def test_we_read_parts_of_any_length(
    kind: str, both: Both, sdk: SyncEncryptionClient
) -> None:
    """Parts that the SDK sends one by one may end inside a block; the key stream runs on."""
    data = content(2 * MIB + 33)
    cuts = [data[: MIB + 7], data[MIB + 7 : 2 * MIB + 12], data[2 * MIB + 12 :]]

    def upload() -> None:
        upload_id = sdk.create_multipart_upload(BUCKET, KEY)["UploadId"]
        parts = [
            {"PartNumber": n, "ETag": sdk.upload_part(BUCKET, KEY, cut, n, upload_id)["ETag"]}
            for n, cut in enumerate(cuts, 1)
        ]
        sdk.complete_multipart_upload(BUCKET, KEY, upload_id, MultipartUpload={"Part": parts})

    await asyncio.to_thread(upload)
    async with both.client() as client:
        assert await (await client.get_object(BUCKET, KEY))["Body"].read() == data


@KINDS
async def test_the_sdk_reads_what_we_put(
    kind: str, both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """An object put with Legacy="write" is read by the SDK, whole and in ranges."""
    for size in (0, 1, 16, 65_537):
        data = content(size)
        async with both.client("write") as client:
            await client.put_object(BUCKET, data, KEY, Metadata={"x-cos-meta-mine": "kept"})
        assert await read_by_sdk(sdk, tmp_path / "down") == data
    part = await read_by_sdk(sdk, tmp_path / "part", Range="bytes=5-20")
    assert part == data[5:21]
    head = await by_sdk(sdk.head_object, BUCKET, KEY)
    assert head["x-cos-meta-mine"] == "kept"


@KINDS
async def test_the_sdk_reads_what_we_upload_at_once(
    kind: str, both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """upload_file with five workers writes what the SDK reads, ten times out of ten."""
    data = content(3 * MIB + 77)
    (tmp_path / "up").write_bytes(data)
    rounds = 10 if kind == "aes-text" else 1
    async with both.client("write") as client:
        for _ in range(rounds):
            await client.upload_file(BUCKET, KEY, tmp_path / "up", PartSize=1, MAXThread=5)
            assert await read_by_sdk(sdk, tmp_path / "down") == data


async def test_the_sdk_reads_parts_that_we_send_out_of_order(
    both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """With PartSize parts are encrypted for their place, in whatever order they are sent."""
    data = content(3 * MIB + 5)
    async with both.client("write") as client:
        begun = await client.create_multipart_upload(BUCKET, KEY, PartSize=1)
        etags = {}
        for number in (3, 1, 4, 2):
            part = data[(number - 1) * MIB : number * MIB]
            sent = await client.upload_part(BUCKET, KEY, part, number, begun["UploadId"])
            etags[number] = sent["ETag"]
        parts = [{"PartNumber": n, "ETag": etags[n]} for n in sorted(etags)]
        await client.complete_multipart_upload(
            BUCKET, KEY, begun["UploadId"], MultipartUpload={"Part": parts}
        )
        assert await (await client.get_object(BUCKET, KEY))["Body"].read() == data
    assert await read_by_sdk(sdk, tmp_path / "down") == data


async def test_a_cut_upload_of_the_legacy_format_goes_on(
    both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """An upload that broke off is gone on with, under the same key, by another client."""
    data = content(4 * MIB + 9)
    (tmp_path / "up").write_bytes(data)
    transfers = aiocos.TransferConfig(single_mib=1, journal_dir=tmp_path / "journals")
    options: Any = {"Legacy": "write", "transfers": transfers}
    fault = both.emulator.fail("UploadPart", after=2, status=403)
    async with encrypting(both.emulator, both.ours(), **options) as client:
        with pytest.raises(aiocos.TransferError):
            await client.upload_file(BUCKET, KEY, tmp_path / "up", PartSize=1, MAXThread=1)
    assert fault.fired
    both.emulator.heal()
    async with encrypting(both.emulator, both.ours(), **options) as client:
        await client.upload_file(BUCKET, KEY, tmp_path / "up", PartSize=1, MAXThread=3)
    assert both.emulator.count("UploadPart", status=200) == 5
    assert await read_by_sdk(sdk, tmp_path / "down") == data


async def test_transfers_of_the_legacy_format_do_not_mix_keys(
    both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """What broke off under one master key is begun anew under another, up and down.

    Nothing in an object tells that an AES key is the wrong one, so parts of both would join.
    """
    data = content(4 * MIB + 9)
    (tmp_path / "up").write_bytes(data)
    transfers = aiocos.TransferConfig(single_mib=1, journal_dir=tmp_path / "journals")
    options: Any = {"Legacy": "write", "transfers": transfers}
    other = aiocos.AESProvider(OTHER_MASTER)

    both.emulator.fail("UploadPart", after=2, status=403)
    async with encrypting(both.emulator, other, **options) as client:
        with pytest.raises(aiocos.TransferError):
            await client.upload_file(BUCKET, KEY, tmp_path / "up", PartSize=1, MAXThread=1)
    both.emulator.heal()
    async with encrypting(both.emulator, both.ours(), **options) as client:
        await client.upload_file(BUCKET, KEY, tmp_path / "up", PartSize=1, MAXThread=1)
    assert await read_by_sdk(sdk, tmp_path / "by sdk") == data

    down = tmp_path / "down"
    both.emulator.fail("GetObject", after=2, status=403)
    async with encrypting(both.emulator, other, **options) as client:
        with pytest.raises(aiocos.TransferError):
            await client.download_file(BUCKET, KEY, down, PartSize=1, MAXThread=1)
    both.emulator.heal()
    async with encrypting(both.emulator, both.ours(), **options) as client:
        await client.download_file(BUCKET, KEY, down, PartSize=1, MAXThread=1)
    assert down.read_bytes() == data


@pytest.mark.parametrize("legacy", ["refuse", "read", "write"])
async def test_copies_of_legacy_objects_stay_readable(
    legacy: str, both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """A copy keeps the keys, whether it keeps the other metadata or replaces it."""
    data = content(2 * MIB + 5)
    source: Any = {"Bucket": BUCKET, "Key": "old", "Endpoint": both.emulator.endpoint}
    new: Any = {"Metadata": {"x-cos-meta-new": "1"}, "ContentType": "a/b"}
    await by_sdk(sdk.put_object, BUCKET, data, "old")
    async with both.client(legacy) as client:
        for call in (
            client.copy_object(BUCKET, KEY, source),
            client.copy_object(BUCKET, KEY, source, "Replaced", **new),
            client.copy(BUCKET, KEY, source, PartSize=1),
            client.copy(BUCKET, KEY, source, "Replaced", PartSize=1, **new),
        ):
            await call
            assert await read_by_sdk(sdk, tmp_path / "down") == data
            await client.delete_object(BUCKET, KEY)


async def test_copies_of_what_another_sdk_has_encrypted_stay_readable(both: Both) -> None:
    """All that another SDK needs goes with a copy, and with nothing that is written anew."""
    prefix = "x-cos-meta-client-side-encryption-"
    needed = {f"{prefix}{name}": name for name in ("key", "start", "cek-alg", "wrap-alg")}
    source: Any = {"Bucket": BUCKET, "Key": "old", "Endpoint": both.emulator.endpoint}
    new: Any = {"Metadata": {"x-cos-meta-new": "1", f"{prefix}wrap-alg": "stale"}}
    async with both.client() as client, plain(both.emulator) as seen:
        await seen.put_object(BUCKET, b"content", "old", Metadata=needed)
        await client.copy_object(BUCKET, KEY, source, "Replaced", **new)
        found = aiocos.user_metadata(await seen.head_object(BUCKET, KEY))
        assert found == {**needed, "x-cos-meta-new": "1"}

        await client.put_object(BUCKET, b"content", KEY, Metadata=found)
        written = aiocos.user_metadata(await seen.head_object(BUCKET, KEY))
        assert set(written) == {"x-cos-meta-new", "x-cos-meta-aiocos-encryption"}
        assert await (await client.get_object(BUCKET, KEY))["Body"].read() == b"content"


async def test_legacy_objects_are_refused_unless_asked_for(
    both: Both, sdk: SyncEncryptionClient, tmp_path: Path
) -> None:
    """Row 49: by default an object of the SDK is refused, and the error names the option."""
    await by_sdk(sdk.put_object, BUCKET, b"content", KEY)
    async with encrypting(both.emulator) as client:
        for call in (
            client.get_object(BUCKET, KEY),
            client.get_object(BUCKET, KEY, Range="bytes=0-1"),
            client.download_file(BUCKET, KEY, tmp_path / "down"),
        ):
            with pytest.raises(aiocos.NotEncryptedError, match="Legacy='read'"):
                await call
    assert not list(tmp_path.glob("down*"))


async def test_a_client_that_reads_legacy_writes_format_2(both: Both) -> None:
    """Row 49: reading old objects does not make a client write them."""
    async with both.client("read") as client, plain(both.emulator) as seen:
        await client.put_object(BUCKET, b"content", KEY)
        head = await seen.head_object(BUCKET, KEY)
    assert "x-cos-meta-aiocos-encryption" in head
    assert "x-cos-meta-client-side-encryption-key" not in head


async def test_legacy_writes_are_warned_of(both: Both, caplog: pytest.LogCaptureFixture) -> None:
    """Row 49: a client that writes the old format says so in the log, one that reads does not."""
    async with both.client("read"), both.client("refuse"):
        assert not caplog.records
    async with both.client("write"):
        [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "Legacy='write'" in record.getMessage()
    assert MASTER not in caplog.text


async def test_wrapped_keys_do_not_tell_about_data_keys(
    both: Both, sdk: SyncEncryptionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 49: the XOR of two wrapped keys is not that of the data keys, as it is with the SDK."""

    def xor(first: bytes, second: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(first, second, strict=True))

    fixed = [bytes([n]) * 32 for n in (7, 100)]
    legacy, ours = [], []
    provider = aiocos.AESProvider(MASTER)
    for data_key in fixed:
        legacy.append(provider.wrap_legacy(data_key, bytes(16)).key)
        ours.append((await provider.wrap(data_key)).key)
    assert xor(*legacy) == xor(*fixed)
    bodies = [wrapped[12:44] for wrapped in ours]
    assert len({len(wrapped) for wrapped in ours}) == 1
    assert len({wrapped[:12] for wrapped in ours}) == 2
    assert xor(*bodies) != xor(*fixed)

    many = [(await provider.wrap(fixed[0])).key for _ in range(50)]
    assert len({wrapped[:12] for wrapped in many}) == len(set(many)) == 50
    for first, second in itertools.combinations([wrapped[12:44] for wrapped in many], 2):
        assert first != second


async def test_another_key_does_not_pass_for_the_right_one(
    both: Both, sdk: SyncEncryptionClient
) -> None:
    """With RSA an object of another pair is refused; headers of no sensible length always are."""
    await by_sdk(sdk.put_object, BUCKET, b"content", KEY)
    public, private = rsa_pair(1)
    other = aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair(public, private))
    async with encrypting(both.emulator, other, Legacy="read") as client:
        with pytest.raises(aiocos.DecryptionError):
            await client.get_object(BUCKET, KEY)
    wrapped = base64.b64encode(bytes(31)).decode()
    async with plain(both.emulator) as seen, both.client() as client:
        await seen.put_object(
            BUCKET,
            b"content",
            KEY,
            Metadata={
                "x-cos-meta-client-side-encryption-key": wrapped,
                "x-cos-meta-client-side-encryption-iv": wrapped,
            },
        )
        with pytest.raises(aiocos.DecryptionError):
            await client.get_object(BUCKET, KEY)


async def test_legacy_needs_a_provider_that_can() -> None:
    """A key service does not know the old format, and the client says so when it is made."""

    class Service:
        async def wrap(self, data_key: bytes) -> aiocos.WrappedKey:
            raise NotImplementedError

        async def unwrap(self, wrapped: aiocos.WrappedKey) -> bytes:
            raise NotImplementedError

    config = aiocos.CosConfig(Region="ap-guangzhou", SecretId="a", SecretKey="b")
    for legacy in ("read", "write"):
        with pytest.raises(aiocos.ParameterError, match="AESProvider"):
            aiocos.CosEncryptionClient(config, Service(), Legacy=legacy)
    for wrong in ("Read", "", None, True):
        with pytest.raises(aiocos.ParameterError, match="Legacy"):
            aiocos.CosEncryptionClient(config, aiocos.AESProvider(MASTER), Legacy=wrong)

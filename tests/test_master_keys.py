"""Master keys are kept as secrets, checked when they are loaded, and never made by surprise."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

import aiocos
from aiocos import AESProvider, ParameterError, RSAProvider
from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET
from tests.support.encrypting import MASTER, encrypting, rsa_pair

DATA_KEY = bytes(range(100, 132))
SM2 = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEMsSuGV8fmRmZBMfpv58fRFdKibIu
TBnFkF9cZ+NxW6hXgvykr1mmxIEpxCpU7hjjv3rU+5ecYVwVRFkvBFaafA==
-----END PUBLIC KEY-----
"""


def made(maker: Callable[..., Any], folder: Path, **options: Any) -> Any:
    """Make a key or a pair in a folder."""
    if maker == AESProvider.create:
        return maker(folder / "aes.pem")
    return maker(folder / "public.pem", folder / "private.pem", **{"bits": 2048, **options})


def pem(key: Any, public: Any = None) -> tuple[str, str]:
    """Both keys of any pair in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    coding = serialization.Encoding.PEM
    private = key.private_bytes(
        coding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (public or key.public_key()).public_bytes(coding, form).decode(), private.decode()


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


MAKERS = pytest.mark.parametrize("maker", [AESProvider.create, RSAProvider.create])


# -- files ------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o022, 0o000])
@MAKERS
def test_new_key_files_are_their_owners_alone(
    maker: Callable[..., Any], mask: int, tmp_path: Path, umask: Callable[[int], int]
) -> None:
    """Row 50: key files are 0600, and a new folder of them 0700, whatever the umask."""
    umask(mask)
    made(maker, tmp_path / "keys")
    files = list((tmp_path / "keys").iterdir())
    assert files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) & 0o077 == 0


@MAKERS
def test_new_key_files_are_never_open_to_others(
    maker: Callable[..., Any],
    tmp_path: Path,
    umask: Callable[[int], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 50: each is opened exclusively with 0600, and synced with its folder before use."""
    umask(0)
    calls: list[Any] = []
    real_open, real_fsync = os.open, os.fsync

    def opened(path: Any, flags: int, mode: int = 0o777, **given: Any) -> int:
        if flags & os.O_CREAT:
            calls.append((flags & os.O_EXCL, mode))
        return real_open(path, flags, mode, **given)

    def synced(file: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(file).st_mode)
        calls.append("folder" if is_folder else "file")
        assert is_folder or os.fstat(file).st_size > 0
        real_fsync(file)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", synced)
    made(maker, tmp_path)
    number = 1 if maker == AESProvider.create else 2
    assert calls == [(os.O_EXCL, 0o600), "file", "folder"] * number


@MAKERS
def test_a_key_file_that_could_not_be_written_is_not_left(
    maker: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a key would be taken for a key later, so a failed write leaves no file."""

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        made(maker, tmp_path)
    assert not list(tmp_path.iterdir())


@MAKERS
@pytest.mark.parametrize("is_link", [False, True])
def test_existing_key_files_are_never_overwritten(
    maker: Callable[..., Any], is_link: bool, tmp_path: Path
) -> None:
    """Row 50: a file that is there stays as it is, also behind a link, and nothing is added."""
    for name in ("aes.pem", "public.pem", "private.pem"):
        folder = tmp_path / name
        folder.mkdir()
        if is_link:
            (folder / "target").write_bytes(b"precious")
            (folder / name).symlink_to(folder / "target")
        else:
            (folder / name).write_bytes(b"precious")
        before = set(folder.iterdir())
        uses = name == "aes.pem" if maker == AESProvider.create else name != "aes.pem"
        if uses:
            with pytest.raises(FileExistsError):
                made(maker, folder)
            assert set(folder.iterdir()) == before
            assert (folder / name).read_bytes() == b"precious"


def test_missing_keys_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 50: a path that leads nowhere is an error that names create, here and at home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "public.pem").write_text(rsa_pair()[0])
    paths = RSAProvider.get_rsa_key_pair_path
    for make in (
        lambda: AESProvider(aes_key_path=str(tmp_path / "none")),
        lambda: AESProvider(None, tmp_path / "none" / "none"),
        lambda: AESProvider(aes_key_path=""),
        AESProvider,
        RSAProvider,
        lambda: RSAProvider(paths(tmp_path / "none", tmp_path / "none")),
        lambda: RSAProvider(paths(tmp_path / "public.pem", tmp_path / "none")),
        lambda: RSAProvider(RSAProvider.get_rsa_key_pair("none.pem", "none.pem")),
    ):
        with pytest.raises(ParameterError, match=r"Provider\.create|cannot read"):
            make()
    assert [path.name for path in tmp_path.rglob("*")] == ["public.pem"]


async def test_default_places_are_those_of_the_sync_sdk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments the keys come from ~/.cos_local_aes and ~/.cos_local_rsa."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made_aes = AESProvider.create("~/.cos_local_aes/.aes_key.pem")
    made_rsa = RSAProvider.create(
        "~/.cos_local_rsa/.public_key.pem", "~/.cos_local_rsa/.private_key.pem", bits=2048
    )
    assert (tmp_path / ".cos_local_aes" / ".aes_key.pem").is_file()
    assert await AESProvider().unwrap(await made_aes.wrap(DATA_KEY)) == DATA_KEY
    assert await RSAProvider().unwrap(await made_rsa.wrap(DATA_KEY)) == DATA_KEY


def test_a_machine_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows a home, the default places are a typed error as well."""
    for make in (
        lambda: AESProvider(aes_key_path="~nobody-of-this-name/aes.pem"),
        lambda: AESProvider(aes_key_path="a\0b"),
    ):
        with pytest.raises(ParameterError, match="cannot read the key file"):
            make()


def test_a_new_aes_key_has_32_random_bytes(tmp_path: Path) -> None:
    """Two keys that are made are not the same, and each has 256 bits."""
    keys = set()
    for name in ("a", "b"):
        AESProvider.create(tmp_path / name)
        keys.add(base64.b64decode((tmp_path / name).read_bytes(), validate=True))
    assert len(keys) == 2
    assert {len(key) for key in keys} == {32}


def test_open_key_files_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Row 50: a secret that others may read is warned of, once each time it is loaded."""
    public, private = (tmp_path / name for name in ("public.pem", "private.pem"))
    aes = tmp_path / "aes.pem"
    for file, text in ((public, rsa_pair()[0]), (private, rsa_pair()[1]), (aes, MASTER)):
        file.write_text(text)
        file.chmod(0o644)
    pair = RSAProvider.get_rsa_key_pair_path(public, private)
    for mode, warned in ((0o644, 1), (0o640, 1), (0o602, 1), (0o600, 0), (0o400, 0)):
        for load, secret in (
            (lambda: AESProvider(aes_key_path=aes), aes),
            (lambda: RSAProvider(pair), private),
        ):
            secret.chmod(mode)
            caplog.clear()
            load()
            assert [record.levelno for record in caplog.records] == [logging.WARNING] * warned
            assert all(str(secret) in record.getMessage() for record in caplog.records)
            assert MASTER not in caplog.text


@pytest.mark.parametrize("text", [MASTER + "\n", f"  {MASTER}\r\n"])
async def test_a_key_file_may_end_with_a_line_break(text: str, tmp_path: Path) -> None:
    """An editor that ends the last line does not make another key of it."""
    (tmp_path / "aes.pem").write_text(text)
    (tmp_path / "aes.pem").chmod(0o600)
    read = AESProvider(aes_key_path=tmp_path / "aes.pem")
    assert await AESProvider(MASTER).unwrap(await read.wrap(DATA_KEY)) == DATA_KEY


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """A folder, or a file that is no key, in the place of a key file is an error of its own."""
    (tmp_path / "binary").write_bytes(bytes(range(200, 256)))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "large").write_bytes(b"A" * 200_000)
    for name in (".", "binary", "empty", "large"):
        with pytest.raises(ParameterError):
            AESProvider(aes_key_path=tmp_path / name)
        with pytest.raises(ParameterError):
            RSAProvider(RSAProvider.get_rsa_key_pair_path(tmp_path / name, tmp_path / name))


# -- keys that are refused --------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "",
        "not base64!",
        MASTER[:-1],
        MASTER[:10] + " " + MASTER[10:],
        MASTER + "é",
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(33)).decode(),
        base64.b64encode(bytes(64)).decode(),
        5,
    ],
)
def test_wrong_aes_keys_are_refused(key: Any) -> None:
    """What is not base64 of 16, 24 or 32 bytes is refused, and not shown."""
    with pytest.raises(ParameterError) as refused:
        AESProvider(key)
    assert len(str(key)) < 12 or str(key)[:12] not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("size", [16, 24, 32])
async def test_aes_keys_of_each_length_work(size: int) -> None:
    """16, 24 and 32 bytes wrap and unwrap; the key's own id goes with what they wrapped."""
    provider = AESProvider(base64.b64encode(os.urandom(size)).decode())
    wrapped = await provider.wrap(DATA_KEY)
    assert await provider.unwrap(wrapped) == DATA_KEY
    assert wrapped.wrap == "AES-GCM"
    assert wrapped.key_id in repr(provider)
    with pytest.raises(aiocos.DecryptionError, match=wrapped.key_id):
        await AESProvider(MASTER).unwrap(wrapped)
    for changed in (b"", wrapped.key[:11], wrapped.key[:-1], wrapped.key + b"\0"):
        with pytest.raises(aiocos.DecryptionError):
            await provider.unwrap(wrapped._replace(key=changed))


@pytest.mark.parametrize(
    "pair",
    [
        ("", ""),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", rsa_pair()[1]),
        (rsa_pair()[1], rsa_pair()[1]),
        (rsa_pair()[0], rsa_pair()[0]),
        (rsa_pair()[0], "not a key"),
        (rsa_pair()[0], rsa_pair(1)[1]),
        pem(rsa.generate_private_key(65537, 1024)),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(dsa.generate_private_key(1024)),
        (rsa_pair()[0], pem(ec.generate_private_key(ec.SECP256R1()))[1]),
        (SM2, rsa_pair()[1]),
    ],
    ids=[
        "empty",
        "empty PEM",
        "private as public",
        "public as private",
        "no PEM",
        "mismatched",
        "1024 bits",
        "EC",
        "Ed25519",
        "DSA",
        "RSA and EC",
        "SM2",
    ],
)
def test_wrong_rsa_keys_are_refused(pair: tuple[str, str]) -> None:
    """What is not a pair of RSA keys of 2,048 bits or more is refused, and not shown."""
    with pytest.raises(ParameterError) as refused:
        RSAProvider(RSAProvider.get_rsa_key_pair(*pair))
    assert "BEGIN" not in str(refused.value)


def test_rsa_keys_too_long_for_an_envelope_are_refused() -> None:
    """More than 8,192 bits have no place in an envelope, and are refused when they are loaded."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << 9000) + 1)
    public = numbers.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(ParameterError, match=r"8,?192"):
        RSAProvider(RSAProvider.get_rsa_key_pair(public, None))


def test_what_is_no_pair_is_refused() -> None:
    """Texts in the place of a pair are an error that is typed."""
    for wrong in (rsa_pair(), "path", b"path", 5):
        with pytest.raises(ParameterError, match="key_pair_info"):
            RSAProvider(wrong)  # type: ignore[arg-type]  # what a caller may get wrong


async def test_a_public_key_alone_encrypts(emulator: CosEmulator) -> None:
    """Who has no private key writes objects that he cannot read, and is told so."""
    public, private = rsa_pair()
    writer = RSAProvider(RSAProvider.get_rsa_key_pair(public, None))
    async with encrypting(emulator, writer) as client:
        await client.put_object(BUCKET, b"content", "k")
        with pytest.raises(aiocos.DecryptionError, match="no private key"):
            await client.get_object(BUCKET, "k")
    reader = RSAProvider(RSAProvider.get_rsa_key_pair(public, private))
    async with encrypting(emulator, reader) as client:
        assert await (await client.get_object(BUCKET, "k"))["Body"].read() == b"content"


async def test_passphrases(tmp_path: Path) -> None:
    """A private key with a passphrase opens with it alone, and is in the file encrypted."""
    provider = made(RSAProvider.create, tmp_path, passphrase="open sesame")
    files = tmp_path / "public.pem", tmp_path / "private.pem"
    assert b"ENCRYPTED" in files[1].read_bytes()
    pair = RSAProvider.get_rsa_key_pair_path(*files)
    for right in ("open sesame", b"open sesame"):
        read = RSAProvider(pair, passphrase=right)
        assert await read.unwrap(await provider.wrap(DATA_KEY)) == DATA_KEY
    for wrong, told in (("shut", "passphrase"), (None, "needs its passphrase"), ("", "empty")):
        with pytest.raises(ParameterError, match=told) as refused:
            RSAProvider(pair, passphrase=wrong)
        assert "shut" not in str(refused.value)
    bare = RSAProvider.get_rsa_key_pair(*rsa_pair())
    with pytest.raises(ParameterError, match="has no passphrase"):
        RSAProvider(bare, passphrase="open sesame")


def test_an_empty_passphrase_makes_no_bare_key(tmp_path: Path) -> None:
    """A passphrase that is empty, as of a variable that is not set, is refused."""
    with pytest.raises(ParameterError, match="empty"):
        made(RSAProvider.create, tmp_path, passphrase="")
    assert not list(tmp_path.iterdir())


# -- nothing shows them -----------------------------------------------------------------


def test_keys_given_as_paths_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A key in the place of a path is a mistake; the error about it does not show the key."""
    public, private = rsa_pair()
    secret = private.splitlines()[3]
    keys = [base64.b64encode(os.urandom(size)).decode() for size in (16, 24, 32)]
    for make in (
        *(lambda key=key: AESProvider(aes_key_path=key) for key in keys),
        lambda: RSAProvider(RSAProvider.get_rsa_key_pair("public.pem", private)),
        lambda: RSAProvider(RSAProvider.get_rsa_key_pair_path(public, private)),
        lambda: RSAProvider(RSAProvider.get_rsa_key_pair_path(__file__, private)),
        lambda: RSAProvider(RSAProvider.get_rsa_key_pair(public, "private.pem")),
    ):
        with pytest.raises(ParameterError) as refused:
            make()
        error: BaseException | None = refused.value
        while error is not None:
            assert secret not in str(error)
            assert not any(key in str(error) for key in keys)
            error = error.__cause__
    assert secret not in caplog.text


async def test_no_repr_shows_a_key(caplog: pytest.LogCaptureFixture, emulator: CosEmulator) -> None:
    """Providers, pairs, clients and their log name a key's id and never the key."""
    caplog.set_level(logging.DEBUG)
    pair = RSAProvider.get_rsa_key_pair(*rsa_pair())
    seen = [pair, RSAProvider(pair), AESProvider(MASTER)]
    async with encrypting(emulator) as client:
        await client.put_object(BUCKET, b"content", "k")
        seen += [client, client.coding, await client.head_object(BUCKET, "k")]
    shown = "".join(f"{one!r}{one!s}" for one in seen) + caplog.text
    raw = base64.b64decode(MASTER)
    for secret in (MASTER, raw.hex(), repr(raw), rsa_pair()[1].splitlines()[3]):
        assert secret not in shown


# -- as in the document -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["aes value", "aes path", "rsa value", "rsa path"])
async def test_samples_of_the_document(kind: str, emulator: CosEmulator, tmp_path: Path) -> None:
    """Both samples of the document run as they are written, with await in front."""
    public_key, private_key = rsa_pair()
    aes_key_path, public_path, private_path = (
        str(tmp_path / name) for name in ("aes", "public", "private")
    )
    for path, text in (
        (aes_key_path, MASTER),
        (public_path, public_key),
        (private_path, private_key),
    ):
        Path(path).write_text(text)
        Path(path).chmod(0o600)
    provider: aiocos.KeyProvider
    if kind == "aes value":
        provider = AESProvider(aes_key=MASTER)
    elif kind == "aes path":
        provider = AESProvider(aes_key_path=aes_key_path)
    elif kind == "rsa value":
        rsa_key_pair = RSAProvider.get_rsa_key_pair(public_key, private_key)
        provider = RSAProvider(key_pair_info=rsa_key_pair)
    else:
        rsa_key_pair = RSAProvider.get_rsa_key_pair(public_path, private_path)
        provider = RSAProvider(key_pair_info=rsa_key_pair)
    conf = aiocos.CosConfig(**emulator.settings())
    await emulator.create_bucket("test04-123456789")
    local = tmp_path / "local.txt"
    local.write_bytes(os.urandom(70_000))

    async with aiocos.CosEncryptionClient(conf, provider) as client:
        with local.open("rb") as file:
            response: Any = await client.put_object(
                Bucket=BUCKET, Body=file, Key="exampleobject", EnableMD5=False
            )
        response = await client.get_object(Bucket=BUCKET, Key="exampleobject")
        assert await response["Body"].read() == local.read_bytes()

        response = await client.create_multipart_upload(Bucket=BUCKET, Key="exampleobject_upload")
        uploadid = response["UploadId"]
        await client.upload_part(
            Bucket=BUCKET,
            Key="exampleobject_upload",
            Body=b"bytes",
            PartNumber=1,
            UploadId=uploadid,
        )
        response = await client.list_parts(
            Bucket=BUCKET, Key="exampleobject_upload", UploadId=uploadid
        )
        await client.complete_multipart_upload(
            Bucket=BUCKET,
            Key="exampleobject_upload",
            UploadId=uploadid,
            MultipartUpload={"Part": response["Part"]},
        )
        response = await client.get_object(BUCKET, "exampleobject_upload")
        assert await response["Body"].read() == b"bytes"

        response = await client.upload_file(
            Bucket="test04-123456789",
            LocalFilePath=str(local),
            Key="file_name",
            PartSize=10,
            MAXThread=10,
        )
        response = await client.get_object("test04-123456789", "file_name")
        assert await response["Body"].read() == local.read_bytes()


async def test_one_provider_serves_many_tasks_and_threads() -> None:
    """A provider holds no state that two calls could mix up."""
    public, private = rsa_pair()
    providers = [
        AESProvider(MASTER),
        RSAProvider(RSAProvider.get_rsa_key_pair(public, private)),
    ]

    async def one(provider: Any, number: int) -> None:
        data_key = number.to_bytes(32)
        assert await provider.unwrap(await provider.wrap(data_key)) == data_key
        legacy = provider.wrap_legacy(data_key, number.to_bytes(16))
        opened = await asyncio.to_thread(provider.unwrap_legacy, legacy)
        assert opened == (data_key, number.to_bytes(16))

    before = threading.active_count()
    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(one(providers[number % 2], number))
    assert threading.active_count() <= before + 40


@pytest.mark.parametrize("wrong", [None, "key", object(), AESProvider])
def test_what_is_no_provider_is_refused(wrong: Any) -> None:
    """A client without a provider of keys is not made."""
    config = aiocos.CosConfig(Region="ap-guangzhou", SecretId="a", SecretKey="b")
    with pytest.raises(ParameterError, match="provider"):
        aiocos.CosEncryptionClient(config, wrong)

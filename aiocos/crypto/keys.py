"""Master keys: they wrap data keys, and unwrap them again.

In: a key, or a file that has it. Out: a provider; ``AESProvider`` and ``RSAProvider`` keep the
key in this process, anything with ``wrap`` and ``unwrap`` may keep it elsewhere. The key is in
no repr, log or error. No key file is made unless asked for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import os
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, runtime_checkable

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aiocos.crypto.ciphers import KEY_BYTES, derived
from aiocos.crypto.envelopes import LegacyEnvelope, WrappedKey
from aiocos.crypto.keyfiles import read_key, remove_key, write_key
from aiocos.errors import DecryptionError, ParameterError

AES_WRAP: Final = "AES-GCM"
RSA_WRAP: Final = "RSA-OAEP-SHA256"
START_BYTES: Final = 16
_LABEL: Final = b"aiocos client-side encryption 2: data key"
_NONCE_BYTES: Final = 12
_KEY_SIZES: Final = frozenset({16, 24, 32})
_FEWEST_BITS: Final = 2048
_MOST_BITS: Final = 8192
_BEGIN: Final = b"-----BEGIN"
_AES_FILE: Final = "~/.cos_local_aes/.aes_key.pem"
_PUBLIC_FILE: Final = "~/.cos_local_rsa/.public_key.pem"
_PRIVATE_FILE: Final = "~/.cos_local_rsa/.private_key.pem"


@runtime_checkable
class KeyProvider(Protocol):
    """Keeps a master key, here or in a key service.

    Calls may come from many tasks at once. ``unwrap`` gets keys of older master keys as well:
    ``WrappedKey.key_id`` tells which.
    """

    async def wrap(self, data_key: bytes) -> WrappedKey:
        """Wrap a data key of 32 bytes, under the present master key."""
        ...

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Return the data key.

        Raises:
            DecryptionError: this provider does not have the master key, or the text was changed.
        """
        ...


def check_provider(provider: object) -> None:
    """Refuse what is no provider; a class of providers has its methods, too."""
    if isinstance(provider, type) or not isinstance(provider, KeyProvider):
        raise ParameterError(
            "provider must be an AESProvider, an RSAProvider or another KeyProvider"
        )


@runtime_checkable
class LegacyProvider(KeyProvider, Protocol):
    """Can wrap as the sync SDK does, too."""

    def wrap_legacy(self, data_key: bytes, start: bytes) -> LegacyEnvelope:
        """Wrap a data key and the first counter."""
        ...

    def unwrap_legacy(self, envelope: LegacyEnvelope) -> tuple[bytes, bytes]:
        """Return the data key and the first counter."""
        ...


class AESProvider:
    """A master key of 16, 24 or 32 bytes, in base64: given, or in a file.

    Without arguments it is read from where the sync SDK keeps it,
    ``~/.cos_local_aes/.aes_key.pem``. ``AESProvider.create(path)`` makes a new one.

    Raises:
        ParameterError: it is not such a key, or there is no such file.

    Source: COS SDK document, "Client-side encryption".
    """

    def __init__(
        self, aes_key: str | None = None, aes_key_path: str | os.PathLike[str] | None = None
    ) -> None:
        if aes_key is None:
            path = _AES_FILE if aes_key_path is None else aes_key_path
            try:
                aes_key = read_key(path, "AESProvider.create").decode().strip()
            except UnicodeDecodeError:
                raise ParameterError(f"{path} does not hold a key in base64") from None
        self._key = _decoded(aes_key)
        self._wrapping = AESGCM(derived(self._key, "wrapping"))
        self._key_id = derived(self._key, "key id")[:8].hex()

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> AESProvider:
        """Make a new key of 32 bytes, in a new file that only its owner can read.

        Raises:
            FileExistsError: there is a file already; it is not touched.
        """
        write_key(path, base64.b64encode(os.urandom(KEY_BYTES)))
        return cls(aes_key_path=path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key_id={self._key_id!r})"

    async def wrap(self, data_key: bytes) -> WrappedKey:
        """Wrap a data key."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._wrapping.encrypt(nonce, data_key, _LABEL)
        return WrappedKey(AES_WRAP, self._key_id, sealed)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Return the data key.

        Raises:
            DecryptionError: another key wrapped it, or the text was changed.
        """
        _check_kind(wrapped, AES_WRAP, self._key_id)
        nonce, sealed = wrapped.key[:_NONCE_BYTES], wrapped.key[_NONCE_BYTES:]
        try:
            return self._wrapping.decrypt(nonce, sealed, _LABEL)
        except (InvalidTag, ValueError):
            raise _not_ours(wrapped, self._key_id) from None

    def wrap_legacy(self, data_key: bytes, start: bytes) -> LegacyEnvelope:
        """Wrap as the sync SDK does: with the same key stream for every object."""
        wrapped = self._legacy_stream(data_key + start)
        return LegacyEnvelope(wrapped[:KEY_BYTES], wrapped[KEY_BYTES:])

    def unwrap_legacy(self, envelope: LegacyEnvelope) -> tuple[bytes, bytes]:
        """Undo ``wrap_legacy``; with another key it gives other bytes, which nothing tells."""
        if (len(envelope.key), len(envelope.start)) != (KEY_BYTES, START_BYTES):
            raise DecryptionError("the wrapped key is not one that an AES key has wrapped")
        opened = self._legacy_stream(envelope.key + envelope.start)
        return opened[:KEY_BYTES], opened[KEY_BYTES:]

    def _legacy_stream(self, content: bytes) -> bytes:
        stream = Cipher(algorithms.AES(self._key), modes.CTR(bytes(16))).encryptor()
        return stream.update(content)


class RSAKeyPair(NamedTuple):
    """A pair of keys in PEM; without the private one nothing can be read."""

    public_key: bytes
    private_key: bytes | None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


@dataclass(frozen=True, slots=True)
class RSAKeyPairPath:
    """Where the two keys are, each in a file."""

    public_key_path: str | os.PathLike[str] = field(default=_PUBLIC_FILE)
    private_key_path: str | os.PathLike[str] | None = field(default=_PRIVATE_FILE)


class RSAProvider:
    """A pair of RSA keys, of 2,048 to 8,192 bits, in PEM: given, or in two files.

    Without ``key_pair_info`` the files are those of the sync SDK, in ``~/.cos_local_rsa``. A
    pair without a private key can encrypt and not decrypt. ``RSAProvider.create`` makes a pair.

    Raises:
        ParameterError: these are not such keys, or there is no such file.

    Source: COS SDK document, "Client-side encryption".
    """

    def __init__(
        self,
        key_pair_info: RSAKeyPair | RSAKeyPairPath | None = None,
        *,
        passphrase: str | bytes | None = None,
    ) -> None:
        self._is_text = isinstance(key_pair_info, RSAKeyPair)
        pair = key_pair_info or RSAKeyPairPath()
        if isinstance(pair, RSAKeyPairPath):
            pair = _pair_of(pair)
        if not isinstance(pair, RSAKeyPair):
            raise ParameterError("key_pair_info must come from RSAProvider.get_rsa_key_pair")
        self._public = _public_key(pair.public_key)
        self._private = None
        if pair.private_key is not None:
            self._private = _private_key(pair.private_key, passphrase)
            if self._private.public_key().public_numbers() != self._public.public_numbers():
                raise ParameterError("the public and the private key do not belong together")
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        digest = hashes.Hash(hashes.SHA256())
        digest.update(self._public.public_bytes(serialization.Encoding.DER, form))
        self._key_id = digest.finalize()[:8].hex()

    @staticmethod
    def get_rsa_key_pair(
        public_key: str | bytes, private_key: str | bytes | None
    ) -> RSAKeyPair | RSAKeyPairPath:
        """Return a pair whose keys are texts in PEM, or, as in the document, paths of files."""
        public = os.fsencode(public_key)
        private = None if private_key is None else os.fsencode(private_key)
        if _BEGIN not in public:
            return RSAKeyPairPath(
                os.fsdecode(public), None if private is None else os.fsdecode(private)
            )
        return RSAKeyPair(public, private)

    @staticmethod
    def get_rsa_key_pair_path(
        public_key_path: str | os.PathLike[str], private_key_path: str | os.PathLike[str] | None
    ) -> RSAKeyPairPath:
        """Return a pair whose keys are in files."""
        return RSAKeyPairPath(public_key_path, private_key_path)

    @classmethod
    def create(
        cls,
        public_key_path: str | os.PathLike[str],
        private_key_path: str | os.PathLike[str],
        *,
        passphrase: str | bytes | None = None,
        bits: int = 3072,
    ) -> RSAProvider:
        """Make a new pair, in two new files that only their owner can read.

        Raises:
            FileExistsError: one is there already; neither is touched.
        """
        secret = _secret(passphrase)
        size = min(max(bits, _FEWEST_BITS), _MOST_BITS)
        key = rsa.generate_private_key(public_exponent=65537, key_size=size)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(secret)
            if secret
            else serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_key(private_key_path, private)
        try:
            write_key(public_key_path, public)
        except BaseException:
            remove_key(private_key_path)
            raise
        return cls(RSAKeyPairPath(public_key_path, private_key_path), passphrase=passphrase)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key_id={self._key_id!r})"

    async def wrap(self, data_key: bytes) -> WrappedKey:
        """Wrap a data key."""
        sealed = self._public.encrypt(data_key, _oaep(hashes.SHA256()))
        return WrappedKey(RSA_WRAP, self._key_id, sealed)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Return the data key; some milliseconds of work, in a thread.

        Raises:
            DecryptionError: another key wrapped it, or the text was changed.
        """
        _check_kind(wrapped, RSA_WRAP, self._key_id)
        try:
            return await asyncio.to_thread(self._opened, wrapped.key, _oaep(hashes.SHA256()))
        except ValueError:
            raise _not_ours(wrapped, self._key_id) from None

    def wrap_legacy(self, data_key: bytes, start: bytes) -> LegacyEnvelope:
        """Wrap as the sync SDK does: its padding depends on where the keys came from."""
        pad = padding.PKCS1v15() if self._is_text else _oaep(hashes.SHA1())  # noqa: S303 - its format
        return LegacyEnvelope(self._public.encrypt(data_key, pad), self._public.encrypt(start, pad))

    def unwrap_legacy(self, envelope: LegacyEnvelope) -> tuple[bytes, bytes]:
        """Undo ``wrap_legacy``, whichever padding it was.

        Raises:
            DecryptionError: another key wrapped it.
        """
        for pad in (_oaep(hashes.SHA1()), padding.PKCS1v15()):  # noqa: S303 - its format
            with contextlib.suppress(ValueError):
                key, start = self._opened(envelope.key, pad), self._opened(envelope.start, pad)
                if (len(key), len(start)) == (KEY_BYTES, START_BYTES):
                    return key, start
        raise DecryptionError("the data key was wrapped by another master key, or changed")

    def _opened(self, sealed: bytes, pad: padding.AsymmetricPadding) -> bytes:
        if self._private is None:
            raise DecryptionError("there is no private key, so nothing can be decrypted")
        return self._private.decrypt(sealed, pad)


def _oaep(algorithm: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(algorithm), algorithm, None)


def _check_kind(wrapped: WrappedKey, wrap: str, key_id: str) -> None:
    if wrapped.wrap != wrap or wrapped.key_id != key_id:
        raise _not_ours(wrapped, key_id)


def _not_ours(wrapped: WrappedKey, key_id: str) -> DecryptionError:
    return DecryptionError(
        f"the data key was wrapped by the master key {wrapped.key_id!r} ({wrapped.wrap}), and this "
        f"one is {key_id!r}; or it was changed"
    )


def _decoded(text: object) -> bytes:
    """Return the key that a text in base64 has; the text is not shown."""
    try:
        if not isinstance(text, str):
            raise ValueError("not a text")  # noqa: TRY301, TRY004 - as every other fault of it
        key = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error, UnicodeEncodeError):
        raise ParameterError(
            "the AES key is not base64; a file that holds one is given as aes_key_path="
        ) from None
    if len(key) not in _KEY_SIZES:
        raise ParameterError(f"the AES key has {len(key)} bytes, and must have 16, 24 or 32")
    return key


def _pair_of(paths: RSAKeyPairPath) -> RSAKeyPair:
    hint = "RSAProvider.create"
    private = paths.private_key_path
    return RSAKeyPair(
        read_key(paths.public_key_path, hint, is_secret=False),
        None if private is None else read_key(private, hint),
    )


def _public_key(pem: bytes) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ParameterError("the public key is not a key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey) or not _FEWEST_BITS <= key.key_size <= _MOST_BITS:
        raise ParameterError("the public key is not an RSA key of 2,048 to 8,192 bits")
    return key


def _private_key(pem: bytes, passphrase: str | bytes | None) -> rsa.RSAPrivateKey:
    secret = _secret(passphrase)
    try:
        key = serialization.load_pem_private_key(pem, secret)
    except TypeError as error:
        is_locked = "not given" in str(error)
        told = "needs its passphrase" if is_locked else "has no passphrase, and one was given"
        raise ParameterError(f"the private key {told}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ParameterError(
            "the private key is not a key in PEM, or has another passphrase"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ParameterError("the private key is not an RSA key")
    return key


def _secret(passphrase: str | bytes | None) -> bytes | None:
    if passphrase is not None and not passphrase:
        raise ParameterError("the passphrase is empty: leave it out where there is none")
    return passphrase.encode() if isinstance(passphrase, str) else passphrase

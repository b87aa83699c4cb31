"""The server's own certificate, made on the spot.

In: a directory and the names a client may use. Out: ``Certificate``: a file that a client
is told to trust, and the TLS settings of the server. An authority signs one certificate
and its key is then forgotten, so that nobody can ever make another one that the file
vouches for. Both are kept, and made anew before they end or when a name is new.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=90)
RENEWAL = datetime.timedelta(days=14)
"""One with less left than this is made anew when the server starts."""

_DOMAINS = ("myqcloud.com", "tencentcos.cn")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate is."""

    authority: Path
    """What a client trusts."""
    server: Path
    """The server's key and certificate, which only its owner can read."""

    def serving(self) -> ssl.SSLContext:
        """The TLS settings of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self.server)
        return context


def names(region: str, further: Iterable[str], buckets: Iterable[str]) -> tuple[str, ...]:
    """The names of this machine, of COS, and of whatever else the server answers to."""
    found = [*_LOOPBACK, "*.localhost"]
    # OpenSSL takes no wildcard right below a top level name.
    found += [f"{bucket}.localhost" for bucket in buckets]
    for domain in _DOMAINS:
        found += [f"service.cos.{domain}", f"service.cos.{region}.{domain}"]
        for place in (f"cos.{region}", f"cos-internal.{region}", "cos.accelerate"):
            found += [f"{place}.{domain}", f"*.{place}.{domain}"]
    for name in further:
        found += [name] if _address(name) else [name, f"*.{name}"]
    return tuple(dict.fromkeys(found))


def keep(folder: Path, wanted: Iterable[str]) -> Certificate:
    """The certificate of this directory, made if there is none that will do."""
    kept = Certificate(folder / "ca.pem", folder / "server.pem")
    wanted = tuple(wanted)
    if not _will_do(kept, wanted):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(kept, wanted)
    return kept


def _will_do(kept: Certificate, wanted: tuple[str, ...]) -> bool:
    try:
        kept.serving()
        found = x509.load_pem_x509_certificate(kept.server.read_bytes())
        issuer = x509.load_pem_x509_certificate(kept.authority.read_bytes())
        found.verify_directly_issued_by(issuer)
        names_there = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
        return False
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > RENEWAL and set(map(_general, wanted)) <= set(names_there)


def _make(files: Certificate, wanted: tuple[str, ...]) -> None:
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _authority(authority_key)
    signed = _server(key, authority, authority_key, wanted)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(files.authority, _pem(authority), 0o644)
    _write(files.server, _pem(signed) + private, 0o600)


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aiocos local COS server")])
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    wanted: tuple[str, ...],
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(name, authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(above, critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_general, wanted)), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(name)
    return None


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place; nobody ever sees half of it, or more of it than ``mode`` lets."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
    new.replace(path)

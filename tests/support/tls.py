"""Throwaway certificates, made for one run of the tests.

In: a directory and host names. Out: PEM files and the TLS settings of a server.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """Files of one authority, of a server and of a client it vouches for."""

    authority: Path
    server: Path
    client: Path
    client_certificate: Path
    client_key: Path

    @classmethod
    def make(cls, folder: Path, names: Sequence[str]) -> Certificates:
        key, root = _signed("authority", None, None, [])
        files = cls(
            folder / "ca.pem",
            folder / "server.pem",
            folder / "client.pem",
            folder / "client.crt",
            folder / "client.key",
        )
        files.authority.write_bytes(_pem(root))
        server_key, server = _signed("server", key, root, names)
        files.server.write_bytes(_pem(server) + _private(server_key))
        client_key, client = _signed("client", key, root, [])
        files.client.write_bytes(_pem(client) + _private(client_key))
        files.client_certificate.write_bytes(_pem(client))
        files.client_key.write_bytes(_private(client_key))
        return files

    def serving(self, *, wants_client: bool = False) -> ssl.SSLContext:
        """TLS settings of the server, which may want to see the client's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        if wants_client:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _signed(
    name: str,
    issuer_key: ec.EllipticCurvePrivateKey | None,
    issuer: x509.Certificate | None,
    names: Sequence[str],
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return key, builder.sign(issuer_key or key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

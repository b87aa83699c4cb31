"""The sink: built once, started for each cell of a table.

In: what the server is to be like. Out: its port, and what arrived there. ``cc`` builds it when
it is first used, into the user's cache directory; without OpenSSL's headers it has no TLS.
"""

from __future__ import annotations

import datetime
import hashlib
import http.client
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.content import block, md5_of

HERE = Path(__file__).parent
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
DAY = datetime.timedelta(days=1)


class NoCompiler(RuntimeError):
    """There is no C compiler here, or it could not build the sink."""


def find_compiler() -> str | None:
    """Return the C compiler: ``$CC``, else ``cc``."""
    return shutil.which(os.environ.get("CC", "cc"))


def cache_directory() -> Path:
    """Return where the built server is kept, outside the tree."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(home).expanduser() / "aiocos-benchmarks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"aiocos-benchmarks-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Build:
    """A built server."""

    program: Path
    has_tls: bool


def build() -> Build:
    """Build the server, unless it is there already.

    Raises:
        NoCompiler: no ``cc``, or it does not compile here; the message says what to do.
    """
    compiler = find_compiler()
    if compiler is None:
        raise NoCompiler(
            "the benchmarks build their server with a C compiler, and there is no cc here: "
            "install one (apt install gcc, dnf install gcc), or name yours in $CC"
        )
    digest = hashlib.sha256(repr((compiler, FLAGS)).encode())
    for source in sorted(HERE.glob("sink*.[ch]")):
        digest.update(source.read_bytes())
    found = {
        kind: cache_directory() / f"sink-{digest.hexdigest()[:16]}-{kind}"
        for kind in ("tls", "plain")
    }
    if found["tls"].exists():
        return Build(found["tls"], has_tls=True)
    errors = _compile(compiler, found["tls"], "-DWITH_TLS", "-lssl", "-lcrypto")
    if errors is None:
        return Build(found["tls"], has_tls=True)
    errors = None if found["plain"].exists() else _compile(compiler, found["plain"])
    if errors is not None:
        raise NoCompiler(f"{compiler} could not build the server (Linux only):\n{errors}")
    return Build(found["plain"], has_tls=False)


def _compile(compiler: str, target: Path, *more: str) -> str | None:
    """Compile; return what went wrong."""
    made = target.with_name(f"{target.name}.{os.getpid()}")
    libraries = [word for word in more if word.startswith("-l")]
    options = [word for word in more if not word.startswith("-l")]
    command = [compiler, *FLAGS, *options, "-o", str(made), str(HERE / "sink.c"), *libraries]
    done = subprocess.run([*command, "-lpthread"], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr
    made.replace(target)
    return None


@dataclass(frozen=True)
class Setting:
    """What the server is like."""

    tls: bool = False
    latency_ms: float = 0
    rate_mb: float = 0
    keys: int = 0
    threads: int = 1
    damage: str = ""
    md5_size: int = 0


class Sink:
    """A running server."""

    def __init__(self, port: int, tls: bool, authority: Path) -> None:
        self.port = port
        self.tls = tls
        self.authority = authority

    def ask(self, path: str) -> str:
        """Return what the server answers the harness."""
        if self.tls:
            context = ssl.create_default_context(cafile=str(self.authority))
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=60, context=context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stats(self) -> dict[str, Any]:
        """Return what was counted since the last reset."""
        return json.loads(self.ask("/-/stats"))

    def reset(self) -> None:
        """Forget all objects and counts."""
        self.ask("/-/reset")

    def objects(self) -> dict[str, tuple[int, int]]:
        """Return size and CRC-64 of every stored object."""
        lines = (line.split(" ", 2) for line in self.ask("/-/objects").split("\n") if line)
        return {key: (int(size), int(crc)) for size, crc, key in lines}


@contextmanager
def running(setting: Setting, folder: Path) -> Iterator[Sink]:
    """Run a server; ``folder`` takes its content and its certificate."""
    built = build()
    content = folder / "content"
    if not content.exists():
        content.write_bytes(block())
    authority, pem = make_certificate(folder)
    command = [str(built.program), "--content", str(content)]
    command += ["--keys", str(setting.keys), "--threads", str(setting.threads)]
    command += ["--latency", str(setting.latency_ms), "--rate", str(setting.rate_mb)]
    command += ["--tls", str(pem)] if setting.tls else []
    command += ["--damage", setting.damage] if setting.damage else []
    if setting.md5_size:
        command += ["--md5", f"{setting.md5_size}:{md5_of(setting.md5_size)}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start: see its message above")
        try:
            yield Sink(int(line), setting.tls, authority)
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make an authority and a certificate of 127.0.0.1; return both files, the last with its key.

    Two, because some TLS libraries refuse a server that vouches for itself.
    """
    authority, server = folder / "authority.pem", folder / "server.pem"
    if server.exists():
        return authority, server
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    text = serialization.Encoding.PEM
    authority.write_bytes(_certificate(keys[0], keys[0], is_authority=True).public_bytes(text))
    key = keys[1].private_bytes(
        text, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server.write_bytes(_certificate(keys[1], keys[0], is_authority=False).public_bytes(text) + key)
    return authority, server


def _certificate(key: Any, issuer_key: Any, *, is_authority: bool) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    issuer, own = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in ("benchmark authority", "127.0.0.1")
    )
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer if is_authority else own)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())

"""Row 44: canaries in every place of a secret, everything goes wrong, and nothing shows them.

All faults of the other tables befall calls, transfers and encrypting clients; then whatever a
person, a log collector or a collector of errors could see is searched for each canary, plain,
in capitals, in Base64, in hexadecimal and percent-encoded. That the search finds what it looks
for is shown by leaks that are planted, one for each surface.

Of a traceback with the locals of its frames it is promised that no frame of aiocos shows the
SecretKey, the token or a signature. What a caller passes to a method, such as an SSE-C key, is
a local of his own frames and of that method's; whoever collects locals collects it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import pickle
import random
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest

import aiocos
from aiocos import AESProvider, CosEncryptionClient, CosS3Client, TransferConfig
from aiocos.cli.serving import exports
from aiocos.emulator import CosEmulator, FaultRule
from tests import test_secrets
from tests.campaigns.retry_table import SCENARIOS
from tests.conftest import BUCKET
from tests.encryption.format2 import ENVELOPE, unwrapped
from tests.support.traces import Traces
from tests.test_secrets import CUSTOMER_KEY, SECRET_KEY, TOKEN, Listening

MASTER = b"canary: the master key, 32 bytes"
SERVER_KEY = "canaryKeyOfTheServer0123456789abcdef"
MIB = 1 << 20
PACKAGE = str(Path(aiocos.__file__).parent)


def _faults() -> dict[str, dict[str, Any]]:
    """Every fault of the older table, and of the retry table."""
    staged = {
        f"retry: {one.name}": {"operation": "*"} | one.rule
        for one in SCENARIOS
        if one.rule and "handshake" not in one.rule
    }
    return test_secrets.FAULTS | staged


FAULTS = _faults()
SAMPLE = ["explained 403", "reset at once", *random.Random(20_261_123).sample(sorted(FAULTS), 1)]


# -- looking


def forms(secret: bytes) -> set[bytes]:
    """How a secret may look in a text, in lower case."""
    found = {
        secret,
        quote(secret, safe="").encode(),
        secret.hex().encode(),
        repr(secret)[2:-1].encode(),
    }
    for lead in range(3):  # Base64 of a text in which the secret begins at any place
        coded = base64.b64encode(bytes(lead) + secret)
        inner = coded[(lead * 8 + 5) // 6 : len(coded) - 4]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return {form.lower() for form in found}


class Scan:
    """What was seen on each surface, and the canaries that must not be in it."""

    def __init__(self, **canaries: str | bytes) -> None:
        self.canaries: dict[str, set[bytes]] = {}
        self.seen: dict[str, list[bytes]] = {}
        for name, value in canaries.items():
            self.add(name, value)

    def add(self, name: str, value: str | bytes) -> None:
        """One more canary."""
        raw = value.encode() if isinstance(value, str) else value
        assert len(raw) >= 16
        self.canaries.setdefault(name, set()).update(forms(raw))

    def see(self, surface: str, *shown: object) -> None:
        """Something that was shown there."""
        pieces = self.seen.setdefault(surface, [])
        for one in shown:
            raw = one if isinstance(one, bytes) else str(one).encode("utf-8", "surrogateescape")
            pieces.append(raw.lower())

    def hits(self) -> list[str]:
        """Each canary that was seen, and where."""
        return sorted(
            f"{name} in {surface}"
            for surface, pieces in self.seen.items()
            for name, looks in self.canaries.items()
            if any(look in piece for look in looks for piece in pieces)
        )

    # -- what there is to see of things

    def see_error(self, error: BaseException) -> None:
        """All that can be read of an error and of those behind it."""
        seen: list[BaseException] = [error]
        for one in seen:
            chained = [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
            seen += [more for more in chained if more is not None and more not in seen]
            self.see("errors", str(one), repr(one), f"{one}", repr(one.args), repr(vars(one)))
            self.see("errors", repr(getattr(one, "__notes__", "")))
        self.see("tracebacks", "".join(traceback.format_exception(error)))
        if isinstance(error, aiocos.CosException):
            self.see("pickles", pickle.dumps(error), repr(pickle.loads(pickle.dumps(error))))
        self._see_locals(traceback.TracebackException.from_exception(error, capture_locals=True))

    def _see_locals(self, told: traceback.TracebackException) -> None:
        for frame in told.stack:
            if frame.filename.startswith(PACKAGE):
                for name, value in (frame.locals or {}).items():
                    if name not in {"options", "given"}:  # what the caller passed
                        self.see("locals", f"{frame.name} {name} {value}")
        for behind in (told.__cause__, told.__context__):
            if behind is not None:
                self._see_locals(behind)

    def see_files(self, *folders: Path) -> None:
        """The names and contents of files, such as are no object's."""
        for folder in folders:
            for path in folder.rglob("*"):
                self.see("files", path.name)
                if path.is_file():
                    self.see("files", path.read_bytes())


class _Records(logging.Handler):
    """Every record, with its arguments, its traceback and whatever else is in it."""

    def __init__(self, scan: Scan) -> None:
        super().__init__(1)
        self._scan = scan
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        place = "server's log" if record.name.startswith("aiocos.emulator") else "log"
        self._scan.see(place, self.format(record), repr(record.args), repr(record.__dict__))


@contextlib.contextmanager
def listening(scan: Scan) -> Iterator[None]:
    """Let the scan see all that is logged and warned of, at the lowest level there is."""
    handler = _Records(scan)
    names = ["", "aiocos", "aiohttp", "aiohttp.client", "aiohttp.server", "asyncio"]
    levels = {name: logging.getLogger(name).level for name in names}
    logging.getLogger().addHandler(handler)
    for name in names:
        logging.getLogger(name).setLevel(1)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            yield
        for one in told:
            scan.see("warnings", one.message, repr(one))
    finally:
        logging.getLogger().removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


# -- making everything go wrong


class Theatre:
    """A server, clients whose every secret is a canary, and what there was to see of them."""

    def __init__(self, folder: Path, emulator: CosEmulator, relay: Listening) -> None:
        self.folder, self.emulator, self.relay = folder, emulator, relay
        self.scan = Scan(
            secret_key=SECRET_KEY,
            token=TOKEN,
            customer_key=CUSTOMER_KEY,
            raw_customer_key=base64.b64decode(CUSTOMER_KEY),
            master_key=MASTER,
            server_key=SERVER_KEY,
        )
        self.traces = Traces(keys=True)
        self.calls = 0
        settings = test_secrets.settings_of(emulator, relay.port)
        self.config = aiocos.CosConfig(**settings, Timeouts=test_secrets.QUICK["Timeouts"])
        self.given: dict[str, Any] = {
            "retry": test_secrets.QUICK["retry"],
            "transfers": TransferConfig(single_mib=1, journal_dir=folder / "journals"),
            "telemetry": self.traces.telemetry,
        }

    def _ways(self, plain: CosS3Client, secret: CosEncryptionClient) -> list[Any]:
        source = self.folder / "source"
        target = self.folder / "target"
        ways = [lambda call=call: call(plain) for call in test_secrets.CALLS.values()]
        customer = test_secrets.CUSTOMER
        return [
            *ways,
            lambda: plain.upload_file(BUCKET, "up", str(source), PartSize=1, **customer),
            lambda: plain.download_file(BUCKET, "big", str(target), PartSize=1),
            lambda: plain.copy(BUCKET, "copied", {**test_secrets.SOURCE, "Key": "big"}),
            lambda: secret.put_object(BUCKET, b"x" * 100, "secret new"),
            lambda: secret.get_object(BUCKET, "secret"),
        ]

    async def play(self, rule: dict[str, Any]) -> None:
        """Let one fault befall every call."""
        (self.folder / "source").write_bytes(bytes(2 * MIB + 5))
        provider = AESProvider(base64.b64encode(MASTER).decode())
        patient = self.config.replace(Timeouts=aiocos.Timeouts())
        async with (
            CosS3Client(patient) as plain,
            CosEncryptionClient(patient, provider) as secret,
        ):
            await self._prepare(plain, secret)
        async with (
            CosS3Client(self.config, **self.given) as plain,
            CosEncryptionClient(self.config, provider) as secret,
        ):
            fault = self.emulator.add_fault(FaultRule(**rule)) if rule else None
            for way in self._ways(plain, secret):
                await self._one(way)
            assert fault is None or fault.fired
            self.scan.see("reprs", repr(plain), repr(secret), repr(self.config), str(self.config))
            self.emulator.heal()
        if TOKEN in str(rule):  # the account would show what the test itself told the server
            self.emulator.forget_requests()
        for signature in self.relay.signatures():
            self.scan.add("signature", signature)
        assert TOKEN.encode() in self.relay.heard
        assert self.relay.signatures()

    async def _prepare(self, plain: CosS3Client, secret: CosEncryptionClient) -> None:
        await secret.put_object(BUCKET, b"x" * 100, "secret")
        head = await plain.head_object(BUCKET, "secret")
        envelope = {name.lower(): value for name, value in head.items()}[ENVELOPE]
        self.scan.add("data key", unwrapped(MASTER, envelope))
        url = await plain.get_presigned_url(BUCKET, "there", "GET")
        self.scan.add("presigned signature", parse_qs(urlsplit(url).query)["q-signature"][0])

    async def _one(self, way: Any) -> None:
        self.calls += 1
        try:
            async with asyncio.timeout(20):
                result = await way()
        except Exception as error:  # each is looked at, whatever it is
            self.scan.see_error(error)
        else:
            if not isinstance(result, bytes):
                self.scan.see("results", repr(result), str(result))
                if isinstance(result, dict) and "Body" in result:
                    result["Body"].close()

    async def see_the_rest(self) -> None:
        """Look at what lies about when all is over."""
        scan, emulator = self.scan, self.emulator
        scan.see("spans", self.traces.everything())
        scan.see("server's account", repr(list(emulator.requests)), repr(emulator.faults))
        scan.see("server's account", *(str(record) for record in emulator.requests))
        scan.see("server's repr", repr(emulator))
        scan.see_files(self.folder)
        async with aiohttp.ClientSession() as browser:
            for page in ("state", "requests", "faults", "clock", "health"):
                async with browser.get(f"{emulator.url}/_emu/{page}") as answer:
                    scan.see("control", await answer.read())
            console = emulator.console_url
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(cookie_jar=jar) as user:
                for page in ("", "/requests", "/faults"):
                    place = urlsplit(console)
                    async with user.get(place._replace(path=place.path + page).geturl()) as answer:
                        scan.see("console", await answer.read())


@pytest.fixture
async def theatre(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with (
        CosEmulator(secret_id="AKIDserver", secret_key=SERVER_KEY) as emulator,
        Listening(emulator.port) as relay,
    ):
        emulator.add_credentials("AKIDcanary", SECRET_KEY, TOKEN)
        await emulator.put(BUCKET, "there", bytes(100_000))
        await emulator.put(BUCKET, "big", bytes(2 * MIB + 5))
        folder = tmp_path / "theatre"
        folder.mkdir()
        yield Theatre(folder, emulator, relay)


ALWAYS = {
    *("log", "reprs", "files", "spans", "server's account", "server's repr", "control", "console"),
    "output",
}
"""Surfaces that there are whatever happens."""


async def _scan(theatre: Theatre, fault: str, capfd, account) -> None:
    with listening(theatre.scan):
        await theatre.play(FAULTS[fault])
        await theatre.see_the_rest()
    theatre.scan.see("output", *capfd.readouterr())
    assert theatre.scan.seen.keys() >= ALWAYS
    account.note("secrets scan", fault, fault, theatre.scan.hits())


@pytest.mark.parametrize("fault", SAMPLE)
async def test_sample(theatre, capfd, account, fault):
    """Row 44: a refusal, a broken connection and a fault drawn by chance show no secret."""
    await _scan(theatre, fault, capfd, account)


@pytest.mark.campaign
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault(theatre, capfd, account, fault):
    """Row 44: whatever goes wrong, no secret is shown anywhere."""
    await _scan(theatre, fault, capfd, account)


# -- programs


async def _run(scan: Scan, *words: str, cwd: Path, **variables: str) -> int:
    """Run a program of ours with all it can say switched on, and look at what it said."""
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(PACKAGE).parent)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-m", *words, cwd=cwd, env=kept | variables,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    for pipe, told in zip(("stdout", "stderr"), await process.communicate(), strict=True):
        scan.see(f"{words[0]} {pipe}", told)
    assert process.returncode is not None
    return process.returncode


def _variables(theatre: Theatre) -> dict[str, str]:
    pairs = [line.split(" ", 1)[1].split("=", 1) for line in exports(theatre.emulator).splitlines()]
    canaries = {
        "COS_SECRET_ID": "AKIDcanary",
        "COS_SECRET_KEY": SECRET_KEY,
        "COS_TOKEN": TOKEN,
        "HOME": str(theatre.folder),
        "XDG_STATE_HOME": str(theatre.folder / "state"),
        "XDG_CONFIG_HOME": str(theatre.folder / "config"),
        "TMPDIR": str(theatre.folder),
    }
    return {name: value.strip("'") for name, value in pairs} | canaries


COMMANDS = {
    "ls": "ls cos://{bucket}",
    "cp up": "cp {folder}/source cos://{bucket}/up",
    "cp down": "cp cos://{bucket}/big {folder}/target",
    "rm": "rm -r cos://{bucket}/there --yes",
    "sync, planned": "sync {folder}/tree cos://{bucket}/tree --plan {folder}/plan.json",
    "doctor": "doctor",
}
CLI_FAULTS = {
    "none": {},
    "explained": FAULTS["explained 403"],
    "echo": FAULTS["echo in 400"],
    "reset": {"reset_request": 0},
    "page": FAULTS["echo as page"],
}


async def _command(theatre: Theatre, command: str, fault: str, account) -> None:
    folder = theatre.folder
    (folder / "tree").mkdir()
    (folder / "tree" / "a").write_bytes(b"a")
    (folder / "source").write_bytes(bytes(MIB))
    if CLI_FAULTS[fault]:
        theatre.emulator.add_fault(FaultRule(**CLI_FAULTS[fault]))
    words = COMMANDS[command].format(bucket=BUCKET, folder=folder).split()
    code = await _run(
        theatre.scan, "aiocos", *words, "--debug", "--json", cwd=folder, **_variables(theatre)
    )
    assert (code == 0) <= (fault == "none" or command == "doctor")
    theatre.scan.see_files(folder)
    account.note("secrets scan", f"aiocos {command}", f"{command}: {fault}", theatre.scan.hits())


async def test_a_command(theatre, account):
    """Row 44: a command that fails with --debug tells where, and no secret."""
    await _command(theatre, "sync, planned", "echo", account)


@pytest.mark.campaign
@pytest.mark.parametrize("fault", CLI_FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command(theatre, account, command, fault):
    """Row 44: neither output, nor plans, nor what is left on disk has a secret."""
    await _command(theatre, command, fault, account)


FAILING_TEST = """
from pathlib import Path

import pytest


@pytest.mark.cos(seed={"a": b"x"})
async def test_it(cos_client, cos_bucket, cos_emulator, cos_faults):
    Path("key").write_text(cos_emulator.settings()["SecretKey"])
    fault = cos_faults.fail("PutObject", status=403)
    server, client = cos_emulator, cos_client
    await client.get_object(cos_bucket, "a")
    requests = list(cos_emulator.requests)
    await cos_client.put_object(cos_bucket, b"x", "k")
"""


@pytest.mark.campaign
async def test_a_failing_test_of_a_user(theatre, account):
    """Row 44: a failing test shows fixtures, records and locals, and not the server's key."""
    folder = theatre.folder
    (folder / "test_theirs.py").write_text(FAILING_TEST)
    options = ["-vv", "-l", "--full-trace", "--log-level=DEBUG", "-o", "asyncio_mode=auto"]
    words = ["pytest", *options, "-p", "no:cacheprovider", "-p", "no:xdist"]
    assert await _run(theatre.scan, *words, cwd=folder, TMPDIR=str(folder)) == 1
    assert any(b"accessdenied" in told for told in theatre.scan.seen["pytest stdout"])
    theatre.scan.add("key made for the session", (folder / "key").read_text())
    account.note("secrets scan", "pytest", "a failing test", theatre.scan.hits())


# -- the search itself


def _fail_inside() -> None:
    """An error whose frame, one of ours by its name, has a token among its locals."""
    names: dict[str, Any] = {"token": TOKEN}
    source = "def planted(text):\n    copied = text\n    raise ValueError('planted')\n"
    exec(compile(source, f"{PACKAGE}/planted.py", "exec"), names)
    names["planted"](TOKEN)


def _raised(error: BaseException) -> BaseException:
    behind = RuntimeError("plain")
    behind.__cause__ = error
    return behind


def _noted() -> BaseException:
    error = ValueError("plain")
    error.add_note(f"sent {TOKEN}")
    return _raised(error)


async def _given(value: Any) -> Any:
    return value


async def _inside(theatre: Theatre) -> None:
    try:
        _fail_inside()
    except ValueError as error:
        theatre.scan.see_error(error)


async def _spans(theatre: Theatre) -> None:
    with theatre.traces.provider.get_tracer("x").start_as_current_span("x") as span:
        span.set_attribute("authorization", TOKEN)


def _log(name: str) -> Any:
    async def plant(theatre: Theatre) -> None:
        logging.getLogger(name).debug("%s", [TOKEN.encode()])

    return plant


def _at_once(plant: Any) -> Any:
    async def planted(theatre: Theatre) -> None:
        plant(theatre)

    return planted


def _pickled(theatre: Theatre) -> None:
    error = aiocos.CosException("plain")
    vars(error)["headers"] = {"Authorization": TOKEN}
    theatre.scan.see_error(error)


def _logged_error(theatre: Theatre) -> None:
    logging.getLogger("asyncio").error("it failed", exc_info=ValueError(TOKEN))


def _in_a_record(theatre: Theatre) -> None:
    record = theatre.emulator.requests[0]
    record.headers = [*record.headers, ("authorization", TOKEN)]


PLANTED = {
    "log of aiohttp": (_log("aiohttp.client"), "log"),
    "log of asyncio": (_log("asyncio"), "log"),
    "logged error": (_at_once(_logged_error), "log"),
    "server's log": (_log("aiocos.emulator"), "server's log"),
    "warning": (_at_once(lambda _: warnings.warn(f"bad {TOKEN}", stacklevel=1)), "warnings"),
    "note of a cause": (_at_once(lambda t: t.scan.see_error(_noted())), "errors"),
    "traceback": (_at_once(lambda t: t.scan.see_error(_raised(ValueError(TOKEN)))), "tracebacks"),
    "local": (_inside, "locals"),
    "pickle": (_at_once(_pickled), "pickles"),
    "result": (lambda theatre: theatre._one(lambda: _given({"x": TOKEN})), "results"),
    "span": (_spans, "spans"),
    "journal": (_at_once(lambda t: (t.folder / "j").write_text(SECRET_KEY)), "files"),
    "account": (_at_once(_in_a_record), "server's account"),
    "control": (_at_once(_in_a_record), "control"),
    "console": (_at_once(lambda t: t.emulator.fail("PutObject", body=TOKEN)), "console"),
    "output": (_at_once(lambda _: print(base64.b64encode(b"--" + TOKEN.encode()))), "output"),
}


@pytest.mark.parametrize("plant", PLANTED)
async def test_a_planted_leak_is_found(theatre, capfd, plant):
    """A leak of each kind, planted on its surface, is what the search finds."""
    act, surface = PLANTED[plant]
    async with CosS3Client(theatre.config) as client:
        await client.head_bucket(BUCKET)
    with listening(theatre.scan):
        await act(theatre)
        await theatre.see_the_rest()
    theatre.scan.see("output", *capfd.readouterr())
    found = {hit.partition(" in ")[2] for hit in theatre.scan.hits()}
    assert surface in found


@pytest.mark.parametrize("surface", ["aiocos stderr", "pytest stdout", "reprs", "server's repr"])
@pytest.mark.parametrize(
    "look",
    [
        lambda raw: raw,
        lambda raw: raw.upper(),
        lambda raw: base64.b64encode(b"a:" + raw),
        lambda raw: base64.urlsafe_b64encode(raw + b"and more"),
        lambda raw: raw.hex().upper().encode(),
        lambda raw: quote(raw, safe="").encode(),
        lambda raw: repr(raw).encode(),
    ],
)
def test_every_form_is_found(surface, look):
    """A secret is found in capitals, in Base64 at any place, in hexadecimal and encoded."""
    secret = bytes(range(120, 152)) + b"/+ %"
    scan = Scan(key=secret, other="x" * 32)
    scan.see(surface, b"before " + look(secret) + b" after")
    assert scan.hits() == [f"key in {surface}"]

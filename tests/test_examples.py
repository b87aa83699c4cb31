"""Every file of examples/ runs, and does what it says."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
STRICT = ["-X", "dev", "-W", "error"]


def run(name: str, *words: str, code: int = 0) -> str:
    """Run an example to its end and return what it printed."""
    command = [sys.executable, *STRICT, EXAMPLES / name, *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def check_round_trip() -> None:
    lines = run("round_trip.py").splitlines()
    assert lines[0] == str(EXAMPLES.parent)
    assert int(lines[-2].split(": ")[1].split()[0]) > 50
    assert lines[-1] == "identical"


def check_multipart() -> None:
    *parts, joined = run("multipart.py").splitlines()
    digests = [hashlib.md5(bytes([number]) * 1024 * 1024).digest() for number in range(1, 6)]
    whole = hashlib.md5(b"".join(digests)).hexdigest()
    assert parts == [
        f'part {number}: 1048576 bytes, "{digest.hex()}"'
        for number, digest in enumerate(digests, start=1)
    ]
    assert joined == f'joined: 5242880 bytes, "{whole}-5"'


def check_presigned() -> None:
    assert run("presigned.py").splitlines() == [
        "upload:   200",
        "download: 200 Dear all",
        "delete:   403 the address is good for GET only",
        "form:     204 True",
    ]


def check_encryption() -> None:
    assert run("encryption.py").splitlines() == [
        "a range:   at n",
        "old key:   refused",
        "new key:   verified by aead",
        "in all:    meet at noon, tell nobody",
    ]


def check_error_handling() -> None:
    lines = [line.split(":", 1) for line in run("error_handling.py").splitlines()]
    assert {name: told.strip() for name, told in lines} == {
        "there": "good morning",
        "not there": "not there (NoSuchKey)",
        "no key": "cannot be right: Key is required and must not be empty",
        "taken": "PreconditionFailed",
        "no server": "no answer: TransportError",
    }


def check_directories() -> None:
    assert run("directories.py").splitlines() == [
        "uploaded   3 files, 59 bytes",
        "skipped    latest: a symbolic link",
        "refused    site/../../.bashrc: the path would have a segment ..",
        "downloaded archive/photo.jpg, img/logo.png, index.html",
        "encoded    %2E%2E/%2E%2E/.bashrc is ../../.bashrc",
        "deleted    4 objects",
    ]


def check_service(name: str) -> None:
    command = [sys.executable, *STRICT, EXAMPLES / name]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout is not None
            assert service.stderr is not None
            address = service.stdout.readline().strip()
            with urllib.request.urlopen(address, timeout=20) as answer:
                assert answer.headers["Content-Length"] == "12000000"
                assert answer.headers["Content-Type"].startswith("text/plain")
                assert answer.read() == b"hello world\n" * 1_000_000
            part = urllib.request.Request(address, headers={"Range": "bytes=6-10"})
            with urllib.request.urlopen(part, timeout=20) as answer:
                assert (answer.status, answer.read()) == (206, b"world")
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{address}.no", timeout=20)
            put = urllib.request.Request(f"{address}.new", data=b"mine", method="PUT")
            with urllib.request.urlopen(put, timeout=20) as answer:
                etag = answer.headers["ETag"]
                assert (answer.status, etag) == (201, f'"{hashlib.md5(b"mine").hexdigest()}"')
            with urllib.request.urlopen(f"{address}.new", timeout=20) as answer:
                assert (answer.read(), answer.headers["ETag"]) == (b"mine", etag)
            with urllib.request.urlopen(address, timeout=20) as answer:
                answer.read(10)  # and goes away
            service.send_signal(signal.SIGINT)
            assert service.wait(20) == 0
            assert "Error" not in service.stderr.read()
        finally:
            service.kill()


def check_progress() -> None:
    *copies, last = run("progress.py").splitlines()
    assert sorted(copies) == [f"copy {number}: verified by crc64" for number in (1, 2, 3)]
    assert last == "identical"


def check_transfers() -> None:
    assert run("transfers.py").splitlines() == [
        "paused:  8 of 24 MiB",
        "resumed: what was sent stays sent",
        "upload:  verified by crc64",
        "stream:  98890 bytes",
        "identical",
    ]


def check_credentials() -> None:
    assert run("credentials.py").splitlines() == [
        "environment: absent",
        "CVM role: used",
        "new keys: True",
    ]


def check_querying() -> None:
    assert run("querying.py").splitlines() == [
        "{'name': 'Leon', 'city': 'Shenzhen'}",
        "{'name': 'Ada', 'city': 'London'}",
    ]


def check_worker_queue() -> None:
    *done, left = run("worker_queue.py").splitlines()
    names = [line.removeprefix("uploaded ") for line in done]
    assert set(names[:2]) == {"file-18.bin", "file-19.bin"}
    assert 3 <= len(set(names)) < 20
    assert left == f"left for the next start: {20 - len(set(names))}"


def check_event_pipeline() -> None:
    assert run("event_pipeline.py").splitlines() == [
        "logs/today.txt: packed",
        "logs/today.txt: done before",
        "packed/a.gz: not for us",
        "logs/gone.txt: gone again",
        "identical",
    ]


def check_migration() -> None:
    assert run("migration.py").splitlines() == [
        "same:   True",
        "before: False",
        "after:  IntegrityError",
        "before: False",
        "after:  ParameterError",
        "before: []",
        "after:  ['big']",
    ]


def check_telemetry() -> None:
    lines = run("telemetry.py").splitlines()
    spans = [re.fullmatch(r"(\w+) in (\w+|-): (.+), (\w+), after (\w+)", line) for line in lines]
    told = [span.groups() for span in spans if span]
    names = {own: name for own, _, name, _, _ in told}
    inside = Counter((names.get(parent, ""), name) for _, parent, name, _, _ in told)
    assert inside == {
        ("", "cos upload"): 1,
        ("cos upload", "cos CreateMultipartUpload"): 1,
        ("cos upload", "cos UploadPart"): 3,
        ("cos upload", "cos CompleteMultipartUpload"): 1,
        ("cos CreateMultipartUpload", "POST"): 1,
        ("cos UploadPart", "PUT"): 4,
        ("cos CompleteMultipartUpload", "POST"): 1,
    }
    assert Counter(why for *_, why in told)["SlowDown"] == 1
    assert {"aiocos.transfer.bytes: 26214400", "aiocos.throttled: 1"} <= set(lines)


def check_fixtures() -> None:
    plugins = ["-p", "aiocos.pytest_plugin", "-p", "anyio.pytest_plugin"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-c",
            "/dev/null",
            *plugins,
            EXAMPLES / "test_uploads.py",
            "-k",
            "asyncio",
        ],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "3 passed" in done.stdout, done.stdout


def check_pandas_tables() -> None:
    assert run("pandas_tables.py").splitlines() == [
        "pandas:  {'city': ['Shenzhen', 'Chengdu', 'Shenzhen'], 'amount': [30, 20, 12]}",
        "pyarrow: [12]",
        "files:   ['archive/notes.txt', 'orders/day=1/a.parquet', 'orders/day=2/a.parquet']",
    ]


def check_syncing() -> None:
    assert run("syncing.py").splitlines() == [
        "first run  uploaded 3, second run 0",
        "would      upload draft.tmp: new",
        "would      delete img/photo.jpg: not in source",
        "would      upload index.html: size 18 -> 26",
        "plan       2 uploads, 1 deletion",
        "done       2 uploads, 1 deletion",
        "kept       backup/monday/img/photo.jpg, backup/monday/index.html",
    ]


def check_dask_copy() -> None:
    assert run("dask_copy.py").splitlines() == [
        "first: 200 copied, 0 were there",
        "again: 0 copied, 200 were there",
        "synced: 200 files, identical",
    ]


CHECKS: dict[str, Callable[[], None]] = {
    "credentials.py": check_credentials,
    "dask_copy.py": check_dask_copy,
    "directories.py": check_directories,
    "encryption.py": check_encryption,
    "error_handling.py": check_error_handling,
    "event_pipeline.py": check_event_pipeline,
    "migration.py": check_migration,
    "multipart.py": check_multipart,
    "pandas_tables.py": check_pandas_tables,
    "presigned.py": check_presigned,
    "progress.py": check_progress,
    "round_trip.py": check_round_trip,
    "querying.py": check_querying,
    "telemetry.py": check_telemetry,
    "syncing.py": check_syncing,
    "transfers.py": check_transfers,
    "test_uploads.py": check_fixtures,
    "starlette_service.py": partial(check_service, "starlette_service.py"),
    "web_service.py": partial(check_service, "web_service.py"),
    "worker_queue.py": check_worker_queue,
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example_does_what_it_says(name: str) -> None:
    """A reader who runs the example sees what it promises."""
    CHECKS[name]()


def test_round_trip_of_a_directory(tmp_path: Path) -> None:
    """The round trip works for any directory, empty files and awkward names included."""
    for name in ("a", "b/c", "图/é +%#?.txt", "empty"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty" else name.encode() * 1000)

    lines = run("round_trip.py", str(tmp_path)).splitlines()

    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert lines[0] == str(tmp_path)
    assert lines[-2].endswith(f": 4 files, {size:,} bytes")
    assert lines[-1] == "identical"


def test_round_trip_of_nothing_proves_nothing(tmp_path: Path) -> None:
    """An empty directory is no success."""
    assert run("round_trip.py", str(tmp_path), code=1).splitlines()[-1] == "no files"

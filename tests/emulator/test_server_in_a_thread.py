"""A server for code without an event loop: a thread of its own, or a process of its own."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests
from cos_wire import BUCKET
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

import aiocos
from aiocos.emulator import CosEmulator, EmulatorProcess, FaultRule, RemoteEmulator


def sync_client(server, session):
    return CosS3Client(CosConfig(**server.settings()), retry=0, session=session)


def test_a_script_with_the_sync_sdk():
    """A plain script uses the server, lets it fail, and looks at what happened."""
    with CosEmulator.in_thread(seed={BUCKET: {"a": b"seed"}}) as server, requests.Session() as http:
        sdk = sync_client(server, http)
        fault = server.fail("PutObject", nth=2, status=503)
        sdk.put_object(BUCKET, b"one", "k")
        with pytest.raises(CosServiceError):
            sdk.put_object(BUCKET, b"two", "k")
        assert server.read(BUCKET, "k") == b"one"
        assert (fault.seen, fault.fired, server.faults) == (2, 1, (fault,))
        server.requests.assert_count("PutObject", 1, status=503)
        assert server.count("PutObject", 200) == 1
        server.wait_for("PutObject", 2)
        with pytest.raises(TimeoutError):
            server.wait_for("PutObject", 3, timeout_s=0.01)

        server.snapshot("mine")
        server.reset()
        assert [bucket["objects"] for bucket in server.state()] == [1]
        server.restore("mine")
        assert server.read(BUCKET, "k") == b"one"

        server.create_bucket("more-1250000000")
        server.put("more-1250000000", "k", b"v")
        server.seed({"more": {"k2": b"v"}})
        upload = sdk.create_multipart_upload("more-1250000000", "big")["UploadId"]
        assert server.uploads("more-1250000000") == [("big", upload)]
        server.drop_bucket("more-1250000000")
        assert len(server.state()) == 1
        kept = server.add_fault(FaultRule(status=500))
        server.drop_fault(kept)
        server.fail()
        server.heal()
        assert server.faults == ()
        server.forget_requests()
        assert server.requests == []


def test_time_in_a_thread():
    """The calendar is moved and set from any thread, and put right again."""
    with CosEmulator.in_thread() as server:
        server.advance(days=1)
        assert 86390 < server.now - time.time() < 86410
        server.set_time(datetime(2026, 1, 1, tzinfo=UTC))
        assert server.now == pytest.approx(1767225600, abs=5)
        server.skew(-3600)
        with requests.Session() as http, pytest.raises(CosServiceError) as refused:
            sync_client(server, http).put_object(BUCKET, b"v", "k")
        assert refused.value.get_status_code() == 403
        server.reset_clock()
        assert server.now == pytest.approx(time.time(), abs=5)


def test_many_threads_and_many_loops():
    """Any number of threads, each with an event loop of its own, share one server."""
    with CosEmulator.in_thread() as server:

        async def store(number: int) -> None:
            async with server.client() as client:
                await client.put_object(BUCKET, b"v", f"k{number}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: asyncio.run(store(number)), range(16)))
        server.requests.assert_count("PutObject", 16, status=200)


def test_keys_of_its_own_services():
    """STS and the metadata service run in the server's thread, and end with their block."""
    with CosEmulator.in_thread() as server, server.identity(roles=["reader"]) as identity:
        found = requests.get(f"{identity.url}/meta-data/cam/security-credentials/reader", timeout=5)
        keys = found.json()
        given = {"SecretId": keys["TmpSecretId"], "SecretKey": keys["TmpSecretKey"]}
        config = CosConfig(**(server.settings() | given | {"Token": keys["Token"]}))
        with requests.Session() as http:
            CosS3Client(config, retry=0, session=http).put_object(BUCKET, b"v", "k")
    with pytest.raises(requests.ConnectionError):
        requests.get(identity.url, timeout=5)


def test_a_thread_ends_with_its_server():
    """Neither the thread nor a socket outlives the block; later calls say why they cannot be."""
    before = threading.active_count()
    with CosEmulator.in_thread() as server:
        port = server.port
        assert server.endpoint == f"127.0.0.1:{port}"
    server.close()
    gc.collect()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with pytest.raises(RuntimeError, match="does not run"):
        server.heal()


def test_a_thread_that_cannot_start():
    """What keeps the server from starting is raised where it was asked for, and nothing stays."""
    before = threading.active_count()
    with (
        CosEmulator.in_thread() as server,
        pytest.raises(OSError, match="in use"),
        CosEmulator.in_thread(port=server.port),
    ):
        pass
    assert threading.active_count() == before


@pytest.mark.filterwarnings("error")
def test_a_thread_that_never_started():
    """A server that was made and not started leaves nothing open, and may be closed."""
    server = CosEmulator.in_thread()
    server.close()
    with pytest.raises(RuntimeError, match="does not run"):
        server.state()
    del server
    gc.collect()


def test_nobody_waits_for_a_closed_server():
    """Who waits in another thread while the server is closed is told so; all may close it."""
    server = CosEmulator.in_thread().start()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(server.wait_for, "PutObject", timeout_s=60) for _ in range(3)]
        time.sleep(0.1)
        for closing in [pool.submit(server.close) for _ in range(4)]:
            closing.result(20)
        for one in waiting:
            with pytest.raises(RuntimeError, match="closed meanwhile"):
                one.result(20)


async def test_a_server_starts_once_and_may_be_closed_twice():
    """A second start is refused and harms nothing; a second end, or one before, is none."""
    server = CosEmulator()
    await server.close()
    async with server:
        with pytest.raises(RuntimeError, match="starts once"):
            await server.start()
        await server.put(BUCKET, "k", b"v")
        assert await server.read(BUCKET, "k") == b"v"
        await server.close()
    with pytest.raises(RuntimeError, match="starts once"):
        await server.start()


def run_script(script: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", script],
        env={**os.environ, "TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_process_that_ends_without_closing(tmp_path: Path):
    """A script that never closes its server ends all the same, and leaves no files."""
    script = (
        "from aiocos.emulator import CosEmulator\n"
        "server = CosEmulator.in_thread().start()\n"
        f"server.put('{BUCKET}', 'k', bytes(100_000))\n"
    )
    run_script(script, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_leaves_the_server_alone(tmp_path: Path):
    """A child cannot steer or end its parent's server by accident, not even by its own end."""
    script = (
        "import os\n"
        "from aiocos.emulator import CosEmulator\n"
        "with CosEmulator.in_thread() as server:\n"
        f"    server.put('{BUCKET}', 'k', b'v')\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        try:\n"
        "            server.state()\n"
        "        except RuntimeError as error:\n"
        "            print(error, flush=True)\n"
        "        raise SystemExit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        f"    print(server.read('{BUCKET}', 'k'))\n"
    )
    told = run_script(script, tmp_path)
    assert told == "this server runs in the parent process: steer it from there\nb'v'\n"


async def test_a_client_of_the_server():
    """server.client() is a client that works, with whatever of its settings changed."""
    async with CosEmulator() as server, server.client(UA="mine") as client:
        assert isinstance(client, aiocos.CosS3Client)
        await client.put_object(BUCKET, b"v", "k")
        assert ("User-Agent", "mine") in [
            (name.title(), value) for name, value in server.requests[-1].headers
        ]


def test_a_server_loads_no_client():
    """Whoever only serves does not load the client, which the server shares nothing with."""
    script = (
        "import sys; from aiocos.emulator import CosEmulator\n"
        "with CosEmulator.in_thread(): pass\n"
        "print('aiocos.client' in sys.modules, 'aiocos.session' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"False"]


# -- a process of its own


def test_a_process_of_its_own():
    """A child process serves, is steered, and ends with its block."""
    bucket = "mine-1250000000"
    with EmulatorProcess(buckets=[bucket], seed={bucket: {"a": "text"}}) as server:
        with requests.Session() as http:
            sdk = sync_client(server, http)
            assert sdk.get_object(bucket, "a")["Body"].get_raw_stream().read() == b"text"
            fault = server.fail("PutObject", nth=1, status=503)
            with pytest.raises(CosServiceError):
                sdk.put_object(bucket, b"v", "k")
            sdk.put_object(bucket, b"v", "k")
        assert server.count("PutObject") == 2
        assert [record["status"] for record in server.requests("PutObject")] == [503, 200]
        assert [(one["id"], one["seen"], one["fired"]) for one in server.faults()] == [
            (fault, 2, 1)
        ]
        server.heal(fault)
        server.fail()
        server.heal()
        assert server.faults() == []
        server.advance(days=2)
        assert server.clock()["now"] - time.time() > 172_000
        server.set_time(datetime(2026, 1, 1, tzinfo=UTC))
        assert server.clock()["now_iso"].startswith("2026-01-01")
        server.skew(60)
        server.snapshot("later")
        server.reset()
        assert [held["objects"] for held in server.state()["buckets"]] == [1]
        server.restore("later")
        server.forget_requests()
        assert server.requests() == []
        assert RemoteEmulator(server.url).health()["status"] == "ok"
        with pytest.raises(ValueError, match="no snapshot 'nope'"):
            server.restore("nope")
    server.close()
    with pytest.raises(OSError, match=r"refused"):
        server.health()


@pytest.mark.parametrize("make", [CosEmulator.in_thread, EmulatorProcess])
def test_the_clock_has_one_face(make):
    """``server.clock`` is read, moved ahead, set and set wrong wherever the server runs."""
    with make() as server:
        server.clock.advance(days=31)
        assert server.clock.now() - time.time() == pytest.approx(31 * 86_400, abs=20)
        server.clock.set(datetime(2026, 1, 1, tzinfo=UTC))
        server.clock.advance(hours=1, minutes=1, seconds=1)
        assert server.clock.now() == pytest.approx(1_767_225_600 + 3661, abs=20)
        server.clock.skew(7200)
        date = requests.get(server.url, timeout=20).headers["Date"]
        ahead = parsedate_to_datetime(date).timestamp() - time.time()
        assert ahead == pytest.approx(7200, abs=20)


def test_a_fault_elsewhere_gives_its_account():
    """What fail() of a server in another process returns counts how often it fired."""
    with EmulatorProcess() as server:
        fault = server.fail("PutObject", nth=2)
        assert (fault.seen, fault.fired) == (0, 0)
        for _ in range(3):
            requests.put(f"{server.url}/examplebucket-1250000000/k", b"v", timeout=20)
        assert (fault.seen, fault.fired) == (3, 1)
        server.heal(fault)
        with pytest.raises(ValueError, match="no longer in force"):
            _ = fault.fired


@pytest.mark.parametrize("make", [CosEmulator.in_thread, EmulatorProcess])
def test_a_misspelt_field_of_a_fault(make):
    """fail() names the field that was meant, and the error stays a TypeError."""
    with make() as server, pytest.raises(TypeError, match="no 'statsu'; did you mean status"):
        server.fail("PutObject", statsu=3)


def test_a_process_that_cannot_start():
    """What the child has to say is in the error."""
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'buckts'"):
        EmulatorProcess(buckts=[]).start()


def test_a_process_dies_with_its_parent(tmp_path: Path):
    """When the parent is killed the child ends too, and takes its files along."""
    script = (
        "import time\n"
        "from aiocos.emulator import EmulatorProcess\n"
        "server = EmulatorProcess().start()\n"
        "print(server.connection['pid'], flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    child = int(parent.stdout.readline())
    assert list(tmp_path.iterdir())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while list(tmp_path.iterdir()) or is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_process_that_is_terminated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A child that is told to end takes its files along."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with EmulatorProcess() as server:
        assert list(tmp_path.iterdir())
        os.kill(server.connection["pid"], signal.SIGTERM)
        server._process.wait(20)
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_is_made_of(tmp_path: Path):
    """Paths, rules and times are handed over; what cannot be is refused before it starts."""
    rule = FaultRule(operation="GetObject", status=503)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    options = {"data": tmp_path / "d", "faults": [rule], "start": moment, "control": True}
    with EmulatorProcess(**options) as server:
        assert [fault["rule"] for fault in server.faults()] == [rule.to_dict()]
        assert server.clock()["now"] == pytest.approx(moment.timestamp(), abs=20)
    assert (tmp_path / "d" / "metadata.sqlite").exists()
    with pytest.raises(TypeError, match="cannot be handed"):
        EmulatorProcess(seed={"b": {"k": b"bytes"}})


def test_a_process_before_its_start():
    """Nothing can be asked of it yet, and it may be closed."""
    server = EmulatorProcess()
    server.close()
    for ask in (server.state, server.settings):
        with pytest.raises(RuntimeError, match="was not started"):
            ask()


def test_a_server_that_cannot_be_steered():
    """An address that is none, and a server without control endpoints, are told apart."""
    for url in ("127.0.0.1:9000", "https://127.0.0.1:9000", "http://127.0.0.1:9000/path"):
        with pytest.raises(ValueError, match=r"as in http://127\.0\.0\.1:9000"):
            RemoteEmulator(url)
    with (
        CosEmulator.in_thread(control=False) as server,
        pytest.raises(ValueError, match=r"no control endpoints.*--control"),
    ):
        RemoteEmulator(server.url).health()

"""The harness itself: what it says was moved was moved, and what is wrong is found."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import anycrc
import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks import content, measure, server
from tests.benchmarks.cells import Cell

if server.find_compiler() is None:
    pytest.skip("no C compiler here to build the server with", allow_module_level=True)

KIB = 1024
SIZE = 200 * KIB
PEERS = ("aiocos", "aiohttp")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> measure.Stage:
    return measure.Stage(tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("state"))


@pytest.fixture
def sink(stage: measure.Stage) -> Iterator[server.Sink]:
    with server.running(server.Setting(keys=2500), stage.folder) as running:
        yield running


def _send(sink: server.Sink, method: str, path: str, body: bytes = b"", **headers: str):
    url = f"http://127.0.0.1:{sink.port}{path}"
    request = urllib.request.Request(url, body, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        return response.read(), response.headers


def test_the_server_counts_the_crc_of_the_standard(sink):
    """CRC-64/XZ of "123456789" is 995dc9bbdf1939fa, in one piece as in two parts."""
    check = 0x995DC9BBDF1939FA

    _, headers = _send(sink, "PUT", "/a", b"123456789")
    assert int(headers["x-cos-hash-crc64ecma"]) == check

    begun, _ = _send(sink, "POST", "/b?uploads")
    upload = begun.split(b"<UploadId>")[1].split(b"<")[0].decode()
    listed = ""
    for number, part in ((1, b"1234"), (2, b"56789")):
        _, headers = _send(sink, "PUT", f"/b?partNumber={number}&uploadId={upload}", part)
        etag = headers["ETag"]
        listed += f"<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>"
    _send(sink, "POST", f"/b?uploadId={upload}", f"<C>{listed}</C>".encode())
    assert sink.objects() == {"a": (9, check), "b": (9, check)}


def test_the_server_serves_what_its_crc_says(sink):
    """A whole object has the CRC-64 that another library finds, and a range is its bytes."""
    size = content.BLOCK_BYTES + 12345

    whole, headers = _send(sink, "GET", f"/{content.blob(size)}")
    assert len(whole) == size
    assert anycrc.Model("CRC64-XZ").calc(whole) == int(headers["x-cos-hash-crc64ecma"])
    assert content.crc_of(size) == int(headers["x-cos-hash-crc64ecma"])

    start = content.BLOCK_BYTES - 7
    piece, headers = _send(
        sink, "GET", f"/{content.blob(size)}", Range=f"bytes={start}-{start + 99}"
    )
    assert piece == whole[start : start + 100]
    assert headers["Content-Range"] == f"bytes {start}-{start + 99}/{size}"


@pytest.mark.parametrize("case", ["upload", "download", "put"])
def test_both_clients_do_a_case_and_are_checked(stage, case):
    """aiocos and aiohttp each ran once, and what they did is right; over TLS where there is any."""
    is_bulk = case != "put"
    has_tls = server.build().has_tls
    size = SIZE if is_bulk else KIB
    cell = Cell(case, case, PEERS, size=size, part_size=64 * KIB, count=50, tls=has_tls)

    results = measure.measure(cell, PEERS, 1, stage)

    assert results.failures == {}
    assert [len(results.runs[peer]) for peer in PEERS] == [1, 1]


@pytest.mark.parametrize("case", ["get", "list", "upload-dir"])
def test_the_figures_of_a_run_are_there(stage, case):
    """A run tells its seconds, its CPU seconds and the memory it had."""
    cell = Cell(case, case, ("aiocos",), size=KIB, count=50, keys=2500)

    results = measure.measure(cell, ("aiocos",), 1, stage)

    run = results.runs["aiocos"][0]
    assert run["wall_s"] > 0
    assert 10 < run["peak_mib"] < 500
    assert run["requests"] >= 3


def test_a_damaged_byte_is_found(stage):
    """aiocos refuses a body with one wrong bit; by hand nobody looks, but the harness does."""
    for case, way in (("upload", "in"), ("download", "out")):
        cell = Cell(case, case, PEERS, size=SIZE, part_size=64 * KIB, damage=way)
        results = measure.measure(cell, PEERS, 1, stage)
        assert list(results.failures) == ["aiocos"]
        assert "other bytes" in results.runs["aiohttp"][0]["wrong"]


def test_a_connection_is_held_to_its_rate(stage):
    """Half a MB at 5 MB/s takes a tenth of a second each way, and an answer 20 ms more."""
    setting = server.Setting(rate_mb=5, latency_ms=20)
    with server.running(setting, stage.folder) as slow:
        for method, key, body in (
            ("GET", content.blob(500_000), b""),
            ("PUT", "a", bytes(500_000)),
        ):
            started = time.monotonic()
            _send(slow, method, f"/{key}", body)
            assert time.monotonic() - started >= 0.12


def test_wrong_bytes_end_the_session(stage, monkeypatch, capsys):
    """No table is printed when what a client stored is not what it was given."""
    monkeypatch.setattr(Cell, "setting", lambda _: server.Setting(damage="in"))

    exit_code = program.main(
        ["run", "upload", "--peers", "aiohttp", "--size", "0.01", "--rounds", "1"]
    )

    told = capsys.readouterr()
    assert exit_code == 2
    assert "WRONG RESULT: aiohttp, upload" in told.err
    assert told.out == ""


def test_a_wrong_key_count_ends_the_session(stage, monkeypatch):
    """A listing that misses a key is no listing, however fast."""
    cell = Cell("list", "list", ("aiohttp",), keys=1500)
    monkeypatch.setattr(Cell, "setting", lambda _: server.Setting(keys=1499))

    with pytest.raises(measure.WrongResult, match=r"aiohttp, list: listed \[1499, "):
        measure.measure(cell, ("aiohttp",), 1, stage)


def test_without_a_compiler_the_error_says_what_to_do(monkeypatch, capsys):
    """Where there is no cc, the harness names it and how to get one."""
    monkeypatch.setenv("CC", "no-such-compiler")

    assert program.main(["table", "--quick"]) == 2
    assert "install one (apt install gcc" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch, capsys):
    """A peer that is not there is a line on stderr, not a failure."""
    monkeypatch.setattr(program.peers, "missing", lambda *_: "it is not installed")

    assert program.usable(["obstore"], skipped := {}) == []
    assert skipped == {"obstore": "it is not installed"}
    assert "obstore is left out: it is not installed" in capsys.readouterr().err


def test_a_peer_that_is_not_known_is_refused(capsys):
    """A mistyped name is an error that tells the names there are."""
    assert program.main(["table", "--cells", "put-http", "--peers", "aiocos,obstor"]) == 2
    told = capsys.readouterr().err
    assert "no such peer: obstor" in told
    assert "obstore" in told


def test_nothing_is_built_into_the_tree():
    """The server is built into the user's cache."""
    assert not server.build().program.is_relative_to(Path(program.__file__).parents[2])

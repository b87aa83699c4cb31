"""Calls put the same bytes on the wire as the official sync SDK, and return the same.

Each recording says what one call sent, what it was answered and what it returned. The same
call is made here against a server that plays the same answers, and all of it is compared.
Where this client departs on purpose, ``vectors/differences.toml`` says to what, and why.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import aiocos
from tests.support import vectors
from tests.support.capture import CaptureServer, Reply
from tests.support.vectors import FROZEN_TIME, REQUESTS, Report
from tests.vectors import differences

DIFFERENCES = differences.read(vectors.VECTORS / "differences.toml")


def _stop_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Freeze Unix time, so that signatures can be compared, and let waits take no time.

    Returns how long each ``asyncio.sleep`` meant to wait.
    """
    loop = asyncio.get_running_loop()
    call_later, wake = loop.call_later, asyncio.futures._set_result_unless_cancelled
    waited: list[float] = []

    def call_soon_if_asleep(delay: float, callback: Any, *args: Any, **options: Any) -> Any:
        if callback is wake:
            waited.append(delay)
            delay = 0
        return call_later(delay, callback, *args, **options)

    monkeypatch.setattr(loop, "call_later", call_soon_if_asleep)
    monkeypatch.setattr(time, "time", lambda: float(FROZEN_TIME))
    return waited


def _send_every_host_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve each name to the capture server: COS's own hosts are not to be asked."""
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address])


@pytest.mark.parametrize("vector_id", REQUESTS)
async def test_call_is_as_recorded(
    vector_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call sends, and returns or raises, what was recorded or what its difference says."""
    vector = REQUESTS[vector_id]
    source = differences.recording(DIFFERENCES, vector_id, REQUESTS)
    more = differences.setting(DIFFERENCES, vector_id, "more", [])
    replies = vectors.replies(source) + [
        Reply(
            further["status"], tuple({"Content-Length": "0", **further.get("answer", {})}.items())
        )
        for further in more
    ]
    sleeps = _stop_clock(monkeypatch)
    async with CaptureServer(replies) as server:
        expected = vectors.expected(source, server.port)
        differences.apply(DIFFERENCES, vector_id, expected)
        expected = vectors.with_port(expected, server.port)
        _send_every_host_to(server.port, monkeypatch)
        with ExitStack() as stack:
            arguments = vectors.Arguments(tmp_path, stack)
            actual = await _call(vector, arguments, server.port)
    requests = vectors.in_recorded_order(server.requests, replies)
    vectors.sign(expected, vector)
    actual |= vectors.observed(requests, expected)
    if "sleeps" in expected:
        actual["sleeps"] = sleeps
    found = vectors.mismatches(expected, actual)
    assert not found, "\n".join(found)


def _further_reply(further: Report) -> Reply:
    headers = {"Content-Length": "0", **further.get("answer", {})}
    return Reply(further["status"], tuple(headers.items()))


def test_signer_of_the_tests_reproduces_every_recording() -> None:
    """The signer that expected signatures come from agrees with the official SDK's."""
    compared = 0
    for vector in REQUESTS.values():
        report = vectors.expected(vector, port=1)
        recorded = [request["authorization"] for request in report["requests"]]
        vectors.sign(report, vector)
        for fields, request in zip(recorded, report["requests"], strict=True):
            if fields:
                joined = "&".join(f"{name}={value}" for name, value in fields.items())
                assert request["authorization"] == joined, vector["id"]
                compared += 1
    assert compared == 372


def test_every_difference_is_needed() -> None:
    """An entry that changes nothing, or a pattern that finds nothing, is out of date."""
    unused = {(id(entry), glob) for entry in DIFFERENCES for glob in entry.ids}
    for vector_id in REQUESTS:
        report = vectors.expected(differences.recording(DIFFERENCES, vector_id, REQUESTS), port=1)
        for entry in differences.apply(DIFFERENCES, vector_id, report):
            unused -= {(id(entry), glob) for glob in entry.globs_for(vector_id)}
    left = [f"{glob}: {e.field}" for e in DIFFERENCES for glob in e.ids if (id(e), glob) in unused]
    assert not left, "\n".join(left)


def test_each_operation_is_either_run_or_of_a_later_stage() -> None:
    """The list of what is not there yet holds nothing that has come since."""
    operations = {vector["operation"] for vector in REQUESTS.values()} - {"CosConfig"}
    present = {name for name in operations if hasattr(aiocos.CosS3Client, name)}

    assert operations <= present


async def _call(vector: dict[str, Any], arguments: vectors.Arguments, port: int) -> Report:
    """Make one call, and tell what came of it."""
    retry = differences.setting(
        DIFFERENCES, vector["id"], "client_retry", vector.get("client_retry")
    )
    kwargs = arguments.decode(vector["kwargs"])
    report: Report = {}
    retries = None
    transfers = aiocos.TransferConfig(
        journal_dir=arguments.folder / "journals",
        **vectors.transfer_settings(vector),
        **differences.setting(DIFFERENCES, vector["id"], "transfers", {}),
    )
    try:
        config = aiocos.CosConfig(**vectors.config_arguments(vector, port))
        if vector["operation"] == "CosConfig":
            return {"result": {"endpoint": config.Endpoint, "scheme": config.Scheme}}
        async with aiocos.CosS3Client(config, retry=retry, transfers=transfers) as client:
            call = partial(getattr(client, vector["operation"]), **kwargs)
            try:
                if vectors.calls(vector) == 2:
                    report["first"] = await _failing(call, arguments)
                result = await _settled(call())
                report["result"] = await _plain(result, vector, arguments)
            finally:
                retries = client.get_retry_exe_times()
    except Exception as error:
        report |= _raised(error)
    if vectors.calls(vector) == 2:
        report["record_files"] = _record_files(arguments)
    if "retry_exe_times" in vector:
        report["retry_exe_times"] = retries
    if "dest_file" in vector:
        report["dest_file"] = _file_facts(arguments.destination)
    if "progress_calls" in vector:
        report["progress_calls"] = arguments.progress
    return report


async def _failing(call: Callable[[], Any], arguments: vectors.Arguments) -> Report:
    """Make the first of two calls, which the second one is to resume."""
    with pytest.raises(aiocos.CosException) as raised:
        await _settled(call())
    return {
        **_raised(raised.value),
        "dest_exists": arguments.destination.exists(),
        "record_files": _record_files(arguments),
    }


def _record_files(arguments: vectors.Arguments) -> int:
    """How many files say how far the download is."""
    return len(list(arguments.folder.glob("*.jsonl")))


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _plain(result: Any, vector: dict[str, Any], arguments: vectors.Arguments) -> Any:
    """A result as it stands in a recording: bodies read in the way it asks for."""
    if not isinstance(result, dict):
        return result
    assert type(result) is dict
    if "Payload" in result:
        assert result.pop("Body") is result["Payload"]
        result["Payload"] = await _read_events(result["Payload"], vector.get("consume"))
    if "Body" in result:
        how = _READERS[vector.get("consume")]
        result["Body"] = await how(result["Body"], arguments)
    return result


async def _read_raw(body: Any, _: vectors.Arguments) -> Report:
    """All at once; ``len(body)`` of the sync SDK is ``body.length``, None if nobody knows."""
    stream = await _settled(body.get_raw_stream())
    report = {"$stream_b64": base64.b64encode(await stream.read()).decode()}
    return report if body.length is None else {**report, "$len": body.length}


async def _read_pieces(body: Any, _: vectors.Arguments) -> Report:
    pieces = []
    while not pieces or pieces[-1]:
        pieces.append(base64.b64encode(await _settled(body.read(1024))).decode())
    return {"$read_1024": pieces}


async def _read_stream(body: Any, _: vectors.Arguments) -> Report:
    data = b"".join([piece async for piece in await _settled(body.get_stream())])
    return {"$get_stream_b64": base64.b64encode(data).decode()}


async def _read_to_file(body: Any, arguments: vectors.Arguments) -> Report:
    try:
        await _settled(body.get_stream_to_file(str(arguments.destination)))
    except Exception as error:
        return {"$to_file": type(error).__name__}
    return {"$to_file_b64": base64.b64encode(arguments.destination.read_bytes()).decode()}


async def _read_events(stream: Any, how: str | None) -> Report:
    """Events as they come, ended by what is raised; or all of the result."""
    if how == "select_result":
        return {"$select_result_b64": base64.b64encode(await stream.get_select_result()).decode()}
    events: list[Any] = []
    try:
        async for event in stream:
            if "Records" in event:
                text = base64.b64encode(event["Records"]["Payload"]).decode()
                events.append({"Records": {"Payload": {"$bytes_b64": text}}})
            else:
                events.append(event)
    except aiocos.CosException as error:
        raised = _raised(error)
        kind = raised["exception"]["type"]
        events.append({"$exception": {"type": kind, **_getters_of(raised)}})
    return {"$events": events}


def _getters_of(raised: Report) -> Report:
    return {"getters": raised["getters"]} if "getters" in raised else {}


_READERS = {
    None: _read_raw,
    "read": _read_pieces,
    "get_stream": _read_stream,
    "to_file": _read_to_file,
}


def _raised(error: Exception) -> Report:
    """An error as it stands in a recording; a subclass counts as its documented base."""
    kind = type(error).__name__
    for base in (aiocos.CosServiceError, aiocos.CosClientError):
        if isinstance(error, base):
            kind = base.__name__
    report: Report = {
        "exception": {"type": kind, "class": type(error).__name__, "text": str(error)}
    }
    if isinstance(error, aiocos.CosServiceError):
        getters = [name for name in dir(error) if name.startswith("get_")]
        report["getters"] = {name: getattr(error, name)() for name in getters}
    return report


def _file_facts(path: Path) -> Report | None:
    if not path.exists():
        return None
    data = path.read_bytes()
    return {
        "len": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
    }

"""Recorded requests of the official sync SDK, and what of them is meant to differ here.

In: ``requests.json`` (what each call sent, was answered and returned) and
``differences.toml`` (where this client departs from that on purpose). Out: the arguments
for a call, the replies to play back, and a report of what has to be seen.

A report is a plain dict, so that a difference is a path into it: ``requests`` (``request.x``
in a difference stands for each of them), ``attempts``, ``result`` or ``exception`` and
``getters``. Texts of client errors are each library's own and are not compared; of service
errors every getter is.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from operator import gt
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote

from tests.support.capture import Reply, Request
from tests.vectors.differences import exchanges_of
from tests.vectors.signer import authorization, signable

VECTORS = Path(__file__).parent.parent / "vectors"
FROZEN_TIME = 1700000000
MIB = 1 << 20

Report = dict[str, Any]


def load(name: str) -> Any:
    """The content of one vector file."""
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


REQUESTS: dict[str, dict[str, Any]] = {
    vector["id"]: vector for vector in load("requests.json")["vectors"]
}


def with_port(value: Any, port: int) -> Any:
    """Fill in ``{port}`` wherever it stands."""
    if value == "{port}":
        return port
    if isinstance(value, str):
        return value.replace("{port}", str(port))
    if isinstance(value, dict):
        return {key: with_port(item, port) for key, item in value.items()}
    if isinstance(value, list):
        return [with_port(item, port) for item in value]
    return value


# --- what goes into a call ---------------------------------------------------------------


def config_arguments(vector: dict[str, Any], port: int) -> dict[str, Any]:
    """The arguments of the configuration object."""
    arguments = with_port(vector["config"], port)
    if "CredentialInstance" in arguments:
        arguments["CredentialInstance"] = SimpleNamespace(**arguments["CredentialInstance"])
    return arguments


class ReadOnlyStream:
    """A body that can be read once and has no length, no ``seek`` and no iterator."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


def content(spec: dict[str, Any]) -> bytes:
    """Bytes given in full, or as a unit repeated and cut to size."""
    if "b64" in spec:
        return base64.b64decode(spec["b64"])
    unit = base64.b64decode(spec["unit_b64"])
    return (unit * (spec["size"] // len(unit) + 1))[: spec["size"]]


@dataclass
class Arguments:
    """Turns the recorded keyword arguments of a call into Python values."""

    folder: Path
    stack: ExitStack
    progress: list[list[int]] = field(default_factory=list)

    @property
    def destination(self) -> Path:
        return self.folder / "destination"

    def decode(self, value: Any) -> Any:
        match value:
            case {"$bytes_b64": text}:
                return base64.b64decode(text)
            case {"$iter_b64": pieces}:
                return (base64.b64decode(piece) for piece in pieces)
            case {"$readonly_stream_b64": text}:
                return ReadOnlyStream(base64.b64decode(text))
            case {"$bytesio": spec}:
                return _at_position(io.BytesIO(content(spec)), spec)
            case {"$file": spec}:
                stream = self.stack.enter_context(self._local_file(spec).open("rb"))
                return _at_position(stream, spec)
            case {"$localfile": spec}:
                return str(self._local_file(spec))
            case {"$destfile": _}:
                return str(self.destination)
            case {"$tmpdir": _}:
                return str(self.folder)
            case {"$progress": _}:
                return lambda done, total: self.progress.append([done, total])
            case dict():
                return {key: self.decode(item) for key, item in value.items()}
            case list():
                return [self.decode(item) for item in value]
        return value

    def _local_file(self, spec: dict[str, Any]) -> Path:
        path = self.folder / "source"
        path.write_bytes(content(spec))
        return path


def _at_position(stream: BinaryIO, spec: dict[str, Any]) -> BinaryIO:
    stream.seek(spec["position"])
    return stream


def calls(vector: dict[str, Any]) -> int:
    """How often the call is made: a second time where the first one is to be resumed."""
    result = vector["result"]
    return 2 if isinstance(result, dict) and "first_error" in result else 1


def transfer_settings(vector: dict[str, Any]) -> dict[str, int]:
    """The size from which a copy goes in parts, where a recording was made with another."""
    set_to = re.search(r"set_copy_part_threshold_size\((\d+)\)", vector.get("note", ""))
    return {"copy_single_mib": int(set_to[1]) // MIB} if set_to else {}


# --- what is played back -----------------------------------------------------------------


def replies(vector: dict[str, Any]) -> list[Reply]:
    """The recorded answers; those to parts that race each other know their request."""
    found = []
    for exchange in exchanges_of(vector):
        request, response = exchange["request"], exchange["response"]
        target = request["path"] + ("?" + request["raw_query"] if request["raw_query"] else "")
        asked_for = (request["method"], target, request["headers"].get("range", ""))
        found.append(
            Reply(
                status=response["status"],
                headers=tuple((name, value) for name, value in response["headers"]),
                body=_reply_body(vector, request, response),
                action=response.get("action", "whole"),
                chunked=response.get("transfer") == "chunked",
                answers=asked_for if vector.get("parallel") else None,
            )
        )
    return found


def _reply_body(vector: dict[str, Any], request: dict[str, Any], response: dict[str, Any]) -> bytes:
    if "body_len" not in response:
        return base64.b64decode(response["body_b64"])
    start = int(request["headers"]["range"].removeprefix("bytes=").partition("-")[0])
    return content(vector["object"])[start : start + response["body_len"]]


# --- what has to be seen -----------------------------------------------------------------

UNCOMPARED_HEADERS = frozenset({"date", "user-agent", "connection", "accept-encoding"})
LARGE_BODY = 16 * 1024


def expected(vector: dict[str, Any], port: int) -> Report:
    """What the recording says has to be seen; the signatures are left to `sign`."""
    exchanges = exchanges_of(vector)
    report: Report = {
        "attempts": len(exchanges),
        "requests": [_recorded(exchange["request"], vector, port) for exchange in exchanges],
    }
    result = with_port(vector["result"], port)
    report |= _two_calls(result) if calls(vector) == 2 else _outcome(result)
    for name in ("sleeps", "retry_exe_times", "dest_file", "progress_calls"):
        if name in vector:
            report[name] = vector[name]
    return report


def _recorded(request: dict[str, Any], vector: dict[str, Any], port: int) -> Report:
    fields = request["authorization_fields"]
    headers = with_port(request["headers"], port)
    report: Report = {
        "method": request["method"],
        "path": request["path"],
        "raw_query": request["raw_query"],
        "query": [tuple(pair) for pair in request["query"]],
        "headers": headers,
        "authorization": copy.deepcopy(fields),
        "body": base64.b64decode(request["body_b64"])
        if request.get("body_b64") is not None
        else {"len": request["body_len"], "sha256": request["body_sha256"]},
    }
    if fields:
        # What is signed follows from the request by rule; the recording has exceptions.
        report["signed_path"] = vector.get("signed_path")
        signed = set(fields["q-header-list"].split(";"))
        report["unsigned"] = sorted(set(filter(signable, headers)) - signed)
        if request["query"] and not fields["q-url-param-list"]:
            report["unsigned"].append("query")
    return report


def _two_calls(result: dict[str, Any]) -> Report:
    """What each library writes down between the calls is its own: the files are counted."""
    return {
        "first": {
            **_outcome(result["first_error"]),
            "dest_exists": result["dest_exists_after_first"],
            "record_files": len(result["record_files"]),
        },
        "record_files": len(result["record_files_after"]),
        **_outcome(result["second"]),
    }


def _outcome(result: Any) -> Report:
    if not (isinstance(result, dict) and "$exception" in result):
        return {"result": result}
    error = result["$exception"]
    report: Report = {"exception": {"type": error["type"]}}
    if "getters" in error:
        report["getters"] = {name: _getter(value) for name, value in error["getters"].items()}
    return report


def _getter(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "$raises" in value:
        return {"$raises": value["$raises"]}
    return value.get("$case_insensitive_dict", value)


def sign(report: Report, vector: dict[str, Any]) -> None:
    """Put the Authorization header that belongs to each expected request in its place."""
    config = vector["config"]
    config = config.get("CredentialInstance", config)
    secrets = [config.get(name) for name in ("SecretKey", "Secret_key", "secret_key")]
    for request in report["requests"]:
        fields = request["authorization"]
        unsigned, path = request.pop("unsigned", ()), request.pop("signed_path", None)
        if not fields:
            request["authorization"] = None if fields is None else ""
            continue
        headers = {
            name: value
            for name, value in request["headers"].items()
            if signable(name) and name not in unsigned
        }
        if "host" in headers and "IP" not in vector["config"]:
            headers["host"] = headers["host"].partition(":")[0]
        request["authorization"] = authorization(
            method=request["method"],
            path=path or unquote(request["path"]),
            query={} if "query" in unsigned else dict(request["query"]),
            headers=headers,
            secret_id=fields["q-ak"],
            secret_key=next(filter(None, secrets)),
            window=fields["q-sign-time"],
        )


def in_recorded_order(requests: list[Request], replies_: list[Reply]) -> list[Request]:
    """Requests for parts that raced each other, in the order of the recording."""
    left, ordered = list(requests), []
    for reply in replies_:
        same = (index for index, one in enumerate(left) if reply.answers in (None, one.identity))
        ordered += [left.pop(index) for index in islice(same, 1)]
    return ordered + left


def observed(requests: list[Request], expected_report: Report) -> Report:
    """The part of a report that the server saw, headers cut to those that are compared."""
    report: Report = {"attempts": len(requests), "requests": []}
    for index, request in enumerate(requests):
        wanted = expected_report["requests"][index : index + 1]
        named = set(wanted[0]["headers"]) if wanted else set()
        names = {name.lower() for name, _ in request.headers} - {"authorization"}
        if "accept" not in named and request.header("accept") == "*/*":
            names.discard("accept")
        report["requests"].append(
            {
                "method": request.method,
                "path": request.path,
                "raw_query": request.raw_query,
                "query": sorted(parse_qsl(request.raw_query, keep_blank_values=True)),
                "headers": {
                    name: request.header(name)
                    for name in sorted(names)
                    if name in named or name not in UNCOMPARED_HEADERS
                },
                "authorization": request.header("authorization"),
                "body": _body(request.body),
            }
        )
    return report


def _body(body: bytes) -> bytes | Report:
    if len(body) <= LARGE_BODY:
        return body
    return {"len": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def mismatches(expected_report: Report, actual: Report) -> list[str]:
    """One line for each value that is not as expected."""
    lines = list(_compare("", expected_report, actual))
    return [f"{path.lstrip('.')}: expected {want!r}, got {got!r}" for path, want, got in lines]


_ABSENT = "(absent)"
_SUBSETS = (".exception", ".first.exception", ".getters")


def _compare(path: str, want: Any, got: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(want, dict) and isinstance(got, dict):
        keys = list(want) if path in _SUBSETS else list({**want, **got})
        for key in keys:
            yield from _compare(f"{path}.{key}", want.get(key, _ABSENT), got.get(key, _ABSENT))
    elif path == ".requests" and len(want) == len(got):
        for index, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from _compare(f"{path}.{index}", one, other)
    elif path == ".sleeps" and isinstance(want, dict):
        limits = want["jitter_up_to"]
        if len(limits) != len(got) or any(map(gt, got, limits)):
            yield path, want, got
    elif path == ".progress_calls" and isinstance(want, dict):
        total = want["up_to"]
        ends = [got[0], got[-1]] if got else []
        if ends != [[0, total], [total, total]] or any(one[1] != total for one in got):
            yield path, want, got
    elif want != got:
        yield path, want, got

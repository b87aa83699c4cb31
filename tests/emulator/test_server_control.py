"""What another program may ask a server, and change: ``/_emu``."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path

import pytest
from cos_wire import BUCKET, Wire, read_answer

import aiocos.emulator
from aiocos.emulator import CosEmulator

PAGE = Path(aiocos.emulator.__file__).with_name("control.md")
JSON = {"content-type": "application/json"}


class Control:
    """Asks a server, as a program in any language would."""

    def __init__(self, server: CosEmulator) -> None:
        self.server, self.wire = server, Wire(server)

    async def __call__(self, method, what, body=None, *, headers=JSON, host=None, status=200):
        sent = (
            None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        answer = await self.wire.ask(
            method, f"/_emu/{what}", headers, sent, host=host or self.server.endpoint, signed=False
        )
        assert answer.status == status, answer.body
        assert answer.headers["Content-Type"].startswith("application/json")
        return json.loads(answer.body)


@pytest.fixture
def control(server):
    return Control(server)


async def test_health(server, control):
    """A server that listens says so."""
    assert await control("GET", "health") == {
        "status": "ok",
        "endpoint": server.endpoint,
        "region": "ap-guangzhou",
    }


async def test_state(server, control):
    """The state lists each bucket with what it holds."""
    await server.put(BUCKET, "k", b"four")
    server.fail()
    state = await control("GET", "state")
    assert state["buckets"] == [
        {
            "name": BUCKET,
            "owner": "1250000000",
            "versioning": "",
            "objects": 1,
            "bytes": 4,
            "versions": 1,
            "uploads": 0,
        }
    ]
    assert (state["snapshots"], state["faults"], state["requests"]) == (["start"], 1, 0)


async def test_requests(server, wire, control):
    """The requests are told with what they were and how they ended, chosen by what they are."""
    await wire.ask("PUT", "/a", {}, b"v")
    await wire.ask("GET", "/a")
    await wire.ask("GET", "/none?versionId=3")

    told = await control("GET", f"requests?operation=GetObject&status=404&bucket={BUCKET}")
    assert told["count"] == 1
    record = told["requests"][0]
    assert record["key"] == "none"
    assert (record["path"], record["query"]) == ("/none", [["versionId", "3"]])
    assert (record["method"], record["status"], record["code"]) == ("GET", 404, "NoSuchVersion")
    assert (await control("GET", "requests?key=a"))["count"] == 2
    latest = await control("GET", "requests?limit=1")
    assert (latest["count"], latest["requests"][0]["key"]) == (3, "none")
    assert (
        "did you mean GetObject"
        in (await control("GET", "requests?operation=GetObjec", status=400))["error"]
    )
    await control("GET", "requests?limit=x", status=400)
    await control("GET", "requests?from=x", status=400)
    await control("DELETE", "requests")
    assert server.requests == []


async def test_no_answer_holds_a_secret(server, wire, control):
    """Neither the requests nor anything else shows signatures, tokens or keys."""
    server.add_credentials("AKIDother", "s3cr3t-key-of-another", "t0ken-of-another")
    token = {"x-cos-security-token": "t0ken-of-another"}
    answer = await wire.ask(
        "GET", "/a", token, secret_id="AKIDother", secret_key="s3cr3t-key-of-another"
    )
    assert answer.status == 404
    given = [server.secret_key, "s3cr3t-key-of-another", "t0ken-of-another", "q-signature="]
    for what in ("health", "state", "requests", "faults", "clock"):
        told = json.dumps(await control("GET", what))
        assert not [secret for secret in given if secret in told]


async def test_faults(server, wire, control):
    """A fault is put in force, says how often it fired, and is dropped, alone or with all."""
    rules = [{"operation": "GetObject", "status": 503, "nth": 2}, {"operation": "PutObject"}]
    added = (await control("POST", "faults", rules))["faults"]
    assert [fault["rule"] for fault in added] == rules
    assert [(await wire.ask("GET", "/k")).status for _ in range(3)] == [404, 503, 404]
    first, second = (await control("GET", "faults"))["faults"]
    assert (first["seen"], first["fired"], second["seen"]) == (3, 1, 0)

    dropped = await control("DELETE", f"faults/{second['id']}")
    assert dropped["faults"] == [second]
    assert [fault.number for fault in server.faults] == [first["id"]]
    await control("DELETE", f"faults/{second['id']}", status=404)
    await control("POST", "heal")
    assert server.faults == ()
    await control("POST", "faults", {"status": 503})
    assert len((await control("DELETE", "faults"))["faults"]) == 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"opration": "GetObject"}, "did you mean operation"),
        ({"operation": "GetObjekt"}, "did you mean GetObject"),
        ({"status": "503"}, "status is '503', and must be int or null"),
        ({"nth": True}, "nth is True"),
        ([{}, 3], "rule 2: a rule is a JSON object"),
        ("GetObject", "faults are a JSON list"),
        (b"{", "not JSON"),
    ],
)
async def test_a_fault_that_is_none(server, control, rule, said):
    """A rule that could not work is refused, with what is wrong, and none is put in force."""
    assert said in (await control("POST", "faults", rule, status=400))["error"]
    assert server.faults == ()


async def test_clock(server, control):
    """The calendar can be moved and set, the wall clock set wrong."""
    before = server.clock.now()
    told = await control("POST", "clock", {"advance": {"days": 1, "seconds": 5}})
    assert 86405 <= told["now"] - before < 86410
    await control("POST", "clock", {"now": "2026-01-01T00:00:00Z", "skew_s": -900})
    told = await control("GET", "clock")
    assert told["now_iso"].startswith("2026-01-01T00:00:0")
    assert -901 < told["wall"] - before < -890
    for wrong in (
        {"now": "2026-01-01T00:00:00"},
        {"now": "tomorrow"},
        {"now": 1e20},
        {"advance": {"weeks": 1}},
        {"advance": 3},
        {"skew_s": "3"},
        {"skew_s": float("nan")},
        {"advance": {"days": 1e30}},
        {"moment": 3},
        [3],
    ):
        assert (await control("POST", "clock", wrong, status=400))["error"]
    assert (await control("GET", "clock"))["now_iso"].startswith("2026-01-01T00:00:0")


async def test_back_and_forth(server, wire, control):
    """Snapshot, restore and reset work from outside."""
    await server.put(BUCKET, "k", b"one")
    assert await control("POST", "snapshot", {"name": "one"}) == {"snapshots": ["one", "start"]}
    await wire.ask("DELETE", "/k")
    await control("POST", "restore", {"name": "one"})
    assert await server.read(BUCKET, "k") == b"one"
    assert (
        "there are: one, start"
        in (await control("POST", "restore", {"name": "two"}, status=400))["error"]
    )
    server.fail()
    await control("POST", "reset", {"faults": False})
    assert len(server.faults) == 1
    assert (await server.state())[0]["objects"] == 0
    await control("POST", "reset")
    assert server.faults == ()
    for wrong in ({"faults": 1}, {"fault": True}):
        await control("POST", "reset", wrong, status=400)
    await control("POST", "snapshot", {"name": ""}, status=400)


# -- who may ask


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
async def test_a_page_cannot_change_anything(server, control, headers):
    """What a page may send to another origin without asking changes nothing."""
    server.fail()
    for what in ("reset", "heal", "snapshot", "restore", "clock", "faults"):
        refusal = await control("POST", what, {}, headers=headers, status=415)
        assert "Content-Type: application/json" in refusal["error"]
    await control("DELETE", "faults", headers=headers, status=415)
    assert len(server.faults) == 1
    assert server.snapshots() == ["start"]


async def test_a_preflight_is_not_permitted(server, control):
    """A page that asks whether it may send JSON is told no."""
    asks = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    wire = Wire(server)
    answer = await wire.ask("OPTIONS", "/_emu/reset", asks, host=server.endpoint, signed=False)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    for method in ("GET", "POST"):
        await control(method, "faults", headers=JSON | {"origin": "http://e.example"}, status=403)
    own = {"origin": f"http://{server.endpoint}"}
    await control("POST", "heal", headers=JSON | own)


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("evil.example", "AccessDenied"),
        (f"{BUCKET}.localhost", "NoSuchKey"),
        (f"{BUCKET}.cos.ap-guangzhou.myqcloud.com", "NoSuchKey"),
        ("192.0.2.1", "NoSuchBucket"),
    ],
)
async def test_other_hosts_have_no_control(server, wire, host, refused):
    """By a foreign name nobody gets there, and in a bucket the path is a key like any other."""
    answer = await wire.ask("GET", "/_emu/health", host=host)
    assert answer.code == refused
    if refused == "NoSuchKey":
        await server.put(BUCKET, "_emu/health", b"a key")
        assert (await wire.ask("GET", "/_emu/health", host=host)).body == b"a key"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80", "LOCALHOST:80"])
async def test_names_of_this_machine(control, host):
    """Each name of this machine will do."""
    assert (await control("GET", "health", host=host))["status"] == "ok"


async def test_a_bound_name_of_this_machine(wire):
    """Where localhost stands for a bucket, the path is a key."""
    async with CosEmulator(domains={"localhost": BUCKET}) as server:
        wire = Wire(server)
        assert (await wire.ask("GET", "/_emu/health", host="localhost")).code == "NoSuchKey"


async def test_without_control(wire):
    """A server without control endpoints has none."""
    async with CosEmulator(control=False) as server:
        answer = await Wire(server).ask("GET", "/_emu/health", host=server.endpoint)
        assert answer.code == "NoSuchBucket"


def own_address() -> str:
    """An address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no network")
        return probe.getsockname()[0]


async def test_other_machines_have_no_control():
    """A connection that does not come over loopback is refused, whatever it calls the host."""
    async with CosEmulator(host="0.0.0.0") as server:
        reader, writer = await asyncio.open_connection(own_address(), server.port)
        writer.write(b"GET /_emu/state HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        answer = await read_answer(reader)
        writer.close()
    assert answer.status == 403
    assert b"to this machine only" in answer.body


async def test_what_there_is_not(control):
    """A wrong path or method is told what there is."""
    assert "GET /_emu/health" in (await control("GET", "nope", status=404))["error"]
    assert "is for GET" in (await control("DELETE", "health", status=405))["error"]
    await control("GET", "health/more", status=405)
    await control("POST", "faults", b" " * (2 << 20), status=413)


async def test_page_has_each_endpoint(server):
    """The page beside the code lists what there is, and nothing else."""
    known = {f"{method} /_emu/{name}" for method, name in server._front._aside[0]._ways}
    told = set(re.findall(r"`((?:GET|POST|DELETE) /_emu/[a-z]+)`", PAGE.read_text("utf-8")))
    assert told == known


@pytest.mark.parametrize(
    "wrong",
    [
        {"now": 10**400},
        {"advance": {"days": 10**400}},
        {"advance": {"days": 1e14}},
        {"skew_s": 1e12},
        {"skew_s": -1e12},
        {"now": 1767225600, "skew_s": 1e12},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
async def test_times_that_no_date_can_say(server, control, wrong):
    """A time outside the calendar is refused, nothing is changed, and the server goes on."""
    before = server.clock.now()
    assert (await control("POST", "clock", wrong, status=400))["error"]
    assert abs(server.clock.now() - before) < 60
    async with server.client() as client:
        await client.put_object(BUCKET, b"v", "k")


async def test_json_that_is_too_deep(control):
    """A document nested without end is refused as any that is no JSON."""
    assert "not JSON" in (await control("POST", "faults", b"[" * 100_000, status=400))["error"]

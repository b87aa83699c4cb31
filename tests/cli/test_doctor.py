"""``aiocos doctor`` says what is wrong, in words, and what to do about it."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import ssl
import time
from contextlib import contextmanager

import pytest

from aiocos import CosConfig
from aiocos.cli.doctor import machine, network
from aiocos.cli.doctor.names import look_at_names
from aiocos.cli.doctor.network import Way, certificate, look_at_way, offset
from aiocos.emulator import FaultRule
from tests.support.tls import Certificates

CANARY = "canarySecretKey0123456789"
DAY_S = 86_400


@pytest.fixture
def doctor(shell):
    """Run the verb; return exit code, findings by check, and all that was shown."""

    def run(*words):
        outcome = shell("doctor", *words, "--json")
        records = [json.loads(line) for line in outcome.lines]
        told = {record["check"]: record for record in records if "check" in record}
        return outcome.code, told, outcome.out + outcome.err

    return run


def states(found):
    return {check: record["state"] for check, record in found.items() if record["state"] != "ok"}


# -- nothing is wrong


def test_where_all_is_well_it_ends_with_0(doctor, server, bucket):
    """Everything is ok, from the machine to reading the object that was named."""
    server.put(bucket, a=b"x")

    code, found, _ = doctor(f"cos://{bucket}/a")

    assert (code, states(found)) == (0, {})
    assert {"versions", "name", "connection", "clock", "keys", "signature"} <= found.keys()
    assert {"bucket", "list", "head", "get"} <= found.keys()


def test_an_empty_object_and_an_empty_bucket_are_well(doctor, server, bucket):
    """What has no bytes to read is not taken for one that cannot be read."""
    assert doctor(f"cos://{bucket}")[0] == 0
    server.put(bucket, empty=b"")
    code, found, _ = doctor(f"cos://{bucket}/empty")
    assert (code, found["get"]["state"]) == (0, "ok")


def test_only_with_write_anything_is_written(doctor, server, bucket):
    """A probe is put, read and deleted when it is asked for, and leaves nothing."""
    server.emulator.forget_requests()
    assert doctor(f"cos://{bucket}/dir/")[0] == 1  # there is no such object
    assert not [item for item in server.emulator.requests if item.method not in {"GET", "HEAD"}]

    code, found, _ = doctor(f"cos://{bucket}", "--write")

    assert (code, states(found)) == (0, {})
    assert {"put", "get", "delete"} <= found.keys()
    assert server.emulator.count("PutObject", status=200) == 1
    assert server.emulator.count("DeleteObject") == 1


def test_a_dry_run_of_the_probe_writes_nothing(shell, server, bucket):
    """--write --dry-run says what would be tried."""
    server.emulator.forget_requests()
    outcome = shell("doctor", f"cos://{bucket}", "--write", "--dry-run")
    assert outcome.lines[-1].startswith(f"would probe cos://{bucket}/")
    assert server.emulator.count("PutObject") == 0
    assert shell("doctor", "--write").code == 2


def test_a_probe_that_comes_back_changed(doctor, healthy, bucket):
    """Other bytes than were written are wrong, and the probe is removed all the same."""
    rule = FaultRule(operation="GetObject", replace_object="something else, of our own")
    healthy.emulator.add_fault(rule)
    code, found, _ = doctor(f"cos://{bucket}", "--write")
    assert (code, states(found)) == (1, {"get": "wrong"})
    assert "other bytes than were written" in found["get"]["message"]
    assert found["delete"]["state"] == "ok"


# -- the clock


@contextmanager
def clock_off_by(server, seconds):
    server.emulator.clock.skew(seconds)
    try:
        yield
    finally:
        server.emulator.clock.skew(0)


@pytest.mark.parametrize(
    ("skew", "state", "code"), [(30, "ok", 0), (300, "warning", 0), (-1000, "wrong", 1)]
)
def test_a_wrong_clock_is_told_in_seconds(doctor, server, bucket, skew, state, code):
    """Row 22: how far the clock is off, to which side, and how it is set."""
    with clock_off_by(server, skew):
        ended, found, _ = doctor(f"cos://{bucket}")

    clock = found["clock"]
    assert (ended, clock["state"]) == (code, state)
    if state != "ok":
        assert "timedatectl" in clock["advice"]
        assert ("behind" if skew > 0 else "ahead of") in clock["message"]
        (seconds,) = (word for word in clock["message"].replace(",", "").split() if word.isdigit()
                      and word != "900")  # fmt: skip
        assert abs(int(seconds) - abs(skew)) <= 2
    assert found["list"]["state"] == "ok"


def test_the_bounds_of_the_clock():
    """60 s is fine, 840 s is as good as refused."""
    told = [offset(seconds).state for seconds in (0, -60, 61, -839, 840, -90_000)]
    assert told == ["ok", "ok", "warning", "warning", "wrong", "wrong"]


# -- the keys


def test_a_wrong_id_and_a_wrong_secret_are_told_apart(doctor, bucket, monkeypatch):
    """An id that COS does not know; an id that it knows, with another secret."""
    monkeypatch.setenv("COS_SECRET_KEY", CANARY)
    code, found, shown = doctor(f"cos://{bucket}")
    assert (code, states(found)) == (1, {"signature": "wrong"})
    assert "SecretKey" in found["signature"]["advice"]
    assert "Both sides signed the same request" in found["signature"]["message"]

    monkeypatch.setenv("COS_SECRET_ID", "AKIDcanary0123456789abcd")
    code, found, more = doctor()
    assert (code, states(found)) == (1, {"signature": "wrong"})
    assert "does not know the SecretId AKID***abcd" in found["signature"]["message"]
    assert CANARY not in shown + more


def test_keys_that_have_ended(doctor, server, bucket, monkeypatch):
    """Row 23: temporary keys that ran out are told as such."""
    ended = server.emulator.clock.now() - 10
    server.emulator.add_credentials("AKIDended", CANARY, "canaryToken", expires=ended)
    for name, value in {"ID": "AKIDended", "KEY": CANARY}.items():
        monkeypatch.setenv(f"COS_SECRET_{name}", value)
    monkeypatch.setenv("COS_TOKEN", "canaryToken")

    code, found, shown = doctor(f"cos://{bucket}")

    assert (code, states(found)) == (1, {"signature": "wrong"})
    assert "temporary keys have ended" in found["signature"]["message"]
    assert not any(secret in shown for secret in (CANARY, "canaryToken"))


def test_no_keys_at_all(doctor, bucket, monkeypatch):
    """Without half of a pair, the way to COS is looked at all the same."""
    monkeypatch.delenv("COS_SECRET_KEY")
    code, found, _ = doctor(f"cos://{bucket}")
    assert (code, states(found)) == (1, {"keys": "wrong"})
    assert "COS_SECRET_KEY is not" in found["keys"]["message"]
    assert found["clock"]["state"] == "ok"
    assert "signature" not in found


def test_where_the_keys_stand(doctor, server, bucket):
    """Whose keys they are, by their shortened id, and where they were found."""
    message = doctor(f"cos://{bucket}")[1]["keys"]["message"]
    identity = server.emulator.secret_id
    assert message == f"{identity[:4]}***{identity[-4:]}, permanent, from environment."


# -- what is permitted


@pytest.mark.parametrize(
    ("operation", "check", "state", "action"),
    [
        ("ListObjects", "list", "warning", "name/cos:GetBucket"),
        ("HeadObject", "head", "wrong", "name/cos:HeadObject"),
        ("GetObject", "get", "wrong", "name/cos:GetObject"),
        ("PutObject", "put", "wrong", "name/cos:PutObject"),
        ("DeleteObject", "delete", "wrong", "name/cos:DeleteObject"),
    ],
)
def test_a_missing_permission_is_named(doctor, healthy, bucket, operation, check, state, action):
    """What a CAM policy has to allow, on what; the rest is looked at all the same."""
    healthy.put(bucket, a=b"x")
    fault = healthy.emulator.fail(operation, status=403, code="AccessDenied")

    code, found, _ = doctor(f"cos://{bucket}/a", "--write")

    assert fault.fired
    assert (code, found[check]["state"]) == (int(state == "wrong"), state)
    assert action in found[check]["advice"]
    assert f"{bucket}/" in found[check]["advice"]
    assert found["signature"]["state"] == "ok"
    if check == "delete":
        assert "is left behind" in found["delete"]["message"]


def test_the_list_of_a_bucket_that_was_asked_for(doctor, healthy, bucket):
    """For a bucket alone to be listed is what was asked, so its refusal is wrong."""
    healthy.emulator.fail("ListObjects", status=403, code="AccessDenied")
    assert states(doctor(f"cos://{bucket}")[1]) == {"list": "wrong"}
    healthy.emulator.fail("ListBuckets", status=403, code="AccessDenied")
    code, found, _ = doctor()
    assert (code, states(found)) == (1, {"list buckets": "wrong"})
    assert "name/cos:GetService on *" in found["list buckets"]["advice"]


# -- names and regions


def test_a_bucket_of_another_region(doctor, healthy, bucket):
    """A bucket that is not there, and in the account's list: its region is told."""
    healthy.emulator.fail("ListObjects", status=404, code="NoSuchBucket")
    code, found, _ = doctor(f"cos://{bucket}")
    assert (code, states(found)) == (1, {"bucket": "wrong"})
    assert found["bucket"]["advice"] == "Use --region ap-guangzhou"


def test_a_bucket_that_is_nowhere(doctor):
    """A bucket that the account has not."""
    code, found, _ = doctor("cos://nowhere-1250000000")
    assert (code, states(found)) == (1, {"bucket": "wrong"})
    assert "aiocos mb cos://nowhere-1250000000" in found["bucket"]["advice"]


def test_an_answer_that_points_elsewhere(doctor, healthy, bucket):
    """A redirect is not followed; the region that it names is told."""
    elsewhere = f"https://{bucket}.cos.ap-shanghai.myqcloud.com/"
    rule = FaultRule(operation="ListObjects", status=301, location=elsewhere)
    healthy.emulator.add_fault(rule)
    healthy.emulator.fail("ListBuckets", status=403, code="AccessDenied")
    code, found, _ = doctor(f"cos://{bucket}")
    assert (code, states(found)) == (1, {"bucket": "wrong"})
    assert found["bucket"]["advice"] == "Use --region ap-shanghai"


@pytest.mark.parametrize(
    ("given", "state", "advice"),
    [
        ({"Region": "ap-guangzhou"}, "ok", ""),
        ({"Region": "cossh"}, "ok", ""),
        ({"Region": "cn-north"}, "ok", ""),
        ({"Region": "ap-guangzhuo"}, "warning", "Did you mean ap-guangzhou?"),
        ({"Region": "guangzhou"}, "warning", "Did you mean ap-guangzhou?"),
        ({"Region": "cn-shanghai"}, "warning", "Did you mean ap-shanghai?"),
        ({"Region": "xx-atlantis"}, "warning", "Known are: "),
        ({"Endpoint": "cos.accelerate.myqcloud.com"}, "ok", ""),
        ({"Endpoint": "cos-internal.ap-tokyo.tencentcos.cn"}, "ok", ""),
        ({"Endpoint": "cos.ap-guangzhou.myqclod.com"}, "wrong", "cos.ap-guangzhou.myqcloud.com"),
        ({"Endpoint": "ap-guangzhou.cos.myqcloud.com"}, "wrong", "myqcloud.com"),
        ({"Endpoint": "cos.ap-tokio.myqcloud.com"}, "warning", "ap-tokyo"),
        (
            {"Endpoint": "b-1250000000.cos.ap-tokyo.myqcloud.com"},
            "wrong",
            "--endpoint cos.ap-tokyo.myqcloud.com",
        ),
        ({"Endpoint": "storage.example.com"}, "ok", ""),
        ({"Domain": "files.example.com"}, "ok", ""),
    ],
)
def test_misspelled_names(given, state, advice):
    """Region and endpoint are compared with those there are, and the nearest is told."""
    found = look_at_names(CosConfig(SecretId="a", SecretKey="b", **given))
    assert found.state == state
    assert advice in found.advice


# -- the way


def test_a_dead_port_is_told(doctor, bucket):
    """Where nobody listens, that is what is wrong, and nothing behind it is looked at."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        code, found, _ = doctor(f"cos://{bucket}", "--endpoint", f"127.0.0.1:{port}")
    assert (code, states(found)) == (1, {"connection": "wrong"})
    assert f"Nothing listens at 127.0.0.1:{port}" in found["connection"]["message"]
    assert "signature" not in found


def test_a_name_without_an_address(doctor, bucket):
    """A host that does not exist is told with its name, and the spelling is doubted."""
    code, found, _ = doctor(f"cos://{bucket}", "--endpoint", "https://cos.nowhere.invalid")
    assert (code, states(found)) == (1, {"name": "wrong"})
    assert f"{bucket}.cos.nowhere.invalid has no address" in found["name"]["message"]


@contextmanager
def serving(server, answer, tls=None):
    """A TCP server beside the other one; ``answer`` takes reader and writer."""

    async def start():
        return await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)

    async def stop():
        listener.close()
        await listener.wait_closed()

    listener = server.run(start())
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        server.run(stop())


async def say_the_time(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    writer.write(f"HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())
    await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates.make(tmp_path_factory.mktemp("tls"), ["localhost"])


def test_a_certificate_that_is_not_trusted(doctor, server, bucket, certificates):
    """A certificate of an unknown authority: the connection is there, the trust is not."""
    with serving(server, say_the_time, certificates.serving()) as port:
        code, found, _ = doctor(f"cos://{bucket}", "--endpoint", f"https://localhost:{port}")
    assert (code, states(found)) == (1, {"certificate": "wrong"})
    assert found["connection"]["state"] == "ok"
    assert "--ca-file" in found["certificate"]["advice"]


def test_what_does_not_speak_tls(doctor, server, bucket):
    """A server without TLS behind https:// is told as that."""

    async def refuse(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    with serving(server, refuse) as port:
        code, found, _ = doctor(f"cos://{bucket}", "--endpoint", f"https://localhost:{port}")
    assert code == 1
    assert states(found) == {"certificate": "wrong"}
    assert "not as TLS does" in found["certificate"]["message"]


def test_http_where_https_is_spoken(doctor, server, bucket, certificates):
    """A request over http to a port of https is told as that, and nothing after it is tried."""
    with serving(server, say_the_time, certificates.serving()) as port:
        code, found, _ = doctor(f"cos://{bucket}", "--endpoint", f"http://localhost:{port}")
    assert (code, states(found)) == (1, {"certificate": "wrong"})
    assert "This port speaks https" in found["certificate"]["message"]
    assert not {"clock", "signature"} & found.keys()


def test_a_trusted_certificate_and_its_end(server, certificates):
    """A certificate that holds for a day more is trusted, with a warning."""
    config = CosConfig(
        Region="ap-guangzhou", SecretId="a", SecretKey="b", IP="localhost", Port=1,
        VerifySSL=str(certificates.authority),
    )  # fmt: skip
    way = Way.of(config, "b-1")
    assert (way.host, way.header) == ("localhost", "b-1.cos.ap-guangzhou.myqcloud.com")

    async def look(port):
        reached = Way(way.host, port, way.tls, way.header)
        return {item.check: item async for item in look_at_way(reached, time.time)}

    with serving(server, say_the_time, certificates.serving()) as port:
        found = asyncio.run(look(port))

    assert (found["certificate"].state, found["clock"].state) == ("warning", "ok")
    assert "(0 days)" in found["certificate"].told


def test_a_certificate_of_another_host(server, certificates):
    """A trusted certificate for another name: the endpoint is doubted, not the authority."""
    trusting = ssl.create_default_context(cafile=certificates.authority)

    async def look(port):
        way = Way("127.0.0.1", port, trusting, "x")
        return [item async for item in look_at_way(way, time.time)]

    with serving(server, say_the_time, certificates.serving()) as port:
        found = asyncio.run(look(port))[-1]
    assert (found.check, found.state) == ("certificate", "wrong")
    assert "endpoint is misspelled" in found.advice


def test_silence_is_not_waited_for(server, monkeypatch):
    """A server that never answers a handshake is given up, and a firewall is thought of."""
    monkeypatch.setattr(network, "PATIENCE_S", 0.3)

    async def wait(reader, writer):
        await reader.read()
        await reader.read()
        writer.close()

    async def look(port):
        way = Way("127.0.0.1", port, ssl.create_default_context(), "x")
        return [item async for item in look_at_way(way, time.time)]

    with serving(server, wait) as port:
        found = asyncio.run(look(port))[-1]
    assert (found.check, found.state) == ("connection", "wrong")
    assert "firewall" in found.advice


def test_the_end_of_a_certificate():
    """Two weeks before its end there is a warning."""
    facts = {"notAfter": "Jan 20 00:00:00 2030 GMT"}
    end = 1_895_097_600
    assert certificate(facts, end - 15 * DAY_S).state == "ok"
    assert certificate(facts, end - 13 * DAY_S).state == "warning"


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 99]
)
def test_what_is_no_cos_server(doctor, server, bucket, monkeypatch, answer):
    """Silence, nonsense or an answer without the time: said in words, and within time."""
    monkeypatch.setattr(network, "PATIENCE_S", 0.3)

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()

    begun = time.monotonic()
    with serving(server, talk) as port:
        way = Way("127.0.0.1", port, None, "x")

        async def look():
            return [item async for item in look_at_way(way, time.time)]

        found = asyncio.run(look())[-1]
    assert (found.check, found.state != "ok") == ("clock", True)
    assert time.monotonic() - begun < 5


# -- this machine


def test_few_open_files():
    """A limit below what transfers take is a warning, none is fine."""
    assert machine.open_files(256).state == "warning"
    assert machine.open_files(1024).state == "ok"
    assert machine.open_files(resource.RLIM_INFINITY).state == "ok"


def test_a_state_directory_that_cannot_be(tmp_path):
    """Where no journal can be kept, an interrupted transfer starts over: a warning."""
    file = tmp_path / "file"
    file.touch()
    assert machine.state_directory(tmp_path).state == "ok"
    assert machine.state_directory(tmp_path / "new" / "one").state == "ok"
    found = machine.state_directory(file / "state")
    assert found.state == "warning"
    assert "XDG_STATE_HOME" in found.advice
    assert not (tmp_path / "new").exists()


def test_free_space_is_told(tmp_path):
    """How much is free; a directory that is gone is no crash."""
    assert "GiB are free" in machine.free_space(tmp_path).told
    assert machine.free_space(tmp_path / "gone").state == "warning"


def test_a_proxy_is_named_without_its_password():
    """A proxy that is set and not used is told, and who logs in there is not."""
    found = machine.proxies({"HTTPS_PROXY": f"http://ada:{CANARY}@proxy.example:3128"})
    assert "proxy.example:3128" in found.told
    assert "ada" not in found.told
    assert CANARY not in found.told
    assert machine.proxies({}).state == "ok"
    assert "cannot be read" in machine.proxies({"https_proxy": "http://[x"}).told


def test_people_read_one_line_a_check_and_what_to_do(shell, bucket):
    """State, check, sentence; what to do stands below it."""
    outcome = shell("doctor", f"cos://{bucket}/nothing")
    lines = outcome.lines
    at = next(index for index, line in enumerate(lines) if line.startswith("wrong"))
    assert lines[at].split()[:3] == ["wrong", "head", "nothing:"]
    assert lines[at + 1].startswith(" " * 26 + "Look at the names")
    assert outcome.complaints == [
        f"aiocos: 1 of {sum(not line.startswith(' ') for line in lines)} checks found something "
        "wrong: head: nothing: there is no such object."
    ]

"""The parsers that need no server: event streams, dates, journals, envelopes, hosts, keys.

In: nothing. Out: of each parser its inputs and what must be true of a result. Truth comes from a
second reader of the format, or from libraries that are not ours.
"""

from __future__ import annotations

import binascii
import calendar
import email.utils
import ipaddress
import json
import re
import socket
import struct
from collections.abc import Iterator
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import anycrc
import yarl

import aiocos
from aiocos import CosConfig, RetryPolicy
from aiocos.encoding.events import QueryFailure
from aiocos.encoding.urls import Endpoints, key_path, raw_path
from aiocos.retry import Attempts, Trouble, backoff, parse_retry_after, seconds_ahead
from aiocos.transfer.journal import read_lines
from aiocos.transfer.plan import Plan
from aiocos.transfer.sent import recorded_in, upload_id_of
from tests import test_fuzzed_events as events
from tests.campaigns.encrypted import contents, envelopes
from tests.campaigns.fuzzing import Parser
from tests.campaigns.mutators import NUMBERS, damaged, damaged_text
from tests.support.mutations import checked
from tests.test_hosts import HOSTS, LINK_LOCAL, NOT_HOSTS
from tests.test_safe_paths import CASES, RULES, check_one_key

NEVER: Final = ()
"""What reads anything at all raises nothing."""

# -- the event stream of a query


class Stream(NamedTuple):
    """A stream, and the number from which the sizes of its pieces are drawn."""

    content: bytes
    cuts: int


def _frames(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The headers and the payload of each message; by the format's description alone."""
    at = 0
    while at + 16 <= len(stream):
        size, headers = struct.unpack_from(">II", stream, at)
        if not 16 + headers <= size <= len(stream) - at:
            return
        whole = stream[at : at + size]
        assert binascii.crc32(whole[:8]) == int.from_bytes(whole[8:12], "big")
        assert binascii.crc32(whole[:-4]) == int.from_bytes(whole[-4:], "big")
        yield whole[12 : 12 + headers], whole[12 + headers : -4]
        at += size


def event_streams() -> Parser:
    def make(chance: Random) -> Stream:
        kinds = [events.mutated, events.mutated, events.crafted, events.random_bytes]
        return Stream(chance.choice(kinds)(chance), chance.randrange(1 << 30))

    def read(given: Stream) -> Any:
        found = events.outcome(given.content, Random(given.cuts))
        if isinstance(found, Exception):
            raise found
        return found

    def check(given: Stream, found: Any) -> None:
        if isinstance(found, QueryFailure):
            assert found.code
            return
        payloads = [item["Records"]["Payload"] for item in found if "Records" in item]
        there = [body for head, body in _frames(given.content) if b"\x00\x07Records" in head]
        assert payloads == there, "a part of the result is lost, or was never sent"
        assert all(len(item) == 1 and item.keys() <= events.KEYS for item in found)

    errors = (aiocos.CosClientError,)
    good = (Stream(events.SAMPLES[-3], 1),)
    return Parser("select event stream", make, read, errors, check, good)


# -- times

_NOW: Final = 1_800_000_000


class Told(NamedTuple):
    """A Retry-After, a Date, and the seconds that they are from now, where that is certain."""

    text: str
    ahead_s: float | None = None


def times() -> Parser:
    policy = RetryPolicy()
    samples = ["5", "120", "Fri, 15 Jan 2027 08:00:05 GMT", "Friday, 15-Jan-27 08:00:05 GMT"]
    samples += ["Fri Jan 15 08:00:05 2027", "Fri, 15 Jan 2027 08:00:05 +0800", "1.5"]
    tokens = (*NUMBERS, "GMT", "UTC", "-0000", "+9999", "Feb", "30", "24:00:00", "23:59:60", "é")

    def make(chance: Random) -> Told:
        match chance.randrange(6):
            case 0:
                seconds = chance.choice([0, 1, 59, 60, 61, chance.randrange(10**9)])
                return Told(str(seconds), float(seconds))
            case 1:
                ahead = chance.randrange(-(10**9), 10**9)
                return Told(email.utils.formatdate(_NOW + ahead, usegmt=True), float(ahead))
            case 2:
                return Told(chance.choice(NUMBERS))
            case _:
                return Told(damaged_text(samples, chance, tokens))

    def read(given: Told) -> tuple[float | None, float | None, float | None]:
        told = parse_retry_after(given.text, _NOW)
        waits = backoff(policy, Trouble.NOT_DONE, Attempts(made=1), told, lambda low, high: high)
        return told, seconds_ahead(given.text, _NOW), waits

    def check(given: Told, found: tuple[float | None, float | None, float | None]) -> None:
        told, ahead, waits = found
        assert told is None or 0 <= told < float("inf")
        assert ahead is None or abs(ahead) < float("inf")
        assert waits is None or 0 <= waits <= policy.retry_after_max + 1
        if given.ahead_s is not None:
            assert told == max(0.0, given.ahead_s)
        parsed = email.utils.parsedate_tz(given.text) if given.text[:1].isalpha() else None
        if ahead is not None and parsed is not None and parsed[0] > 1970:
            seconds = calendar.timegm((*parsed[:6], 0, 1, 0)) - (parsed[9] or 0)
            assert abs(ahead - (seconds - _NOW)) <= 1

    good = (Told("5", 5.0), Told(email.utils.formatdate(_NOW, usegmt=True), 0.0))
    return Parser("Retry-After and Date", make, read, NEVER, check, good, all_taken=True)


# -- journals


def _line(**fact: object) -> bytes:
    return checked(json.dumps(fact, separators=(",", ":")).encode())


def _journal(size: int) -> bytes:
    head = _line(aiocos=1, operation="upload", bucket="b-1", key="/k", part_size=1 << 20)
    parts = [
        _line(part=number, size=1 << 20, etag=f'"{number:032x}"', crc64=str(number << 50))
        for number in range(1, size)
    ]
    return b"".join([head, _line(upload_id="a1b2"), *parts])


_PLAN: Final = Plan(8 << 20, 1 << 20, 8)
_VALUES: Final = (
    b"null", b"true", b"-1", b"1.5", b"1e999", b"NaN", b"9" * 5000, b'"x"', b'"\\ud800"', b"[]",
    b"{}", b'{"a":[1]}', b"[" * 3000 + b"]" * 3000, b'""', b'"2"',
    b"18446744073709551616", b'"\\u0000"',
)  # fmt: skip


def _lying(chance: Random) -> bytes:
    """Lines with a right check, and a value that does not belong there."""
    lines = _journal(5).splitlines(keepends=True)
    at = chance.randrange(len(lines))
    text = lines[at].rpartition(b',"check"')[0] + b"}"
    values = list(re.finditer(rb'(?<=":)("[^"]*"|[0-9]+)', text))
    value = chance.choice(values)
    changed = text[: value.start()] + chance.choice(_VALUES) + text[value.end() :]
    lines[at] = checked(damaged([changed], chance, _VALUES) if chance.random() < 0.3 else changed)
    return b"".join(lines)


def journals() -> Parser:
    """Row 30 and 31; what reads the facts may refuse them in three ways, and its callers know."""
    samples = [_journal(1), _journal(3), _journal(8)]
    crc = anycrc.Model("CRC64-XZ")

    def make(chance: Random) -> bytes:
        if chance.random() < 0.4:
            return _lying(chance)
        return damaged(samples, chance, (*_VALUES, b"\n", b'","check":"', b',"check":"0"}\n'))

    def read(given: bytes) -> tuple[list[Any], int, Any]:
        lines, whole = read_lines(given)
        try:
            return lines, whole, (upload_id_of(lines[1:]), recorded_in(lines[1:], _PLAN))
        except (KeyError, TypeError, ValueError):
            return lines, whole, None

    def check(given: bytes, found: tuple[list[Any], int, Any]) -> None:
        lines, whole, known = found
        assert 0 < whole <= len(given)
        assert given[:whole].endswith(b"\n")
        behind = given[whole:]
        assert b"\n" not in behind or b"\0" in behind.partition(b"\n")[0], "a line was dropped"
        there = given[:whole].split(b"\n")[:-1]
        assert len(lines) == len(there)
        for fact, text in zip(lines, there, strict=True):
            body, _, told = text.rpartition(b',"check":"')
            assert int(told[:16], 16) == crc.calc(body + b"}"), "a damaged line was believed"
            assert fact == json.loads(body + b"}")
        assert lines[0]["aiocos"] == 1
        if known is not None:
            identity, parts = known
            assert identity is None or (identity.isprintable() and identity.isascii())
            assert all(1 <= number <= 8 and part.size == 1 << 20 for number, part in parts.items())

    return Parser("journal JSON", make, read, (ValueError,), check, tuple(samples))


# -- where a request goes


class Place(NamedTuple):
    """A configuration of an endpoint, a bucket and a key."""

    field: str
    host: str
    bucket: str
    key: str


_HOST_MARKS: Final = (
    "@", ":", "/", "\\", "?", "#", "%", "%2e", "%00", "..", ".", "-", "_", "[", "]", "::", "[::1]",
    " ", "\t", "\n", "\r\n", "\0", "。", "．", "é", "xn--", "evil.example", "evil.example/",
    ":80", ":0",
    ":65536", ":99999999999999999999", "169.254.169.254", "0xa9fea9fe", "2852039166",
    "0251.0376.0.1", "[::ffff:169.254.169.254]", "[fe80::1%25eth0]", "http://", "user:password@",
    "\u202e", "\x7f",
    "１",
)  # fmt: skip
_LEGAL_HOST: Final = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9._-]+")


def places() -> Parser:
    """Rows 42 and 43: a signature goes to the host that was given, and to no other."""
    hosts = [*HOSTS, *LINK_LOCAL, *(host for host in NOT_HOSTS if isinstance(host, str))]
    buckets = ["examplebucket-1250000000", "a-1", "b", "-a", "a.b-1", "A-1"]
    keys = [
        "a",
        "a/b.txt",
        "a//b",
        "../x",
        "a/./b",
        "a b+c%2F",
        "é/\u4e2d",
        "?q=1#f",
        "x" * 850,
        "/",
    ]

    def make(chance: Random) -> Place:
        host = (
            chance.choice(hosts)
            if chance.random() < 0.4
            else damaged_text(HOSTS, chance, _HOST_MARKS)
        )
        bucket = damaged_text(buckets, chance, _HOST_MARKS) if chance.random() < 0.2 else buckets[0]
        field = chance.choice(["Endpoint", "Domain", "ServiceDomain", "IP"])
        return Place(field, host, bucket, damaged_text(keys, chance, _HOST_MARKS))

    def read(given: Place) -> Any:
        keys = {"SecretId": "AKID", "SecretKey": "key", "Region": "ap-guangzhou"}
        endpoints = Endpoints(CosConfig(**keys, **{given.field: given.host}))
        targets = [endpoints.bucket(given.bucket), endpoints.service()]
        for target in targets:
            try:
                yarl.URL(target.origin)
            except ValueError as error:  # [::1] with a bucket before it, which no call can reach
                raise aiocos.ParameterError(str(error)) from error
        return targets, raw_path(key_path(given.key))

    def check(given: Place, found: Any) -> None:
        targets, path = found
        assert unquote(path, errors="strict") == "/" + given.key.removeprefix("/")
        assert re.fullmatch(r"/[A-Za-z0-9/%._~-]*", path)
        assert "./" not in path
        for target in targets:
            _check_origin(given, target.origin)
            if target.host_header is not None:
                assert _LEGAL_HOST.fullmatch(target.host_header.rsplit(":", 1)[0].lower())

    good = tuple(Place("Domain", host, buckets[0], "k") for host in HOSTS)
    return Parser("endpoint and URL", make, read, (aiocos.ParameterError,), check, good)


def _check_origin(given: Place, origin: str) -> None:
    """By two libraries that are not ours an origin is a scheme, one host and a port."""
    parts, url = urlsplit(origin), yarl.URL(origin)
    assert (parts.path, parts.query, parts.fragment, parts.username) == ("", "", "", None)
    host = parts.hostname
    assert host is not None
    assert url.raw_host is not None
    assert url.raw_host == host or ipaddress.ip_address(url.raw_host) == ipaddress.ip_address(host)
    assert url.user is None
    assert url.password is None
    allowed = (given.host.rsplit("@", 1)[-1].lower(), "tencentcos.cn", "myqcloud.com", "localhost")
    assert any(name in origin.lower() for name in allowed), "a host that nobody named"
    bare = host.rstrip(".")
    try:
        packed = bare if ":" in bare else socket.inet_ntoa(socket.inet_aton(bare))
        assert not ipaddress.ip_address(packed).is_link_local, "where clouds give out credentials"
    except (OSError, ValueError):
        return


# -- keys and files


class Named(NamedTuple):
    """A key, and the rules of names under which it lands."""

    which: str
    key: str


def paths() -> Parser:
    """Row 36: by posixpath and ntpath a key lands inside, or nowhere."""
    corpus = [key for _, key, *_ in CASES]
    marks = (
        "..",
        "../",
        "/..",
        "/",
        "//",
        "\\",
        "\0",
        ":",
        "C:",
        "con",
        "aux.txt",
        "%",
        "%/%",
        "%2F",
    )
    marks += (".", " ", "é", "e\u0301", "\ud800", "\n", "x" * 300, "\u202e", "~", "nul .x", "COM¹")

    def make(chance: Random) -> Named:
        return Named(chance.choice(sorted(RULES)), damaged_text(corpus, chance, marks))

    def read(given: Named) -> None:
        check_one_key(given.key, given.which)

    def check(given: Named, found: None) -> None:
        """Every key has a place, encoded; that it is inside was checked where it was read."""

    good = tuple(Named(which, key) for which, key, *_ in CASES)
    return Parser("key to local path", make, read, NEVER, check, good, all_taken=True)


TEXTS: Final = {
    "select event stream": event_streams,
    "Retry-After and Date": times,
    "journal JSON": journals,
    "CSE metadata": envelopes,
    "CSE body": contents,
    "endpoint and URL": places,
    "key to local path": paths,
}

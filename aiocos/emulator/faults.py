"""Faults as data.

In: rules, each saying which requests it is for, when it fires and what goes wrong. Out:
for each request at most one armed rule, which counts what it saw and how often it fired.
A rule is plain data: it travels as JSON, and a run can be repeated exactly.
"""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

from . import settings

_WHICH_AND_WHEN = """
operation bucket key method part range covers nth after every times probability seed
"""
OPERATION_NAMES = frozenset(
    {
        "AbortMultipartUpload",
        "AppendObject",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateBucket",
        "CreateMultipartUpload",
        "DeleteBucket",
        "DeleteObject",
        "DeleteObjects",
        "GetBucketVersioning",
        "GetObject",
        "HeadBucket",
        "HeadObject",
        "ListBuckets",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListParts",
        "PostObject",
        "PutBucketVersioning",
        "PutObject",
        "RestoreObject",
        "SelectObjectContent",
        "UploadPart",
        "UploadPartCopy",
        "OptionsObject",
        "GetBucketACL",
        "PutBucketACL",
        "GetBucketLocation",
        "GetObjectACL",
        "PutObjectACL",
        "DeleteObjectTagging",
        "GetObjectTagging",
        "PutObjectTagging",
        "GetSymlink",
        "PutSymlink",
        "DeleteBucketDomainCertificate",
        "GetBucketDomainCertificate",
        "PutBucketDomainCertificate",
        "ListBucketInventoryConfigurations",
        "PostBucketInventory",
        "ListBucketIntelligentTieringConfigurations",
        *settings.operation_names(),
    }
)
"""What a rule may name; the routing table has the same names."""
RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})", re.ASCII)
SELECTORS = frozenset(_WHICH_AND_WHEN.split())
"""The fields that say which requests and when, but not what goes wrong."""
_MUCH = 10**18
_BOUNDS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("part", "nth", "every", "drip"), (1, _MUCH)),
    **dict.fromkeys(("covers", "after", "times"), (0, _MUCH)),
    **dict.fromkeys(("truncate_hide", "corrupt", "leading_whitespace"), (0, _MUCH)),
    **dict.fromkeys(("corrupt_request", "reset_request", "reset_response"), (0, _MUCH)),
    **dict.fromkeys(("close_response", "stall"), (0, _MUCH)),
    **dict.fromkeys(("delay_s", "interval_s"), (0, 1_000_000)),
    "status": (200, 599),
    "probability": (0, 1),
    "shift_range": (-_MUCH, _MUCH),
    "clock_skew": (-1_000_000_000, 1_000_000_000),
}
"""From which number to which the fields go."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
_CODINGS = {"body": "utf-8", "message": "utf-8", "replace_object": "utf-8", "raw": "latin-1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultRule:
    """Which requests, when, and what goes wrong. Offsets and amounts are bytes."""

    # -- which requests
    operation: str = "*"
    """The name of an operation, ``UploadPart``, or ``*``."""
    bucket: str = "*"
    """A pattern, as in a shell."""
    key: str = "*"
    """A pattern, as in a shell."""
    method: str = "*"
    """The request's method."""
    part: int | None = None
    """Only the part of this number."""
    range: str = "*"
    """A pattern for the Range header."""
    covers: int | None = None
    """Only reads that ask for the byte at this offset; without a range they ask for all."""

    # -- when
    nth: int | None = None
    """Only the n-th of them, counted from 1."""
    after: int = 0
    """Not the first so many."""
    every: int = 1
    """Of those that are left, each so-many-th."""
    times: int | None = None
    """At most so often."""
    probability: float = 1.0
    """Of those that are left, this share by chance."""
    seed: int = 0
    """What chance begins with: the same seed strikes the same requests."""

    # -- an answer instead of the operation's
    status: int | None = None
    """The status; the rest of the answer is COS's usual one for it, unless told."""
    code: str | None = None
    """The code in the Error document."""
    message: str | None = None
    """The message in the Error document."""
    body: str | None = None
    """Sent as it is instead of the Error document."""
    raw: str | None = None
    """Sent, in Latin-1, instead of any HTTP answer; then the connection closes."""
    location: str | None = None
    """Where a redirect points."""
    applied: bool = False
    """Whether the operation takes place first."""
    expired_token: bool = False
    """400 ExpiredToken."""
    error_in_200: str | None = None
    """An Error document of this code under status 200."""

    # -- changes to whatever answer there is
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Headers to set; None, null in JSON, takes one away."""
    omit_crc: bool = False
    """No x-cos-hash-crc64ecma."""
    wrong_crc: bool = False
    """An x-cos-hash-crc64ecma, where there is one, that is not the content's."""
    no_request_id: bool = False
    """An answer that is not COS's own: no x-cos-request-id, and for an error no document."""
    stale_list: bool = False
    """What lists something answers again what it answered when the rule first saw the same
    request; that first answer is true, and counts as fired like the others."""
    chunked: bool = False
    """No Content-Length."""
    truncate_hide: int | None = None
    """The body ends here, and Content-Length agrees."""
    corrupt: int | None = None
    """The body's byte at this offset is flipped."""
    leading_whitespace: int = 0
    """So many spaces, one each ``interval_s``, before a chunked body."""

    # -- changes to the request and to what is stored
    corrupt_request: int | None = None
    """The byte at this offset of the request's body arrives flipped."""
    ignore_range: bool = False
    """The whole object is answered, as if no range had been asked for."""
    shift_range: int = 0
    """The range that is served and announced lies so many bytes further."""
    replace_object: str | None = None
    """The object's content becomes this before the request is served."""
    clock_skew: float = 0.0
    """Seconds by which the clock is wrong for this request, in Date and in judging it."""

    # -- the connection
    handshake: str | None = None
    """What becomes of TLS handshakes: ``close`` ends the connection, ``plain`` answers without
    TLS, ``stall`` never answers. The rule counts connections, and strikes no request."""
    delay_s: float = 0.0
    """Seconds before anything happens."""
    blackhole: bool = False
    """Never answer."""
    reset_request: int | None = None
    """Reset the connection once so much of the request's body came; 0: at once."""
    lose_response: bool = False
    """The operation takes place, then the connection ends without an answer."""
    reset_response: int | None = None
    """Reset the connection after so much of the body."""
    close_response: int | None = None
    """Close the connection after so much of the body."""
    stall: int | None = None
    """Send nothing more after so much of the body."""
    drip: int | None = None
    """Send the body in pieces of this size, one each ``interval_s``."""
    interval_s: float = 0.1
    """Seconds between two pieces."""

    def __post_init__(self) -> None:
        if self.handshake not in {None, "close", "plain", "stall"}:
            raise ValueError("handshake must be close, plain or stall")
        if self.operation not in OPERATION_NAMES | {"*"}:
            near = difflib.get_close_matches(self.operation.replace("_", ""), OPERATION_NAMES, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"there is no operation {self.operation!r}{meant}")
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name} is {value}, and must be from {least} to {most}")
        if (self.code or self.message) and not self.answers:
            raise ValueError("code and message are of an error: give its status as well")
        self._check_texts()

    def _check_texts(self) -> None:
        for name in self.headers:
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"headers has {name!r}, which is no name of a header")
        told = {f"headers[{name!r}]": value for name, value in self.headers.items()}
        for name, value in {**told, "location": self.location}.items():
            if value is not None and not (isinstance(value, str) and _LINE.fullmatch(value)):
                raise ValueError(f"{name} is {value!r}, and must be one line of text")
        for name, coding in _CODINGS.items():
            try:
                (getattr(self, name) or "").encode(coding)
            except UnicodeEncodeError:
                raise ValueError(f"{name} cannot be sent as {coding}") from None

    def to_dict(self) -> dict[str, Any]:
        """What differs from a rule that does nothing, ready for JSON."""
        plain = FaultRule()
        return {
            item.name: dict(value) if isinstance(value, Mapping) else value
            for item in fields(self)
            if (value := getattr(self, item.name)) != getattr(plain, item.name)
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FaultRule:
        """The rule that ``to_dict`` described; an unknown name is a TypeError."""
        return cls(**data)

    @property
    def answers(self) -> bool:
        """Whether the answer is the rule's own, not the operation's."""
        return (
            self.status is not None
            or self.expired_token
            or self.error_in_200 is not None
            or self.body is not None
            or self.location is not None
            or self.raw is not None
        )


def failing(operation: str, rule: Mapping[str, Any]) -> FaultRule:
    """A rule that answers 500, unless it is told what goes wrong.

    Raises TypeError for a field that rules do not have.
    """
    known = [item.name for item in fields(FaultRule)]
    for name in rule:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"a rule has no {name!r}{meant}")
    usual: dict[str, Any] = {"status": 500} if rule.keys() <= SELECTORS else {}
    return FaultRule(operation=operation, **rule, **usual)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule looks at in a request."""

    operation: str
    method: str
    bucket: str
    key: str
    part: str
    range: str


class Fault:
    """A rule at work, with its account."""

    def __init__(self, rule: FaultRule, number: int = 0) -> None:
        self.rule = rule
        self.number = number
        """Its name among the faults of a server."""
        self.seen = 0
        """Requests the rule is for."""
        self.fired = 0
        """Of these, the ones that went wrong."""
        self.told: dict[str, bytes] = {}
        """What was answered before, by request; for what is stale."""
        self._random = random.Random(rule.seed)  # noqa: S311  (repeatable, not secret)

    def __repr__(self) -> str:
        return f"Fault(seen={self.seen}, fired={self.fired}, rule={self.rule.to_dict()})"

    def is_due(self, subject: Subject) -> bool:
        """Count this request if it is concerned; whether it should go wrong."""
        return self._concerns(subject) and self.count()

    def count(self) -> bool:
        """Count one thing the rule is for; whether it should go wrong."""
        rule = self.rule
        self.seen += 1
        due = self.seen > rule.after and (self.seen - rule.after - 1) % rule.every == 0
        if rule.nth is not None and self.seen != rule.nth:
            due = False
        if rule.times is not None and self.fired >= rule.times:
            due = False
        if rule.probability < 1 and self._random.random() >= rule.probability:
            due = False
        return due

    def _concerns(self, subject: Subject) -> bool:
        rule = self.rule
        return (
            rule.handshake is None
            and rule.operation in ("*", subject.operation)
            and rule.method in ("*", subject.method)
            and (rule.part is None or subject.part == str(rule.part))
            and (rule.covers is None or _covers(subject, rule.covers))
            and fnmatchcase(subject.bucket, rule.bucket)
            and fnmatchcase(subject.key, rule.key)
            and fnmatchcase(subject.range, rule.range)
        )


def _covers(subject: Subject, offset: int) -> bool:
    """Whether a read asks for this byte; of the last so many bytes nobody knows here."""
    if subject.method != "GET" or (subject.range and subject.range.startswith("bytes=-")):
        return False
    match = RANGE.fullmatch(subject.range)
    return match is None or int(match[1]) <= offset <= int(match[2] or offset)


class FaultBook:
    """The rules in force, in the order they were added."""

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        self._first = tuple(rules)
        self._faults: list[Fault] = []
        self._numbers = count(1)
        self.reset()

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._faults))

    def reset(self) -> None:
        """The rules of the beginning, as if nothing had been seen."""
        self._faults = [Fault(rule, next(self._numbers)) for rule in self._first]

    def remove(self, fault: Fault) -> None:
        """Drop one rule, if it is in force."""
        if fault in self._faults:
            self._faults.remove(fault)

    def add(self, rule: FaultRule) -> Fault:
        fault = Fault(rule, next(self._numbers))
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        self._faults.clear()

    def due(self, subject: Subject) -> Fault | None:
        """The first rule that is due; every rule concerned sees the request."""
        due = [fault for fault in self._faults if fault.is_due(subject)]
        if not due:
            return None
        due[0].fired += 1
        return due[0]

    def due_handshake(self) -> str | None:
        """What becomes of a TLS handshake, None if all is well."""
        rules = [fault for fault in self._faults if fault.rule.handshake is not None]
        due = [fault for fault in rules if fault.count()]
        if not due:
            return None
        due[0].fired += 1
        return due[0].rule.handshake

"""Faults as data.

In: rules, each saying which requests it is for, when it fires and what goes wrong. Out:
for each request at most one armed rule, which counts what it saw and how often it fired.
A rule is plain data: it travels as JSON, and a run can be repeated exactly.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from . import settings

_WHICH_AND_WHEN = """
operation bucket key method part range nth after every times probability seed
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
SELECTORS = frozenset(_WHICH_AND_WHEN.split())
"""The fields that say which requests and when, but not what goes wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultRule:
    """Which requests, when, and what goes wrong. Offsets and amounts are bytes."""

    # -- which requests
    operation: str = "*"
    """The name of an operation, ``UploadPart``, or ``*``."""
    bucket: str = "*"
    """A pattern, as in a shell."""
    key: str = "*"
    method: str = "*"
    part: int | None = None
    """Only the part of this number."""
    range: str = "*"
    """A pattern for the Range header."""

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
    seed: int = 0

    # -- an answer instead of the operation's
    status: int | None = None
    code: str | None = None
    message: str | None = None
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
    """Headers to set; None takes one away."""
    omit_crc: bool = False
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
    shift_range: int = 0
    """The range that is served and announced lies so many bytes further."""
    replace_object: str | None = None
    """The object's content becomes this before the request is served."""
    clock_skew: float = 0.0
    """Seconds by which the clock is wrong for this request, in Date and in judging it."""

    # -- the connection
    delay_s: float = 0.0
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

    def __post_init__(self) -> None:
        if self.operation not in OPERATION_NAMES | {"*"}:
            near = difflib.get_close_matches(self.operation.replace("_", ""), OPERATION_NAMES, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"there is no operation {self.operation!r}{meant}")

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

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.seen = 0
        """Requests the rule is for."""
        self.fired = 0
        """Of these, the ones that went wrong."""
        self._random = random.Random(rule.seed)  # noqa: S311  (repeatable, not secret)

    def __repr__(self) -> str:
        return f"Fault(seen={self.seen}, fired={self.fired}, rule={self.rule.to_dict()})"

    def is_due(self, subject: Subject) -> bool:
        """Count this request if it is concerned; whether it should go wrong."""
        rule = self.rule
        if not self._concerns(subject):
            return False
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
            rule.operation in ("*", subject.operation)
            and rule.method in ("*", subject.method)
            and (rule.part is None or subject.part == str(rule.part))
            and fnmatchcase(subject.bucket, rule.bucket)
            and fnmatchcase(subject.key, rule.key)
            and fnmatchcase(subject.range, rule.range)
        )


class FaultBook:
    """The rules in force, in the order they were added."""

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        self._faults = [Fault(rule) for rule in rules]

    def add(self, rule: FaultRule) -> Fault:
        fault = Fault(rule)
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

"""What pages of other origins may do with a bucket.

In: a CORSConfiguration and what a browser asks. Out: the headers that allow it, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from .errors import CosError
from .xml import Element, parse

ROOT = "CORSConfiguration"
_PLAIN = re.compile(r"[\x20-\x7e]*")
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "HEAD"})


class Rule(NamedTuple):
    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    """In lower case."""
    exposed: tuple[str, ...]
    max_age: str

    def admits(self, origin: str, method: str) -> bool:
        return method in self.methods and any(_fits(known, origin) for known in self.origins)

    def admits_headers(self, names: list[str]) -> bool:
        return all(any(_fits(known, name.lower()) for known in self.headers) for name in names)

    def told(self, origin: str) -> dict[str, str]:
        """The headers every answer under this rule has."""
        headers = {
            "Access-Control-Allow-Origin": "*" if "*" in self.origins else origin,
            "Access-Control-Allow-Methods": ",".join(self.methods),
        }
        if self.exposed:
            headers["Access-Control-Expose-Headers"] = ",".join(self.exposed)
        if self.max_age:
            headers["Access-Control-Max-Age"] = self.max_age
        return headers | {"Vary": "Origin"}


def _fits(pattern: str, text: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return text == pattern
    return re.fullmatch(f"{re.escape(before)}.*{re.escape(after)}", text, re.DOTALL) is not None


def check(body: Element) -> None:
    """Refuse a configuration that makes no sense."""
    for method in body.at("CORSRule/AllowedMethod"):
        if method.content not in METHODS:
            raise CosError("InvalidRequest", f"{method.content} is no method CORS can allow.")
    for rule in body.children("CORSRule"):
        if not all(_PLAIN.fullmatch(element.content) for element in rule.elements()):
            raise CosError("InvalidRequest", "A rule may hold plain text only: it makes headers.")
        if not _SECONDS.fullmatch(rule.text("MaxAgeSeconds") or "0"):
            raise CosError("InvalidRequest", "MaxAgeSeconds must be a number.")
    for name in ("AllowedOrigin", "AllowedHeader"):
        if any(pattern.content.count("*") > 1 for pattern in body.at(f"CORSRule/{name}")):
            raise CosError("InvalidRequest", f"{name} may have one * only.")


@lru_cache(maxsize=64)
def rules(document: bytes) -> tuple[Rule, ...]:
    """The rules of a stored configuration."""
    return tuple(_rule(rule) for rule in parse(document, ROOT).children("CORSRule"))


def _rule(rule: Element) -> Rule:
    def listed(name: str) -> tuple[str, ...]:
        return tuple(child.content for child in rule.children(name))

    return Rule(
        listed("AllowedOrigin"),
        listed("AllowedMethod"),
        tuple(name.lower() for name in listed("AllowedHeader")),
        listed("ExposeHeader"),
        rule.text("MaxAgeSeconds") or "",
    )


def preflight(document: bytes, headers: Mapping[str, str]) -> dict[str, str] | None:
    """What allows the request a browser means to make; None if no rule does."""
    origin = headers.get("origin", "")
    method = headers.get("access-control-request-method", "")
    asked = headers.get("access-control-request-headers", "")
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for rule in rules(document):
        if rule.admits(origin, method) and rule.admits_headers(names):
            allowed = {"Access-Control-Allow-Headers": ",".join(names)} if names else {}
            return rule.told(origin) | allowed
    return None


def actual(document: bytes, origin: str, method: str) -> dict[str, str]:
    """What an answer to a page of this origin tells the browser."""
    for rule in rules(document):
        if rule.admits(origin, method):
            return rule.told(origin)
    return {"Vary": "Origin"}

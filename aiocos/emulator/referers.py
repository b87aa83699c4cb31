"""Lists of the sites that may show what a bucket holds, or may not.

In: a RefererConfiguration and a request's Referer. Out: nothing, or AccessDenied. A signed
request is let through, unless the configuration has signatures verified too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from .errors import CosError
from .xml import parse


class Rules(NamedTuple):
    is_on: bool
    holds_for_signed: bool
    lets_in_empty: bool
    lets_in_listed: bool
    sites: tuple[str, ...]

    def let_in(self, referer: str) -> bool:
        if not referer:
            return self.lets_in_empty
        return any(_fits(site, referer) for site in self.sites) == self.lets_in_listed


@lru_cache(maxsize=64)
def rules(stored: bytes) -> Rules:
    """The rules of a stored configuration."""
    body = parse(stored, "RefererConfiguration")
    return Rules(
        body.text("Status") == "Enabled",
        body.text("VerifySignatureURL") == "Enabled",
        body.text("EmptyReferConfiguration") == "Allow",
        body.text("RefererType") == "White-List",
        tuple(entry.content.lower() for entry in body.at("DomainList/Domain")),
    )


def check(stored: bytes, referer: str, *, is_signed: bool) -> None:
    """Refuse a read that comes from elsewhere."""
    known = rules(stored)
    concerns = known.is_on and (not is_signed or known.holds_for_signed)
    if concerns and not known.let_in(referer):
        raise CosError("AccessDenied", "The Referer of the request is not allowed.")


def _fits(site: str, referer: str) -> bool:
    """Whether a site, perhaps with a port or ``*``, is where the request comes from."""
    try:
        place = urlsplit(referer if "://" in referer else f"//{referer}").netloc
    except ValueError:
        return False
    place = place.rpartition("@")[2].lower()
    if ":" not in site:
        place = place.partition(":")[0]
    return re.fullmatch(".*".join(map(re.escape, site.split("*"))), place) is not None

"""Whether region and endpoint are spelled as COS spells them.

In: a configuration. Out: a Finding, with the spelling that was probably meant. Nothing is
asked of the network: a misspelled name often leads nowhere, and sometimes elsewhere.

Source: COS document "Regions and Access Endpoints".
"""

from __future__ import annotations

import difflib
import re
from typing import Final

from aiocos.cli.doctor.finding import Finding
from aiocos.config import CosConfig, is_loopback

_KNOWN: Final = """
ap-bangkok ap-beijing ap-beijing-1 ap-beijing-fsi ap-chengdu ap-chongqing ap-guangzhou
ap-guangzhou-open ap-hongkong ap-jakarta ap-mumbai ap-nanjing ap-seoul ap-shanghai
ap-shanghai-fsi ap-shenzhen-fsi ap-singapore ap-tokyo eu-frankfurt eu-moscow na-ashburn
na-siliconvalley na-toronto sa-saopaulo
"""
REGIONS: Final = tuple(_KNOWN.split())
"""Those known when this was written; another one is a warning and no mistake."""
_CITIES: Final = {region.split("-")[1]: region for region in reversed(REGIONS)}
_ENDPOINT: Final = re.compile(
    r"(?:(?P<bucket>[a-z0-9-]+-[0-9]+)\.)?cos(?:-internal)?\.(?P<region>[a-z0-9-]+)"
    r"\.(?:myqcloud\.com|tencentcos\.cn)(?::[0-9]+)?"
)
_FIRST_GENERATION: Final = re.compile(
    r"(?:cn-(?:north|south|south-2|east|southwest)|sg)\.(?:myqcloud\.com|tencentcos\.cn)"
)
_OTHERS: Final = frozenset({"accelerate", "accelerate-overseas"})
_CUTOFF: Final = 0.75


def look_at_names(config: CosConfig) -> Finding:
    """Judge the region, or the endpoint where one is given."""
    if config.local_dir is not None or (config.IP and is_loopback(config.IP)):
        return Finding("endpoint", "ok", "A server on this machine.")
    if config.Domain:
        return Finding("endpoint", "ok", f"A domain of the bucket's own, {config.Domain}.")
    if config.Endpoint:
        return _endpoint(config.Endpoint)
    return _endpoint(config.endpoint)


def _endpoint(endpoint: str) -> Finding:
    match = _ENDPOINT.fullmatch(endpoint.lower())
    if _FIRST_GENERATION.fullmatch(endpoint.lower()):
        return Finding("endpoint", "ok", f"{endpoint}.")
    if match is None:
        near = suggested_endpoint(endpoint)
        if near is None:
            return Finding("endpoint", "ok", f"{endpoint}, which is not one of Tencent Cloud's.")
        told = f"{endpoint} is not how COS spells it."
        return Finding("endpoint", "wrong", told, f"Did you mean {near}?")
    if match["bucket"]:
        rest = endpoint[len(match["bucket"]) + 1 :]
        told = f"{endpoint} begins with the bucket's name, which is put in front of it once more."
        return Finding("endpoint", "wrong", told, f"Leave it out: --endpoint {rest}")
    if match["region"] in _OTHERS:
        return Finding("endpoint", "ok", f"{endpoint}.")
    return _region(match["region"], endpoint)


def _region(region: str, told: str) -> Finding:
    if region in REGIONS:
        return Finding("endpoint", "ok", f"{told}.")
    if near := suggested_region(region):
        said = f"{told}: there is no region {region!r} that this version knows."
        return Finding("endpoint", "warning", said, f"Did you mean {near}?")
    said = f"{told}: this version does not know the region {region!r}."
    return Finding("endpoint", "warning", said, f"Known are: {', '.join(REGIONS)}.")


def suggested_region(region: str) -> str | None:
    """Return the region that was probably meant, if one is near."""
    if found := _CITIES.get(region.lower().rpartition("-")[2] if region else ""):
        return found
    near = difflib.get_close_matches(region.lower(), REGIONS, 1, _CUTOFF)
    return near[0] if near else None


def suggested_endpoint(endpoint: str) -> str | None:
    """Return the endpoint that was probably meant, if one is near."""
    known = [f"cos.{region}.myqcloud.com" for region in REGIONS]
    known += [f"cos.{region}.tencentcos.cn" for region in REGIONS]
    known += ["cos.accelerate.myqcloud.com"]
    near = difflib.get_close_matches(endpoint.lower(), known, 1, _CUTOFF)
    return near[0] if near else None


def region_in(address: str) -> str | None:
    """Return the region that an address of COS is in."""
    match = _ENDPOINT.search(address.lower())
    return match["region"] if match and match["region"] not in _OTHERS else None

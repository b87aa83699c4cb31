"""RestoreObject: archived objects become readable for a while.

In: a ``Call``. Out: a ``Reply``, or a refusal. Nothing runs in the background: what is
stored is when the copy will be ready and when it ends, and the server's calendar decides.
"""

from __future__ import annotations

from . import access, attributes, versions
from .database import Job
from .errors import CosError
from .records import Restore
from .wire import Call, Reply, natural
from .xml import Element

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
# The longest time COS names for each kind of retrieval.
_READY_AFTER_S = {
    ("ARCHIVE", "Expedited"): 5 * 60,
    ("ARCHIVE", "Standard"): 5 * _HOUR_S,
    ("ARCHIVE", "Bulk"): 12 * _HOUR_S,
    ("DEEP_ARCHIVE", "Standard"): 12 * _HOUR_S,
    ("DEEP_ARCHIVE", "Bulk"): 48 * _HOUR_S,
}


async def restore_object(call: Call) -> Reply:
    bucket = call.bucket()
    access.own(call.caller, bucket)
    days, tier = await call.body.xml("RestoreRequest", _days_and_tier)
    status = await call.run(_restore, call, days, tier)
    return Reply(status)


def _days_and_tier(body: Element) -> tuple[int, str]:
    days = natural(body.text("Days") or "")
    if days is None or not 1 <= days <= 365:
        raise CosError("MalformedXML", "Days must be from 1 to 365.")
    job = body.child("CASJobParameters")
    return days, (job.text("Tier") if job is not None else None) or "Standard"


def _restore(job: Job, call: Call, days: int, tier: str) -> int:
    name, now = call.target.bucket, call.now
    version = versions.find(job, name, call.key, call.params.get("versionId", ""), pin=False)
    kept = version.attributes
    if kept.storage_class not in attributes.ARCHIVED:
        raise CosError("RestoreNonArchiveObject")
    delay_s = _READY_AFTER_S.get((kept.storage_class.removeprefix("MAZ_"), tier))
    if delay_s is None:
        raise CosError("InvalidArgument", f"{kept.storage_class} has no retrieval tier {tier}.")
    old = kept.restore
    if old is not None and now < old.ready:
        raise CosError("RestoreAlreadyInProgress")
    if old is not None and now < old.expires:
        versions.update(job, version.changed(restore=old._replace(expires=now + days * _DAY_S)))
        return 200
    ready = now + delay_s
    restore = Restore(now, ready, ready + days * _DAY_S, tier.lower())
    versions.update(job, version.changed(restore=restore))
    return 202

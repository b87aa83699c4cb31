"""One bucket and its model, side by side: each step is taken in both, and both must agree.

In: steps, each with a number that says what goes wrong meanwhile. Out: AssertionError where a
result is not the model's, an error is not typed, or says less than is known. Where an error says
that it is open what was done, the model accepts both and learns by a look at a healed server.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts, TransferConfig
from aiocos.emulator import CosEmulator
from tests.campaigns.model import NULL, Change, Entries, Entry, Model, Upload, etag_of
from tests.campaigns.strikes import Armed, choose

HANG_S: Final = 300.0
POLICY: Final = RetryPolicy(base=0.0, throttle_base=0.0, max_attempts=3)
SHORT: Final = Timeouts(connect=5.0, response_header=0.1, idle=0.1, complete=0.1)
NOTE: Final = "x-cos-meta-note"
_OPEN: Final = (
    aiocos.AmbiguousResultError,
    aiocos.IntegrityError,
    aiocos.ResponseParseError,
    aiocos.TransferError,
)


@dataclass
class Ended:
    """How one call ended."""

    result: Any = None
    error: aiocos.CosException | None = None

    @property
    def is_open(self) -> bool:
        """Whether the error leaves open what was done."""
        error = self.error
        if isinstance(error, aiocos.TransportError):
            return error.sent
        if isinstance(error, aiocos.CosServiceError):
            is_refused = error.status < 500 and error.status != 200
            return not is_refused and error.status != 503
        return isinstance(error, _OPEN)


class World:
    """A bucket of its own, a client, and the model of the bucket."""

    def __init__(self, emulator: CosEmulator, bucket: str, folder: Path) -> None:
        self.emulator, self.bucket, self.folder = emulator, bucket, folder
        self.model = Model()
        self.told: list[str] = []
        """Each step and how it ended."""
        self.fired: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        limits = TransferConfig(single_mib=0)
        config = CosConfig(**emulator.settings(), Timeouts=SHORT)
        self.client = CosS3Client(config, POLICY, transfers=limits)

    def content(self, size: int) -> bytes:
        """Bytes that were never written before, at least as many as tell them apart."""
        mark = b"%d;" % next(self._numbers)
        return mark + bytes(max(0, size - len(mark)))

    def note(self) -> str:
        return f"note {next(self._numbers)}"

    # -- one call

    def armed(self, operation: str, number: int, *, is_checked: bool = True) -> Armed:
        """Let happen what the number stands for."""
        return Armed(self.emulator, choose(operation, number, is_checked=is_checked), operation)

    async def call(self, what: str, armed: Armed, work: Awaitable[Any]) -> Ended:
        """Carry a call out under what was armed, and let the server be well again."""
        with armed:
            ended = Ended()
            try:
                async with asyncio.timeout(HANG_S):
                    ended.result = await work
            except aiocos.CosException as error:
                ended.error = error
        if armed.count and armed.strike is not None:
            self.fired[armed.strike.kind.name] += 1
        self.steps[what.split(" ", 1)[0]] += 1
        struck = f" [{armed.strike.name}: {armed.count}]" if armed.strike and armed.count else ""
        how = "done" if ended.error is None else repr(ended.error)
        self.told.append(f"{what}{struck}: {how}")
        if ended.error is not None and not armed.count:
            is_refusal = isinstance(ended.error, aiocos.CosServiceError) and not ended.is_open
            assert is_refusal, f"an error out of nothing: {ended.error!r}"
        self.emulator.forget_requests()
        return ended

    def require(self, holds: object, promise: str) -> None:
        assert holds, promise

    # -- what a write leads to

    async def judge(
        self,
        ended: Ended,
        armed: Armed,
        changes: dict[str, Change],
        *,
        refusal: frozenset[str] = frozenset(),
        once: bool = False,
        removed: dict[str, Change] | None = None,
    ) -> int:
        """Bring the model to where the bucket is, and say how often the change was made.

        ``refusal`` are the codes of which one must be the answer, if any; ``once``: it may
        never take place twice; ``removed`` is what becomes of damaged content.
        """
        error, applied = ended.error, armed.applied
        if error is None:
            self.require(not refusal, f"it should have been refused by one of {set(refusal)}")
            times = range(1, 2 if once else applied + 2)
        elif isinstance(error, aiocos.DamagedUploadError):
            self.require(applied, "damaged without a cause")
            return await self.settle({key: [removed or changes] for key in changes})
        elif refusal and error.get_error_code() in refusal:
            times = range(1)
        else:
            self.require(armed.count, f"refused without a cause: {error!r}")
            is_sure = once and not isinstance(error, aiocos.AmbiguousResultError)
            may_be = ended.is_open and not is_sure
            times = range((min(1, applied) if once else applied) + 1) if may_be else range(1)
        if times == range(1):
            if armed.count:
                await self.settle({key: [{}] for key in changes})
            return 0
        if times == range(1, 2) and self.model.versioning != "Enabled":
            for key, change in changes.items():
                self.model.history[key] = change(self.model.entries(key))
            return 1
        return await self.settle({key: [{key: changes[key]}] for key in changes}, times)

    async def settle(
        self, options: dict[str, list[dict[str, Change]]], times: range = range(1, 2)
    ) -> int:
        """Find out which of the possible histories of each key came true."""
        most = 0
        for key, changes in options.items():
            candidates: dict[int, Entries] = {}
            for number in times:
                state = self.model.entries(key)
                for change in changes:
                    for _ in range(number):
                        state = change[key](state) if key in change else state
                candidates[number] = state
            most = max(most, await self.learn(key, candidates))
        return most

    async def learn(self, key: str, candidates: dict[int, Entries]) -> int:
        """Look at a key, and take the history that is there for true."""
        listed = await self.look(key)
        for number, entries in candidates.items():
            found = await self.match(key, entries, listed)
            if found is not None:
                self.model.history[key] = found
                return number
        shown = "\n  ".join(f"{number}: {entries}" for number, entries in candidates.items())
        raise AssertionError(f"{key!r} has {listed}, which is none of\n  {shown}")

    async def look(self, key: str) -> list[dict[str, Any]]:
        """All there is under a key, as a list tells it."""
        page: Any = await self.client.list_objects_versions(self.bucket, Prefix=key)
        self.require(page["IsTruncated"] == "false", "a list of a few versions has two pages")
        versions = [{**one, "marker": False} for one in page["Version"]]
        markers = [{**one, "marker": True} for one in page["DeleteMarker"]]
        return [one for one in versions + markers if one["Key"] == key]

    async def match(
        self, key: str, entries: Entries, listed: list[dict[str, Any]]
    ) -> Entries | None:
        """These entries with their ids, if they are what is listed."""
        known = {entry.version for entry in entries}
        new = [one for one in listed if one["VersionId"] not in known]
        found = []
        for place, entry in enumerate(entries):
            pool = new if entry.version is None else listed
            one = next((one for one in pool if _is(one, entry)), None)
            if one is None or (one["IsLatest"] == "true") != (place == 0):
                return None
            if place == 0 and not await self.is_noted(key, entry):
                return None
            if entry.version is None:
                new.remove(one)
            learned = replace(entry, version=one["VersionId"])
            if entry.content is not None and entry.etag is None:
                if await self.read_version(key, one["VersionId"]) != entry.content:
                    return None
                learned = replace(learned, etag=one["ETag"])
            found.append(learned)
        return tuple(found) if len(found) == len(listed) else None

    async def is_noted(self, key: str, entry: Entry) -> bool:
        """Whether the newest version has this metadata: the same content may be there twice."""
        if entry.content is None:
            return True
        head: Any = await self.client.head_object(self.bucket, key)
        return bool(head.get(NOTE, "") == entry.note)

    async def read_version(self, key: str, version: str | None) -> bytes:
        more = {"VersionId": version} if version not in {None, NULL} else {}
        response = await self.client.get_object(self.bucket, key, **more)  # type: ignore[arg-type]
        async with response["Body"] as body:
            return await body.read()

    # -- uploads under way

    async def learn_uploads(self, most_new: int, note: str = "") -> int:
        """See that there are the uploads of the model, and at most so many that nobody knows."""
        page: Any = await self.client.list_multipart_uploads(self.bucket)
        there = {one["UploadId"]: one["Key"] for one in page["Upload"]}
        lost = set(self.model.uploads) - set(there)
        self.require(not lost, f"uploads that are gone: {lost}")
        strange = set(there) - set(self.model.uploads)
        self.require(len(strange) <= most_new, f"I3: {len(strange)} orphans, {most_new} allowed")
        for identity in strange:
            self.model.uploads[identity] = Upload(there[identity], note)
        return len(strange)

    async def learn_part(self, identity: str, number: int, contents: list[bytes | None]) -> None:
        """Which of these a part has become."""
        upload = self.model.uploads[identity]
        page: Any = await self.client.list_parts(self.bucket, upload.key, identity)
        etags = {int(one["PartNumber"]): one["ETag"] for one in page["Part"]}
        for content in contents:
            if etags.get(number) == (None if content is None else etag_of(content)):
                upload.parts.pop(number, None)
                if content is not None:
                    upload.parts[number] = content
                return
        raise AssertionError(f"part {number} has the ETag {etags.get(number)}")

    async def check_parts(self, identity: str) -> None:
        """See that an upload has the parts of the model, and no others."""
        upload = self.model.uploads[identity]
        page: Any = await self.client.list_parts(self.bucket, upload.key, identity)
        there = {int(one["PartNumber"]): one["ETag"] for one in page["Part"]}
        expected = {number: etag_of(data) for number, data in upload.parts.items()}
        self.require(there == expected, f"I1: parts {there}, not {expected}")

    # -- everything

    async def check(self) -> None:
        """See that the bucket is the model: keys, content, metadata, versions, uploads."""
        model = self.model
        keys = [one["Key"] async for one in self.client.iter_objects(Bucket=self.bucket)]
        self.require(keys == model.keys(), f"I1: keys {keys}, not {model.keys()}")
        for key in keys:
            entry = model.live(key)
            assert entry is not None
            response: Any = await self.client.get_object(self.bucket, key)
            async with response["Body"] as body:
                content = await body.read()
            self.require(content == entry.content, f"I1: {key!r} has other bytes")
            self.require(response.get(NOTE, "") == entry.note, f"{key!r}: note {entry.note!r}")
        if model.versioning:
            for key in list(model.history):
                await self.learn(key, {0: model.entries(key)})
        await self.learn_uploads(0)
        for identity in model.uploads:
            await self.check_parts(identity)
        left = [path.name for path in self.folder.rglob("*") if path.is_file()]
        self.require(not left, f"I9: files are left: {left}")


def _is(one: dict[str, Any], entry: Entry) -> bool:
    """Whether a line of a list can be this entry."""
    if entry.version not in {None, one["VersionId"]} or one["marker"] != (entry.content is None):
        return False
    if entry.content is None:
        return True
    is_size = one["Size"] == str(len(entry.content))
    return is_size and entry.etag in {None, one["ETag"]}

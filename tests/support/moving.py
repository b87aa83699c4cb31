"""The three transfers that resume, behind one face: what to start, break and look at.

In: a kind, a client, a server and a folder. Out: ``run`` carries the transfer out in parts of
1 MiB, ``break_part`` makes the server fail one of them, ``arrived`` is what came of it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import fastcrc

from aiocos import CosS3Client, TransferConfig
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.emulator.faults import Fault
from tests.conftest import BUCKET

MIB = 1 << 20
KINDS = ("upload", "download", "copy")
IN_PARTS = TransferConfig(single_mib=0, copy_single_mib=0)
OLD = b"what was there before"
PARTS = 4
CONTENT = random.Random(2).randbytes((PARTS - 1) * MIB + 70_001)
OTHER = random.Random(3).randbytes(len(CONTENT))
_PART = {"upload": "UploadPart", "download": "GetObject", "copy": "UploadPartCopy"}


class Moving:
    """One transfer of ``CONTENT``, as often as it is run."""

    def __init__(
        self, kind: str, client: CosS3Client, emulator: CosEmulator, folder: Path, **options: Any
    ) -> None:
        self.kind = kind
        self.part_operation = _PART[kind]
        self.client, self.emulator = client, emulator
        self.journals = folder / "journals"
        self.source, self.target = folder / "source", folder / "target"
        self.options: dict[str, Any] = {
            "PartSize": 1,
            "MAXThread": 1,
            "JournalDir": self.journals,
        } | options

    async def prepare(self, content: bytes = CONTENT) -> None:
        """Put what is to be moved where it is moved from."""
        if self.kind == "upload":
            self.source.write_bytes(content)
        else:
            await self.emulator.put(BUCKET, "source", content)

    async def put_old(self) -> None:
        """Let something be where it is moved to."""
        if self.kind == "download":
            self.target.write_bytes(OLD)
        else:
            await self.emulator.put(BUCKET, "target", OLD)

    async def run(self, client: CosS3Client | None = None, **options: Any) -> dict[str, Any]:
        """Carry it out."""
        client, options = client or self.client, self.options | options
        result: Any
        if self.kind == "upload":
            result = await client.upload_file(BUCKET, "target", self.source, **options)
        elif self.kind == "download":
            result = await client.download_file(BUCKET, "source", self.target, **options)
        else:
            source: Any = {"Bucket": BUCKET, "Key": "source", "Region": self.emulator.region}
            result = await client.copy(BUCKET, "target", source, **options)
        return result  # type: ignore[no-any-return]

    async def arrived(self) -> bytes | None:
        """What is at the destination; None: nothing."""
        if self.kind == "download":
            return self.target.read_bytes() if self.target.exists() else None
        if not await self.client.object_exists(BUCKET, "target"):
            return None
        return await self.emulator.read(BUCKET, "target")

    def break_part(self, number: int, **rule: Any) -> Fault:
        """Let the server answer 403 for one part, or do what else the rule says."""
        if not rule:
            rule = {"status": 403}
        if self.kind == "download":
            rule["range"] = f"bytes={(number - 1) * MIB}-*"
        else:
            rule["part"] = number
        return self.emulator.add_fault(FaultRule(operation=self.part_operation, **rule))

    @property
    def parts_moved(self) -> int:
        """Parts that the server took or gave since it last forgot."""
        status = 206 if self.kind == "download" else 200
        return self.emulator.count(self.part_operation, status=status)

    @property
    def files(self) -> list[str]:
        """Names in the directory of the journals."""
        return sorted(path.name for path in self.journals.iterdir())

    @property
    def journal(self) -> Path:
        """The one journal there is."""
        (path,) = (path for path in self.journals.iterdir() if path.suffix == ".jsonl")
        return path

    @property
    def temporary(self) -> list[Path]:
        """Temporary files beside the destination."""
        return [path for path in self.target.parent.iterdir() if path.name.endswith(".part")]


def line(fact: object) -> bytes:
    """A line of a journal as its format has it: a CRC-64 of what stands before it."""
    text = json.dumps(fact, separators=(",", ":")).encode()
    check = fastcrc.crc64.xz(text)
    return text[:-1] + b',"check":"%016x"}\n' % check


def lines(journal: Path) -> list[dict[str, Any]]:
    """The header and the facts of a journal, without their check sums."""
    found = []
    for text in journal.read_bytes().splitlines():
        fact = json.loads(text)
        del fact["check"]
        found.append(fact)
    return found


def rewrite(journal: Path, facts: list[dict[str, Any]]) -> None:
    """Let a journal say this, with check sums that are right."""
    journal.write_bytes(b"".join(map(line, facts)))

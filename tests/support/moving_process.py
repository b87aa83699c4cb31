"""One transfer in a process of its own, which may be short of disk, slow, or killed.

In: as JSON on the command line, the server's settings, the kind, the folder, keywords, and
the largest file that the process may write. Out: one line of JSON about how it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiocos import CosConfig, CosS3Client, RetryPolicy
from aiocos.emulator import CosEmulator
from tests.support.moving import IN_PARTS, Moving

_ROOT = Path(__file__).parents[2]


class Running:
    """A transfer under way in another process."""

    def __init__(self, emulator: CosEmulator, kind: str, folder: Path, **given: Any) -> None:
        limit = given.pop("limit", None)
        told = {
            "settings": emulator.settings(),
            "kind": kind,
            "folder": os.fspath(folder),
            "options": {name: str(v) if isinstance(v, Path) else v for name, v in given.items()},
            "limit": limit,
        }
        self._command = [sys.executable, "-m", __name__, json.dumps(told)]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *self._command, stdout=pipe, stderr=pipe, cwd=_ROOT
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()

    async def ended(self) -> dict[str, Any]:
        """How it ended: ``verified``, or ``error`` and its ``cause``."""
        out, err = await self.process.communicate()
        assert self.process.returncode == 0, err.decode()
        told: dict[str, Any] = json.loads(out)
        return told

    async def kill(self) -> None:
        """End it at once, as nothing it could prepare for, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


async def run_apart(emulator: CosEmulator, kind: str, folder: Path, **given: Any) -> dict[str, Any]:
    """Carry a transfer out in another process, and say how it ended."""
    async with Running(emulator, kind, folder, **given) as running:
        return await running.ended()


async def _main(told: dict[str, Any]) -> dict[str, Any]:
    if told["limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["limit"], told["limit"]))
    config = CosConfig(**told["settings"])
    quick = RetryPolicy(base=0.001, throttle_base=0.001)
    async with CosS3Client(config, retry=quick, transfers=IN_PARTS) as client:
        # A process that may not write has no server either: only its region is looked at.
        moving = Moving(told["kind"], client, CosEmulator(secret_id="x", secret_key="x"),
                        Path(told["folder"]), **told["options"])  # fmt: skip
        try:
            return {"verified": (await moving.run())["verified"]}
        except Exception as error:
            cause = error.__cause__
            return {
                "error": type(error).__name__,
                "text": str(error),
                "cause": type(cause).__name__,
                "errno": getattr(cause, "errno", None),
            }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_main(json.loads(sys.argv[1])))))

"""An upload by an encrypting client in a process of its own, which may be killed.

In: as JSON on the command line, the server's settings, the file and the journals' directory.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiocos import CosConfig, CosEncryptionClient, TransferConfig
from tests.conftest import BUCKET
from tests.encryption.conftest import aes

ROOT = Path(__file__).parents[2]


async def start(settings: dict[str, Any], source: Path, journals: Path) -> Any:
    """Start it; the process is returned."""
    told = json.dumps([settings, str(source), str(journals)])
    command = [sys.executable, "-m", __name__, told]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT)


async def _main(settings: dict[str, Any], source: str, journals: str) -> None:
    limits = TransferConfig(single_mib=0)
    async with CosEncryptionClient(CosConfig(**settings), aes(), transfers=limits) as client:
        await client.upload_file(BUCKET, "target", source, 1, 1, JournalDir=journals)


if __name__ == "__main__":
    asyncio.run(_main(*json.loads(sys.argv[1])))

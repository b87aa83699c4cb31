"""One run of one peer: what it is told, and the cases there are.

In: a server and sizes. Out: a value that goes to another process as JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

CASES = ("upload", "download", "put", "get", "list", "upload-dir")
BUCKET = "bench-1250000000"
REGION = "ap-guangzhou"
SECRET_ID = "AKIDexampleexampleexampleexample0000"
SECRET_KEY = "exampleexampleexampleexample0000"
MIB = 1 << 20


@dataclass(frozen=True)
class Job:
    """What one process does, sizes in bytes.

    ``concurrency`` None leaves concurrency and part size to the peer's own defaults. ``path`` is
    the file or directory to upload, or the file to write; ``warm_path`` a smaller one.
    """

    peer: str
    case: str
    port: int
    authority: str
    tls: bool = False
    size: int = 0
    part_size: int = 8 * MIB
    concurrency: int | None = 5
    count: int = 0
    path: str = ""
    warm_size: int = 0
    warm_path: str = ""

    @property
    def host(self) -> str:
        """Host and port of the server."""
        return f"127.0.0.1:{self.port}"

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.tls else "http"

    @property
    def url(self) -> str:
        """The server's address."""
        return f"{self.scheme}://{self.host}"

    @property
    def pool(self) -> int:
        """Connections that a peer may need."""
        return max(10, self.concurrency or 0)

    def to_json(self) -> str:
        """Return what ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what ``to_json`` wrote."""
        return cls(**json.loads(text))

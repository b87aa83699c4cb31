"""The server's own key pair.

In: the directory of the data, if it is kept. Out: a key id and a key, the same after a restart.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path

log = logging.getLogger("aiocos.emulator")


def kept_pair(data: Path | None) -> tuple[str, str]:
    """The key pair of a directory, made up when it is new, so that a restart keeps it."""
    # Letters and digits, as a real one: tools take a leading dash for an option.
    made = (f"AKID{secrets.token_hex(16)}", secrets.token_hex(16))
    if data is None:
        return made
    path = data / "credentials.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return str(kept["secret_id"]), str(kept["secret_key"])
    except FileNotFoundError:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (ValueError, KeyError, TypeError):
        log.warning("%s cannot be read: a new key pair is made", path)
        path.unlink()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        json.dump(dict(zip(("secret_id", "secret_key"), made, strict=True)), stream)
    return made

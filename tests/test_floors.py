"""A module imports from its own floor and those below, so that a call can be followed down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "aiocos"

FLOORS = {
    "errors": 0,
    "units": 0,
    "config": 1,
    "credentials": 1,
    "encoding": 1,
    "signing": 2,
    "retry": 2,
    "body": 2,
    "request": 2,
    "files": 2,
    "network": 2,
    "pace": 2,
    "failures": 2,
    "signer": 3,
    "offload": 2,
    "outgoing": 3,
    "bulk": 3,
    "tls": 3,
    "connections": 3,
    "pump": 3,
    "takeover": 3,
    "transport": 3,
    "received": 3,
    "call": 3,
    "watching": 3,
    "session": 3,
    "stream": 3,
    "operations": 4,
    "identity": 4,
    "transfer": 5,
    "sync": 5.5,
    "client": 6,
    "crypto": 7,
    "looped": 7,
    "fs": 7,
    "web": 7,
    "types": 8,
    "__init__": 8,
    "telemetry": 8,
    "distributed": 8,
    "cli": 9,
    "pytest_plugin": 9,
    "__main__": 10,
}
BESIDE = "emulator"
"""Takes the signing rules, and nothing else of the client's."""
HANDS_OUT_CLIENTS = "emulator/clients.py"
"""Makes clients for whoever asks the server for one; nothing that answers requests uses it."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: Path) -> str:
    """The folder or file, directly in the package, that a module belongs to."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(module: Path, source: str | None = None) -> set[str]:
    """The parts of the package that a module imports, wherever in it the import stands."""
    found = set()
    folder = module.relative_to(PACKAGE.parent).parts[:-1]
    for node in ast.walk(ast.parse(source or module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            path = ".".join(filter(None, [base, node.module]))
            names = [f"{path}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "aiocos" and len(parts) > 1:
                is_part = (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists()
                found.add(parts[1] if is_part else "__init__")
    return found - {part_of(module)}


def climbing(module: Path, source: str | None = None) -> set[str]:
    """What a module imports from above its own floor."""
    part = part_of(module)
    if part == BESIDE:
        hands_out = str(module.relative_to(PACKAGE)) == HANDS_OUT_CLIENTS
        return (
            imported(module, source) - {"signing"} - ({"client", "config"} if hands_out else set())
        )
    # The client of a local configuration starts the server that stands beside the tower.
    permitted = {BESIDE} if part in {"client", "cli", "pytest_plugin"} else set()
    names = imported(module, source) - permitted
    return {name for name in names if FLOORS.get(name, 99) > FLOORS[part]}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_do_not_climb(module):
    """Each module of the tower imports from its own floor or a lower one."""
    assert not climbing(module)


def test_only_one_module_uses_the_http_client():
    """aiohttp's client is used in one module, and one that knows its connections' insides."""
    users = {
        str(module.relative_to(PACKAGE))
        for module in MODULES
        if part_of(module) not in {BESIDE, "cli", "web"}
        and re.search(r"^(?:import|from) aiohttp", module.read_text(encoding="utf-8"), re.M)
    }
    assert users == {"connections.py", "outgoing.py", "takeover.py", "transport.py"}


def test_frameworks_are_loaded_on_demand_only():
    """Neither a client nor the glue of one framework loads another framework."""
    script = (
        "import sys, aiocos, aiocos.client; print('aiocos.web' in sys.modules);"
        "import aiocos.web.aiohttp; print('starlette' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"False"]


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("retry.py", "from aiocos.session import Session", {"session"}),
        ("retry.py", "def late():\n    import aiocos.client", {"client"}),
        ("retry.py", "from aiocos import errors, client", {"client"}),
        ("encoding/xml.py", "from ..transport import Exchange", {"transport"}),
        ("session.py", "from aiocos.emulator import CosEmulator", {"emulator"}),
        ("emulator/auth.py", "from aiocos.errors import CosException", {"errors"}),
        ("client.py", "from aiocos import CosConfig", {"__init__"}),
        ("retry.py", "from aiocos.errors import CosException", set()),
    ],
)
def test_a_climbing_import_is_seen(module, source, found):
    """The check finds each way of writing an import that climbs."""
    assert climbing(PACKAGE / module, source) == found

"""The command line: ``aiocos VERB ...``.

In: the words of a command line. Out: text for people, or with --json lines for programs, on
stdout and stderr, and an exit code: 0 done, 1 something failed, 2 the command line cannot be
right, 3 compared and different, 130 interrupted by Ctrl-C, 141 the reader of stdout went away,
143 ended by SIGTERM.
"""

import sys
from collections.abc import Sequence

from aiocos import __version__

LIBRARIES = frozenset({"cyclopts", "rich"})
"""What the extra ``cli`` brings."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    if (sys.argv[1:] if words is None else list(words)) == ["--version"]:
        print(__version__)  # the libraries of all the verbs would take ten times as long
        return 0
    try:
        from aiocos.cli.app import main as run  # noqa: PLC0415 - its libraries are an extra

        return run(words)
    except ModuleNotFoundError as missing:
        if missing.name not in LIBRARIES:
            raise
        print("aiocos: the command line needs: pip install 'aiocos[cli]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("aiocos: interrupted", file=sys.stderr)
        return 130


__all__ = ["main"]

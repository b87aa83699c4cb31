"""``python -m tests.mutations``: plant each bug and see whether the tests notice.

``--only`` takes a part of a name, and may stand several times; ``-j`` is how many are tried at
once. Ends with 1 when a bug was not caught.
"""

from __future__ import annotations

import argparse
import sys

from tests.mutations.entries import load
from tests.mutations.running import run


def main() -> int:
    """Print a table and the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    options = parser.parse_args()
    chosen = [
        entry
        for entry in load()
        if not options.only or any(part in entry.name for part in options.only)
    ]
    if not chosen:
        parser.error("no mutation has such a name")
    caught = 0
    for verdict in run(chosen, options.jobs):
        print(verdict.line, flush=True)
        caught += verdict.is_caught
    print(f"{caught} of {len(chosen)} planted bugs caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())

"""``python -m aiocos.emulator``: the child of an ``EmulatorProcess``.

In: one line of JSON, the keywords of a ``CosEmulator``, and then the end of standard input. Out:
one line of JSON, how to reach the server.
"""

from __future__ import annotations

import sys

from .process import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m aiocos``: the command line, where the script is not on the path."""

import sys

from aiocos.cli import main

sys.exit(main())

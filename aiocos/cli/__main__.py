"""``python -m aiocos.cli``, where the ``aiocos`` script is not on the path."""

import sys

from aiocos.cli import main

sys.exit(main())

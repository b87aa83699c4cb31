"""The command line: ``aiocos VERB ...``.

In: the words of a command line. Out: text for people on stdout and stderr, and an exit
code: 0 done, 1 something failed, 2 the command line cannot be right, 130 interrupted, 141
the reader of stdout went away.
"""

from aiocos.cli.app import main

__all__ = ["main"]

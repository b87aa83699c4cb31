"""Runs coscmd's own verbs one after the other: lists of words on stdin, exit codes on stdout.

The program sleeps a second for each; this enters where it would after that.
"""

import json
import logging
import sys

from coscmd import cos_cmd

for words in json.load(sys.stdin):
    sys.argv = ["coscmd", *words]
    code = cos_cmd.command_thread()
    print(f"\nexit {code}", flush=True)
    for name in ("coscmd", "qcloud_cos"):
        for handler in list(logging.getLogger(name).handlers):
            logging.getLogger(name).removeHandler(handler)
            handler.close()

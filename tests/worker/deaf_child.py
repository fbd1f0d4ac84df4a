"""A child that moves and never listens: `python -m tests.worker.deaf_child <id> <attempt> <parent's pid>`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from worker.child import die_with
from worker.pipe import Upward

if __name__ == "__main__":
    die_with(int(sys.argv[3]))
    upward = Upward(os.dup(1))
    Path(os.environ["DEAF_CHILD_IS_UP"]).touch()
    while True:
        upward.beat()
        time.sleep(0.05)

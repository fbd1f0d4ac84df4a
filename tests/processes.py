"""Processes of this machine, as tests see them."""

from __future__ import annotations

import os
from pathlib import Path


def processes_in(folder: Path) -> dict[int, str]:
    """Processes that work in the folder, by pid; on Linux, elsewhere none are found."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found

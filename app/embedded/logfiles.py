"""The log files of child processes: bounded while they are written to, and their last lines."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

ROTATE_BYTES = 10 * 1024 * 1024


def rotate(log: Path) -> None:
    """Put what a log holds aside as `<name>.1` once it has grown past 10 MiB, replacing an older one.

    Whoever appends to it has it open, so it is copied and emptied, not renamed: a line that is written in
    between is lost. Where the disk is too full for the copy, all of it is: the log must not fill it further.
    """
    if not log.exists() or log.stat().st_size <= ROTATE_BYTES:
        return
    older = log.with_name(log.name + ".1")
    try:
        shutil.copyfile(log, older)
    except OSError:
        older.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        os.truncate(log, 0)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message; empty when there is no log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

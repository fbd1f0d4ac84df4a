"""Where unix sockets go: a socket's path may have at most 107 bytes (103 on macOS)."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from app.embedded.errors import SocketPathError

MAX_PATH_BYTES = 103
LONGEST_NAME = "/.s.PGSQL.5432"
# libpq takes a comma for a list of hosts and URLs give other signs a meaning; these need no quoting anywhere
PLAIN = re.compile(r"[A-Za-z0-9._/-]+")


def fits(folder: Path) -> bool:
    """Whether sockets in this folder have a short enough path, of signs that no address format interprets."""
    path = str(folder)
    return len(os.fsencode(path + LONGEST_NAME)) <= MAX_PATH_BYTES and PLAIN.fullmatch(path) is not None


def socket_folder(data: Path, *, short: Path = Path("/tmp")) -> Path:  # noqa: S108 - checked to be ours below
    """A private folder for a data folder's sockets: inside it, or under `short` when its path is too long.

    The same data folder always gets the same socket folder.

    Raises:
        SocketPathError: neither place fits, or somebody else made the folder first.
    """
    inside = data / "run"
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    folder = inside if fits(inside) else short / f"steadyrank-{os.geteuid()}-{name}"
    if not fits(folder):
        raise SocketPathError(
            f"No unix socket fits under {data}: its path may have at most {MAX_PATH_BYTES} bytes.",
            "Give a shorter --data-dir, of letters, digits and . _ - only.",
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise SocketPathError(
            f"The socket folder {folder} is not a private folder of this user.",
            "Remove it, or give a shorter --data-dir.",
        )
    return folder

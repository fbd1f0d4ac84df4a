"""The folder in which a worker process, and the children it starts, keep files while they work.

Whoever is killed removes nothing, and an uploaded file that was being read may be gigabytes. So a worker
holds a lock on its folder as long as it lives, and the next one to start on the machine removes what nobody
holds.
The lock is flock(2) on the folder itself, which systemd-tmpfiles(8) respects too.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_PREFIX = "steadyrank-worker-"
_UNHELD = ".steadyrank-worker-"
"""What a folder is called until its lock is held, so that nobody takes it for a dead worker's."""


def work_in_own_folder() -> Path:
    """Let `tempfile` of this process make everything in a folder of its own; it goes when the process ends.

    Folders of workers that were killed are removed first.
    """
    remove_abandoned()
    unheld = Path(tempfile.mkdtemp(prefix=_UNHELD))
    # Left open: the lock lasts until the process ends, however it does. No child inherits it.
    fcntl.flock(os.open(unheld, os.O_RDONLY), fcntl.LOCK_EX)
    folder = unheld.with_name(_PREFIX + unheld.name.removeprefix(_UNHELD))
    unheld.rename(folder)
    tempfile.tempdir = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def remove_abandoned() -> None:
    """Remove the folders of workers that no longer live; what another user's left is not ours to remove."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if folder.is_symlink():
            continue
        with suppress(FileNotFoundError, PermissionError, NotADirectoryError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its worker lives
            else:
                shutil.rmtree(folder)
                logger.info("removed %s, which a worker that was killed left behind", folder)
            finally:
                os.close(descriptor)

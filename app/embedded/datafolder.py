"""The data folder of `steadyrank up`: who holds it, and what stands where in it.

postgres/  valkey/  run/ (sockets)  logs/
api-key    the local key, mode 0600
url        where the API answers, while it does
up.lock    held by the supervisor; says its pid and addresses as JSON
processes.lock  held by the supervisor and, inherited, by all that it starts
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from app.embedded.errors import AlreadyRunningError, EmbeddedError


@dataclass(frozen=True)
class Running:
    """What a supervisor says about itself in its lock file. Addresses are None while it is starting."""

    pid: int
    url: str | None = None
    database_url: str | None = None
    redis_url: str | None = None


@dataclass(frozen=True)
class Hold:
    """A data folder held by this process.

    Args:
        processes: descriptor that every process inherits: the folder is free when all of them are gone.
    """

    folder: Path
    lock: int
    processes: int

    def tell(self, running: Running) -> None:
        """Write what others read in `running_in`."""
        text = json.dumps(asdict(running)).encode()
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, text, 0)


def make(folder: Path) -> Path:
    """Make the folder and its parts, for this user alone; returns its absolute path.

    Raises:
        EmbeddedError: it cannot be made or closed to others, or is some other folder with files in it.
    """
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # it will be closed to others, which nobody wants for a home folder given by mistake
        names = {path.name for path in folder.iterdir()}
        if names - {"lost+found"} and "up.lock" not in names:
            raise EmbeddedError(
                f"{folder} has files in it and is not a SteadyRank data folder.",
                "Give a new or an empty folder as --data-dir.",
            )
        folder.chmod(0o700)
        (folder / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(
            f"The data folder {folder} cannot be used: {error.strerror}.", "Give another --data-dir."
        ) from error
    return folder


def running_in(folder: Path) -> Running | None:
    """What holds the folder now; None when nothing does."""
    try:
        lock = os.open(folder / "up.lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _try_lock(lock) else _read(lock)
    finally:
        os.close(lock)


@contextmanager
def held(folder: Path, *, patience: float = 40.0) -> Iterator[Hold]:
    """Hold a data folder while the block runs.

    Args:
        patience: seconds that the processes of a killed supervisor are given to end.

    Raises:
        AlreadyRunningError: another supervisor holds it.
        EmbeddedError: processes of an earlier supervisor do not end.
    """
    lock = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    processes = os.open(folder / "processes.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # `running_in` holds it for a moment, to see whether it can
        if not _try_lock(lock, seconds=0.2):
            other = _read(lock)
            raise AlreadyRunningError(str(folder), other.url, other.pid)
        hold = Hold(folder, lock, processes)
        hold.tell(Running(os.getpid()))
        if not _try_lock(processes, seconds=patience):
            raise EmbeddedError(
                f"Processes of an earlier run on {folder} are still there.",
                "Wait for them to end, or end them; `fuser processes.lock` in that folder names them.",
            )
        yield hold
    finally:
        os.close(processes)
        os.close(lock)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _try_lock(descriptor: int, seconds: float = 0.0) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _read(lock: int) -> Running:
    try:
        return Running(**json.loads(os.pread(lock, 65536, 0)))
    except (ValueError, TypeError):
        # read between the holder's truncate and write
        return Running(0)

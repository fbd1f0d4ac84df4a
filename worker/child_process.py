"""A child that trains, measures or probes, as its parent sees it: a fresh interpreter, not a fork."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from app.config import Settings
from app.jobs.claims import Claim
from worker.child_log import ChildLog
from worker.pipe import End

logger = logging.getLogger(__name__)

_LAST_LINES_SECONDS = 2.0
_ROOT = Path(__file__).resolve().parent.parent


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment variables from which another process reads the same settings."""
    bare = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
    variables = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            variables[bare.get(name, f"STEADYRANK_{name.upper()}")] = text
    return variables


class ChildProcess:
    """One running `python -m worker.child`, or another module that is started and speaks as it does.

    Not a fork, which CUDA does not survive. Make it in a thread that outlives it: on Linux the kernel kills
    the child when that thread ends.
    """

    def __init__(self, settings: Settings, claimed: Claim, *, module: str = "worker.child") -> None:
        search = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        threads = str(settings.threads)
        self._folder = Path(tempfile.mkdtemp(prefix="steadyrank-"))
        self._process = subprocess.Popen(
            # -P: a file named torch.py in the working folder must not be taken for torch
            [
                sys.executable,
                "-P",
                "-m",
                module,
                claimed.job_id,
                str(claimed.attempt),
                str(os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                **as_environment(settings),
                "PYTHONPATH": os.pathsep.join(search),
                "TMPDIR": str(self._folder),  # removed here, since one that is killed removes nothing
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
            },
        )
        self.moved_at = time.monotonic()
        """When its work last moved, on the monotonic clock."""
        self.environment: dict[str, Any] | None = None
        self.end: End | None = None
        self.log = ChildLog(_pipe(self._process.stderr), settings)
        """What it writes to its standard error."""
        self._reader = threading.Thread(target=self._read, name=f"pipe-{claimed.job_id}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Wait for its end at most so long; the exit code (negative: the signal), or None while it runs."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._over()
        return code

    def tell(self, word: str) -> None:
        """Say one of the words of `pipe.py`; harmless when nobody listens any more."""
        try:
            _pipe(self._process.stdin).write(f"{word}\n".encode())
            _pipe(self._process.stdin).flush()
        except (BrokenPipeError, ValueError):
            logger.info("the child no longer listens")

    def kill(self) -> int:
        """End it now, if it has not ended, and reap it; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        code = self._process.wait()
        self._over()
        try:
            _pipe(self._process.stdin).close()
        except BrokenPipeError:
            logger.debug("the child left without reading")
        return code

    def _over(self) -> None:
        self._reader.join()
        self.log.join(_LAST_LINES_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> None:
        with _pipe(self._process.stdout) as pipe:
            for line in pipe:
                if not line.endswith(b"\n"):
                    break  # killed in the middle of a word
                message = json.loads(line)
                self.moved_at = time.monotonic()
                if "environment" in message:
                    self.environment = message["environment"]
                elif "end" in message:
                    self.end = End(**message["end"])


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("the process was started without this pipe")
    return stream

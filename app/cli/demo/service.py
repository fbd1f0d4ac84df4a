"""The demo's own service: `steadyrank up` in a process of its own, on a folder and a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.embedded import processes
from app.embedded.processes import ProcessSpec
from app.embedded.stop_signals import heeded_signals
from app.sdk.client import SteadyRank

START_SECONDS = 120.0
STOP_SECONDS = 60.0
# What a user may have set for a service of theirs must not reach the demo's, least of all their database.
KEPT_VARIABLES = frozenset({"STEADYRANK_DEVICE", "STEADYRANK_THREADS"})


@contextmanager
def running_service(logs_to: Path) -> Iterator[SteadyRank]:
    """A client of a fresh service, which is stopped and removed when the block ends, however it ends.

    When the block fails, the service's logs are copied to `logs_to`. StartError when it does not start.
    Call it from the main thread: it holds signals back while it cleans up.
    """
    # Short, since the database's and the broker's sockets are in it.
    folder = Path(tempfile.mkdtemp(prefix="sr-demo-"))
    data, temporary = folder / "data", folder / "tmp"
    temporary.mkdir()
    spec = ProcessSpec(
        name="service",
        command=(
            *("env", *_unset()),
            *(sys.executable, "-P", "-m", "app.cli.main", "up"),
            *("--data-dir", str(data), "--port", "0", "--workers", "1"),
        ),
        log=folder / "service.log",
        folder=folder,
        # What torch and others leave in the temporary folder goes with the rest.
        environment={"TMPDIR": str(temporary)},
        stop_seconds=STOP_SECONDS,
        ready=(data / "url").exists,
    )
    process = None
    failed = True
    try:
        process = processes.start(spec)
        processes.wait_ready(spec, process, START_SECONDS)
        key = (data / "api-key").read_text(encoding="utf-8").strip()
        with SteadyRank((data / "url").read_text(encoding="utf-8").strip(), key) as client:
            yield client
        failed = False
    finally:
        with _handled(signal.SIG_IGN):
            if process is not None:
                processes.stop([(spec, process)])
            if failed:
                _keep_logs(folder, data / "logs", logs_to)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """While the block runs, Ctrl-C, SIGTERM and SIGHUP, if not ignored, end it with everything cleaned up.

    Only the first counts: another one during the clean-up would leave processes behind.
    """

    def leave(number: int, frame: object) -> None:
        for other in heeded_signals():
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    with _handled(leave):
        yield


@contextmanager
def _handled(handler: Callable[[int, object], None] | signal.Handlers) -> Iterator[None]:
    """While the block runs, `handler` has the signals that end a process."""
    before = {number: signal.signal(number, handler) for number in heeded_signals()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _unset() -> list[str]:
    names = {"DATABASE_URL", "REDIS_URL"} | {name for name in os.environ if name.startswith("STEADYRANK_")}
    return [argument for name in sorted(names - KEPT_VARIABLES) for argument in ("-u", name)]


def _keep_logs(folder: Path, logs: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in (folder / "service.log", *logs.glob("*.log")):
        if log.exists():
            shutil.copy(log, target / log.name)

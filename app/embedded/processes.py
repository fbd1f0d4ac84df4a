"""Child processes that die with their parent: what one is, how it is started and how it is stopped."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.embedded.errors import StartError
from app.embedded.logfiles import tail


@dataclass(frozen=True)
class ProcessSpec:
    """One line of the supervisor's process table.

    Args:
        name: short and unique; also the log file's name.
        command: program and arguments, never through a shell.
        log: file that standard output and error are appended to.
        folder: working folder of the process.
        stage: processes stop in falling order, those of one stage together.
        environment: variables added to the supervisor's own.
        prefix: programs that become the command in turn (`unshare …`, `setpriv …`); a `{signal}` in it
            stands for the death signal. Empty means only that the process dies with its parent.
        stop_signal: asks for a clean end; `death_signal` is sent by the kernel when the parent is gone.
        stop_seconds: patience before SIGKILL.
        ready: answers whether the process serves by now.
    """

    name: str
    command: Sequence[str]
    log: Path
    folder: Path
    stage: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    ready: Callable[[], bool] | None = None


@functools.cache
def setpriv() -> str | None:
    """Path of a setpriv that knows --pdeathsig; None on macOS and on systems without util-linux."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    if program is None:
        return None
    works = subprocess.run([program, "--pdeathsig", "TERM", "--", "true"], capture_output=True, check=False)
    return program if works.returncode == 0 else None


def dies_with_parent() -> tuple[str, ...]:
    """Prefix under which the kernel signals the process when the thread that started it ends."""
    program = setpriv()
    return () if program is None else (program, "--pdeathsig", "{signal}", "--")


def start(spec: ProcessSpec, *, keep_open: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that a Ctrl-C in the terminal reaches only the supervisor.

    Call it from a thread that lives as long as the child should: the death signal follows the thread.

    Args:
        keep_open: file descriptors that the child inherits.
    """
    prefix = tuple(spec.prefix) or dies_with_parent()
    death = spec.death_signal.name.removeprefix("SIG")
    with spec.log.open("ab") as log:
        return subprocess.Popen(
            [part.format(signal=death) for part in prefix] + list(spec.command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=spec.folder,
            env={**os.environ, **spec.environment},
            pass_fds=tuple(keep_open),
            start_new_session=True,
        )


def wait_ready(
    spec: ProcessSpec,
    process: subprocess.Popen[bytes],
    seconds: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until a process serves, or until nobody waits for it any more.

    Raises:
        StartError: it ended, or did not serve in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while spec.ready is not None and not cancelled() and not spec.ready():
        if process.poll() is not None:
            raise StartError(
                f"{spec.name} ended while starting (exit {process.returncode}).", _log_hint(spec)
            )
        if time.monotonic() > deadline:
            raise StartError(f"{spec.name} did not answer within {seconds:.0f} s.", _log_hint(spec))
        time.sleep(0.02)


def _log_hint(spec: ProcessSpec) -> str:
    return f"Its log, {spec.log}, ends with:\n{tail(spec.log)}"


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL whatever is left of a process and of the children in its group; harmless when nothing is."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def stop(running: Sequence[tuple[ProcessSpec, subprocess.Popen[bytes]]]) -> None:
    """End processes together: each is asked by its own signal, and killed when its patience is over."""
    for spec, process in running:
        if process.poll() is None:
            process.send_signal(spec.stop_signal)
    asked = time.monotonic()
    for spec, process in running:
        patience = max(0.0, asked + spec.stop_seconds - time.monotonic())
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kill_group(process)

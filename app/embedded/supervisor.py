"""Starts a table of processes, watches them, restarts a dead one, and stops them in order."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from types import FrameType

from app.embedded import processes
from app.embedded.errors import StartError
from app.embedded.logfiles import rotate
from app.embedded.processes import ProcessSpec
from app.embedded.stop_signals import heeded_signals

logger = logging.getLogger("steadyrank.up")

FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
# a process that lived this long had started well; its next death begins at the first delay again
LIVED_SECONDS = 60.0


def delay_after(deaths: int) -> float:
    """Seconds before the restart that follows the n-th death in a row: 1, 2, 4 … 30."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (deaths - 1))


@dataclass
class _Child:
    spec: ProcessSpec
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    restart_at: float | None = None


class Supervisor:
    """Keeps processes alive until it is asked to stop. All of it runs in the thread that made it.

    Args:
        keep_open: file descriptors that every process inherits.
        on_death: told the name of a process that died, once nothing of it is left and before it starts again.
    """

    def __init__(
        self, keep_open: Sequence[int] = (), on_death: Callable[[str], None] = lambda name: None
    ) -> None:
        self._keep_open = tuple(keep_open)
        self._on_death = on_death
        self._children: list[_Child] = []
        self.stopping = False

    @contextmanager
    def signals(self) -> Iterator[None]:
        """While the block runs, SIGTERM, SIGINT and SIGHUP ask for a stop; a second one changes nothing.

        One that whoever started us has us ignore (`nohup`, `&` in a script) stays ignored.
        """
        before = {number: signal.signal(number, self._ask) for number in heeded_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def start(self, spec: ProcessSpec, seconds: float = 120.0) -> None:
        """Start a process, and wait until it serves when it can say so; nothing once a stop was asked for.

        Raises:
            StartError: it ended, or did not serve in time; it was stopped and will not be restarted.
        """
        if self.stopping:
            return
        rotate(spec.log)
        child = _Child(spec, processes.start(spec, keep_open=self._keep_open), time.monotonic())
        self._children.append(child)
        try:
            processes.wait_ready(spec, child.process, seconds, cancelled=lambda: self.stopping)
        except StartError:
            processes.stop([(spec, child.process)])
            self._children.remove(child)
            raise

    def pids(self) -> dict[str, int]:
        """The process behind each name, of those alive."""
        return {
            child.spec.name: child.process.pid for child in self._children if child.process.poll() is None
        }

    def watch_once(self, now: float) -> None:
        """Look at every process once: bound its log, note the dead, start again what has waited long enough.

        Args:
            now: seconds on the monotonic clock.
        """
        for child in self._children:
            rotate(child.spec.log)
            if child.restart_at is not None:
                if now >= child.restart_at:
                    child.process = processes.start(child.spec, keep_open=self._keep_open)
                    child.started, child.restart_at = now, None
                    logger.info("%s started again", child.spec.name)
            elif child.process.poll() is not None:
                # a dead worker may leave its trainer behind
                processes.kill_group(child.process)
                child.deaths = 1 if now - child.started >= LIVED_SECONDS else child.deaths + 1
                delay = delay_after(child.deaths)
                child.restart_at = now + delay
                logger.warning(
                    "%s ended (%s), starts again in %.0f s; its log: %s",
                    child.spec.name,
                    ended(child.process.returncode),
                    delay,
                    child.spec.log,
                )
                self._on_death(child.spec.name)

    def run(self, interval: float = 0.2) -> None:
        """Watch until a stop is asked for."""
        while not self.stopping:
            self.watch_once(time.monotonic())
            time.sleep(interval)

    def stop(self) -> None:
        """Stop everything, stage by stage, the last first."""
        self.stopping = True
        by_stage = sorted(self._children, key=lambda child: -child.spec.stage)
        for _, stage in groupby(by_stage, key=lambda child: child.spec.stage):
            processes.stop([(child.spec, child.process) for child in stage])
        self._children.clear()


def ended(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"

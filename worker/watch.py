"""The watch over a child process that does leased work, by its parent, which imports no torch.

While the child moves its lease is renewed, wishes are relayed, and a child that does not obey or hangs is
ended. What it works at, why it is to end and what becomes of the work is said by those who watch: the runner
of jobs and the measuring worker.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from app.config import Settings
from app.db.session import AWAY
from app.jobs.claims import LeaseLost
from worker.child_process import ChildProcess
from worker.settling import settle_patiently

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_LARGEST_POLL_SECONDS = 1.0


class Asked(Enum):
    """Why the parent wants, or wanted, its child to end."""

    NOTHING = "nothing"
    CANCEL = "cancel"
    PAUSE = "pause"
    SHUTDOWN = "shutdown"
    RUNTIME = "max_runtime"
    """Its time is over, and it did not even come to measure what it had."""
    HUNG = "hung"
    FAULT = "fault"
    """The watch itself failed: a fault of the service."""
    LEASE_LOST = "lease_lost"


@dataclass(frozen=True)
class Ending:
    """A reason to end: the word that the child is told, and the seconds after which it is killed."""

    why: Asked
    word: str
    grace_seconds: float


class Watch(ABC):
    """The watch over one attempt's process.

    what: the work and its id, for the log. attempt: its number.
    """

    def __init__(self, process: ChildProcess, settings: Settings, *, what: str, attempt: int) -> None:
        self.process = process
        self.settings = settings
        self.asked = Asked.NOTHING
        self._what = what
        self._attempt = attempt

    @abstractmethod
    def chores(self) -> Sequence[tuple[float, Callable[[], None]]]:
        """What is done in the database at once, and then each time that so many seconds are over."""

    @abstractmethod
    def ending(self, elapsed: float) -> Ending | None:
        """The reason to end, if there is one, after so many seconds; asked until there is."""

    @abstractmethod
    def settle(self, code: int) -> None:
        """Write down how the attempt ended, by the exit code, what was asked and what the process said."""

    @property
    def poll_seconds(self) -> float:
        """How often what others want is looked for."""
        return min(_LARGEST_POLL_SECONDS, self.settings.lease_seconds / 3)

    def run(self) -> None:
        """Watch until the process has ended, and settle."""
        try:
            code = self._until_it_ends()
        except Exception:
            # Else the work would be given back, taken up and given back for ever, and nobody told why.
            logger.exception("%s: the watch over it failed", self._what)
            self.asked = Asked.FAULT
            code = self.process.kill()
        except BaseException:
            self.asked = Asked.SHUTDOWN  # this worker is being torn down: give the work back at once
            self._settle(self.process.kill())
            raise
        self._settle(code)

    def _until_it_ends(self) -> int:
        began = time.monotonic()
        chores = self.chores()
        due = [began for _ in chores]
        killed_at: float | None = None
        while (code := self.process.wait(_TICK_SECONDS)) is None:
            now = time.monotonic()
            if self.asked is Asked.NOTHING:
                if (ending := self.ending(now - began)) is not None:
                    self.asked = ending.why
                    self.process.tell(ending.word)
                    killed_at = now + ending.grace_seconds
            elif killed_at is not None and now >= killed_at:
                return self._kill()
            if now - self.process.moved_at >= self.settings.hang_seconds:
                self.asked = Asked.HUNG
                return self._kill()
            for number, (every, work) in enumerate(chores):
                if now >= due[number]:
                    reached = self._in_database(work)
                    due[number] = now + (every if reached else self.poll_seconds)
            if self.asked is Asked.LEASE_LOST:
                return self._kill()
        return code

    def _in_database(self, work: Callable[[], None]) -> bool:
        """Return whether the database could be reached.

        That it is away for a while is no reason to stop: nobody else can take the work either, and once it is
        back the reaper waits for a lease to be renewed (`app.jobs.absence`).
        """
        try:
            work()
        except LeaseLost:
            # The end, written by the child itself, looks the same: the child is about to leave.
            if self.process.wait(_TICK_SECONDS) is None and self.process.end is None:
                self.asked = Asked.LEASE_LOST
        except AWAY as error:
            logger.warning("%s: database unreachable: %s", self._what, error)
            return False
        return True

    def _kill(self) -> int:
        logger.warning("%s: ending its process (%s)", self._what, self.asked.value)
        return self.process.kill()

    def _settle(self, code: int) -> None:
        self.process.kill()
        settle_patiently(lambda: self.settle(code), what=self._what, attempt=self._attempt)

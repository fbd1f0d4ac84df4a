"""One attempt at an evaluation, by a measuring worker: claim, start the measuring process, watch it, settle.

This process imports no torch: the measuring is a child's (`worker/evaluation_child.py`), as training is. It
renews the lease only while the child moves, relays cancel and shutdown, and turns an exit into a state.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.exc import OperationalError

from app.evaluations.life import (
    EvaluationClaim,
    cancelled,
    claim,
    fail,
    hold,
    lose,
    release,
    renew,
)
from app.jobs.claims import Claim, LeaseLost
from worker.pipe import STOP
from worker.resources import Resources
from worker.settling import settle_patiently
from worker.trainer_process import TrainerProcess

logger = logging.getLogger(__name__)

CHILD = "worker.evaluation_child"

_TICK_SECONDS = 0.1
_LARGEST_POLL_SECONDS = 1.0

Asked = Literal["nothing", "cancel", "shutdown", "hung", "lease_lost"]


def evaluate_model(evaluation_id: str, *, resources: Resources, stopping: threading.Event) -> None:
    """Make one attempt at an evaluation; does nothing when it does not wait."""
    settings = resources.settings
    with resources.database.unit_of_work() as session:
        claimed = claim(session, evaluation_id, lease_seconds=settings.lease_seconds)
    if claimed is None:
        logger.info("evaluation %s does not wait", evaluation_id)
        return
    logger.info("evaluation %s: attempt %d", evaluation_id, claimed.attempt)
    process = TrainerProcess(settings, Claim(evaluation_id, claimed.attempt), module=CHILD)
    watch = _Watch(resources, claimed, process, stopping)
    try:
        code = watch.until_it_ends()
    except BaseException:
        process.kill()
        watch.asked = "shutdown"
        _settle(watch, -signal.SIGKILL)
        raise
    _settle(watch, code)


@dataclass
class _Watch:
    """The watch over one measuring process."""

    resources: Resources
    claimed: EvaluationClaim
    process: TrainerProcess
    stopping: threading.Event
    asked: Asked = "nothing"

    def until_it_ends(self) -> int:
        """Renew, relay and watch until the process has ended; returns its exit code."""
        settings = self.resources.settings
        next_look = time.monotonic()
        deadline: float | None = None
        while (code := self.process.wait(_TICK_SECONDS)) is None:
            now = time.monotonic()
            if now >= next_look:
                next_look = now + min(_LARGEST_POLL_SECONDS, settings.lease_seconds / 3)
                self._look()
            if self.asked == "nothing" and self.stopping.is_set():
                self.asked = "shutdown"
            if self.asked in {"cancel", "shutdown"} and deadline is None:
                self.process.tell(STOP)
                deadline = now + settings.cancel_grace_seconds
            if now - self.process.moved_at >= settings.hang_seconds:
                self.asked = "hung"
            if self.asked in {"hung", "lease_lost"} or (deadline is not None and now >= deadline):
                logger.warning("evaluation %s: ending it (%s)", self.claimed.evaluation_id, self.asked)
                return self.process.kill()
        return code

    def _look(self) -> None:
        """Renew the lease and hear whether a cancel is wanted; a database that is away is waited for."""
        try:
            with self.resources.database.unit_of_work() as session:
                wanted = renew(session, self.claimed, lease_seconds=self.resources.settings.lease_seconds)
        except LeaseLost:
            # The end, written by the child itself, looks the same: the child is about to leave.
            if self.process.wait(_TICK_SECONDS) is None and self.process.end is None:
                self.asked = "lease_lost"
        except OperationalError as error:
            logger.warning("evaluation %s: database unreachable: %s", self.claimed.evaluation_id, error)
        else:
            if wanted and self.asked == "nothing":
                self.asked = "cancel"


def _settle(watch: _Watch, code: int) -> None:
    """Say how the attempt ended."""
    watch.process.kill()
    claimed = watch.claimed
    settle_patiently(
        lambda: _say(watch, code), what=f"evaluation {claimed.evaluation_id}", attempt=claimed.attempt
    )


def _say(watch: _Watch, code: int) -> None:
    claimed, end, settings = watch.claimed, watch.process.end, watch.resources.settings
    if watch.asked == "lease_lost":
        return
    with watch.resources.database.unit_of_work() as session:
        row = hold(session, claimed)
        if row.cancel_requested:
            cancelled(session, claimed)
        elif end is not None and end.kind == "error":
            fail(session, claimed, code=end.code, message=end.message, hint=end.hint)
        elif watch.asked == "shutdown":
            release(session, claimed)
        elif watch.asked == "hung":
            lose(session, claimed, settings, code="worker_lost", message="It made no step for too long.")
        elif code == -signal.SIGKILL:
            message = "The measuring process was killed from outside, most likely for memory."
            lose(session, claimed, settings, code="out_of_memory", message=message)
        else:
            said = end.message if end is not None and end.message else f"exit code {code}"
            message = f"The measuring process ended without a result ({said})."
            lose(session, claimed, settings, code="worker_lost", message=message)

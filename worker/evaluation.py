"""One attempt at an evaluation, by a measuring worker: claim, start the measuring process, watch it, settle.

This process imports no torch: the measuring is a child's (`worker/evaluation_child.py`), as training is. It
relays cancel and shutdown, and turns an exit into a state.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence

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
from app.jobs.claims import Claim
from worker.child_process import ChildProcess
from worker.pipe import STOP
from worker.resources import Resources
from worker.watch import Asked, Ending, Watch

logger = logging.getLogger(__name__)

CHILD = "worker.evaluation_child"
_LESS = "Ask for fewer attacks: positions, counts, replacements or repeats."


def evaluate_model(evaluation_id: str, *, resources: Resources, stopping: threading.Event) -> None:
    """Make one attempt at an evaluation; does nothing when it does not wait."""
    settings = resources.settings
    with resources.database.unit_of_work() as session:
        claimed = claim(session, evaluation_id, lease_seconds=settings.lease_seconds)
    if claimed is None:
        logger.info("evaluation %s does not wait", evaluation_id)
        return
    logger.info("evaluation %s: attempt %d", evaluation_id, claimed.attempt)
    _EvaluationWatch(resources, claimed, stopping).run()


class _EvaluationWatch(Watch):
    """The watch over one measuring process."""

    def __init__(self, resources: Resources, claimed: EvaluationClaim, stopping: threading.Event) -> None:
        settings = resources.settings
        super().__init__(
            ChildProcess(settings, Claim(claimed.evaluation_id, claimed.attempt), module=CHILD),
            settings,
            what=f"evaluation {claimed.evaluation_id}",
            attempt=claimed.attempt,
        )
        self._database = resources.database
        self._claimed = claimed
        self._stopping = stopping
        self._cancelled = False

    def chores(self) -> Sequence[tuple[float, Callable[[], None]]]:
        """Renew the lease and hear whether a cancel is wanted."""
        return ((self.poll_seconds, self._renew),)

    def ending(self, elapsed: float) -> Ending | None:
        """Cancel, shutdown, or its time is over; nothing of an attempt is kept, so that all end it alike."""
        grace = self.settings.cancel_grace_seconds
        if self._cancelled:
            return Ending(Asked.CANCEL, STOP, grace)
        if self._stopping.is_set():
            return Ending(Asked.SHUTDOWN, STOP, grace)
        if elapsed >= self.settings.max_runtime_seconds:
            return Ending(Asked.RUNTIME, STOP, grace)
        return None

    def settle(self, code: int) -> None:
        """Turn how it ended into a state of the row."""
        claimed, end, settings = self._claimed, self.process.end, self.settings
        if self.asked is Asked.LEASE_LOST:
            return
        with self._database.unit_of_work() as session:
            row = hold(session, claimed)
            if row.cancel_requested:
                cancelled(session, claimed)
            elif self.asked is Asked.RUNTIME:
                limit = (
                    f"The evaluation took longer than this service allows ({settings.max_runtime_seconds} s)."
                )
                fail(session, claimed, code="max_runtime_exceeded", message=limit, hint=_LESS)
            elif end is not None and end.kind == "error":
                fail(session, claimed, code=end.code, message=end.message, hint=end.hint)
            elif self.asked is Asked.SHUTDOWN or (end is not None and end.kind == "stopped"):
                # Told to stop by its parent, or with it by whoever signalled them both.
                release(session, claimed)
            elif self.asked is Asked.HUNG:
                lose(session, claimed, settings, code="worker_lost", message="It made no step for too long.")
            elif self.asked is Asked.FAULT:
                message = "The worker met a fault of its own while the evaluation ran, and ended it."
                lose(session, claimed, settings, code="worker_lost", message=message)
            elif code == -signal.SIGKILL:
                message = "The measuring process was killed from outside, most likely for memory."
                lose(session, claimed, settings, code="out_of_memory", message=message)
            else:
                said = end.message if end is not None and end.message else f"exit code {code}"
                message = f"The measuring process ended without a result ({said})."
                lose(session, claimed, settings, code="worker_lost", message=message)

    def _renew(self) -> None:
        with self._database.unit_of_work() as session:
            self._cancelled = renew(session, self._claimed, lease_seconds=self.settings.lease_seconds)

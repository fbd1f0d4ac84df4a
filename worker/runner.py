"""One attempt at a job, by the parent: claim, start the training process, watch it, say how it ended.

The parent imports no torch. It renews the lease only while training moves, relays cancel, pause and shutdown,
ends a process that does not obey, and turns an exit into a move of the job. A job whose lease was lost
is left alone.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import OperationalError

from app.db.models.job import Job
from app.db.session import send_after_commit
from app.jobs.attempts import note_environment, seconds_used
from app.jobs.claims import Claim, LeaseLost, claim_next, renew, wanted
from app.jobs.life import Status
from app.jobs.limits import runtime_limits
from app.jobs.logs import append
from app.log_lines import job_id_var
from app.task_names import RUN_JOB, TRAIN_QUEUE
from worker.ending import Asked, settle
from worker.pipe import FINISH, SAVE_AND_STOP, STOP
from worker.resources import Resources
from worker.settling import settle_patiently
from worker.trainer_process import TrainerProcess

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_LARGEST_POLL_SECONDS = 1.0


def run_job(job_id: str, *, resources: Resources, worker: str, stopping: threading.Event) -> Claim | None:
    """Make one attempt at the job that is next in line. Returns the claim, or None when there was nothing.

    Args:
        job_id: The job that the message names; running this twice, late or for nothing is harmless.
        resources: Settings, database, blobs.
        worker: Name under which the attempt is shown.
        stopping: Set when this worker shuts down: the job is saved and given back.

    """
    settings = resources.settings
    job_id_var.set(None)
    if stopping.is_set():  # taken in the moment of leaving: pass it on
        with resources.database.unit_of_work() as session:
            send_after_commit(session, RUN_JOB, job_id, queue=TRAIN_QUEUE)
        return None
    with resources.database.unit_of_work() as session:
        claimed = claim_next(session, job_id, worker=worker, lease=timedelta(seconds=settings.lease_seconds))
        if claimed is None:
            logger.info("nothing to take: %s", job_id)
            return None
        used = seconds_used(session, claimed.job_id)
        limits = runtime_limits(session.get_one(Job, claimed.job_id).max_runtime, settings)
    job_id_var.set(claimed.job_id)
    logger.info("job %s: attempt %d", claimed.job_id, claimed.attempt)
    process = TrainerProcess(settings, claimed)
    finish_after, end_after = (limit - used for limit in limits)
    watch = _Watch(resources, claimed, process, stopping, finish_after=finish_after, end_after=end_after)
    try:
        code = watch.until_it_ends()
    except BaseException:
        process.kill()
        watch.asked = Asked.SHUTDOWN  # this worker is being torn down: give the job back at once
        _settle(resources, watch, -signal.SIGKILL)
        raise
    _settle(resources, watch, code)
    return claimed


@dataclass
class _Watch:
    """The watch over one training process.

    finish_after, end_after: seconds of this attempt after which it is to train no more, and is ended.
    """

    resources: Resources
    claimed: Claim
    process: TrainerProcess
    stopping: threading.Event
    finish_after: float
    end_after: float
    asked: Asked = Asked.NOTHING
    _finishing: bool = False
    _wanted: Status = Status.RUNNING

    def until_it_ends(self) -> int:
        """Renew, relay and watch until the process has ended; returns its exit code."""
        settings = self.resources.settings
        began = time.monotonic()
        poll_seconds = min(_LARGEST_POLL_SECONDS, settings.lease_seconds / 3)
        next_renewal = began + settings.lease_seconds / 3
        next_poll = began
        deadline: float | None = None
        environment_noted = False
        while (code := self.process.wait(_TICK_SECONDS)) is None:
            now = time.monotonic()
            if self.asked is Asked.NOTHING:
                deadline = self._ask_to_end(now, began)
            elif deadline is not None and now >= deadline:
                return self._kill()
            if now - self.process.moved_at >= settings.hang_seconds:
                self.asked = Asked.HUNG
                return self._kill()
            if self.process.environment is not None and not environment_noted:
                environment_noted = True
                self._in_database(self._note_environment)
            if now >= next_renewal:
                next_renewal = now + settings.lease_seconds / 3
                self._in_database(self._renew)
            if now >= next_poll:
                next_poll = now + poll_seconds
                self._in_database(self._poll)
                self._in_database(self.keep_log)
            if self.asked is Asked.LEASE_LOST:
                return self._kill()
        return code

    def _ask_to_end(self, now: float, began: float) -> float | None:
        """Ask the process to end if there is a reason to; returns when it is killed if it has not."""
        settings = self.resources.settings
        if self._wanted is Status.CANCELLING:
            self.asked = Asked.CANCEL
            self.process.tell(STOP)
            return now + settings.cancel_grace_seconds
        if self._wanted is Status.PAUSING:
            self.asked = Asked.PAUSE
            self.process.tell(SAVE_AND_STOP)
            return now + settings.shutdown_grace_seconds
        if self.stopping.is_set():
            self.asked = Asked.SHUTDOWN
            self.process.tell(SAVE_AND_STOP)
            return now + settings.shutdown_grace_seconds
        if not self._finishing and now - began >= self.finish_after:
            self._finishing = True
            self.process.tell(FINISH)
        if now - began >= self.end_after:
            self.asked = Asked.RUNTIME
            self.process.tell(SAVE_AND_STOP)
            return now + settings.shutdown_grace_seconds
        return None

    def _renew(self) -> None:
        with self.resources.database.unit_of_work() as session:
            renew(session, self.claimed, lease=timedelta(seconds=self.resources.settings.lease_seconds))

    def _poll(self) -> None:
        with self.resources.database.unit_of_work() as session:
            self._wanted = wanted(session, self.claimed)

    def keep_log(self) -> None:
        """Write the lines that the process has written since."""
        if lines := self.process.log.take():
            with self.resources.database.unit_of_work() as session:
                append(session, self.claimed, lines)
            self.process.log.written(lines[-1].number)

    def _note_environment(self) -> None:
        with self.resources.database.unit_of_work() as session:
            note_environment(session, self.claimed, self.process.environment or {})

    def _in_database(self, work: Callable[[], None]) -> None:
        """A database that is away for a while is no reason to stop: nobody else can take the job either."""
        try:
            work()
        except LeaseLost:
            # The job's end, written by the child itself, looks the same: the child is about to leave.
            if self.process.wait(_TICK_SECONDS) is None and self.process.end is None:
                self.asked = Asked.LEASE_LOST
        except OperationalError as error:
            logger.warning("job %s: database unreachable: %s", self.claimed.job_id, error)

    def _kill(self) -> int:
        logger.warning("job %s: ending the training process (%s)", self.claimed.job_id, self.asked.value)
        return self.process.kill()


def _settle(resources: Resources, watch: _Watch, code: int) -> None:
    """Say how the attempt ended."""
    watch.process.kill()

    def write() -> None:
        watch.keep_log()
        with resources.database.unit_of_work() as session:
            settle(session, watch.claimed, end=watch.process.end, asked=watch.asked, code=code)

    settle_patiently(write, what=f"job {watch.claimed.job_id}", attempt=watch.claimed.attempt)

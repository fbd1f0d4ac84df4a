"""One attempt at a job, by the parent: claim, start the training process, watch it, say how it ended.

The parent imports no torch. It relays cancel, pause, shutdown and the end of the job's time, keeps the log,
and turns an exit into a move of the job. A job whose lease was lost is left alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from app.db.models.job import Job
from app.db.session import send_after_commit
from app.jobs.attempts import note_environment, seconds_used
from app.jobs.claims import Claim, claim_next, renew, wanted
from app.jobs.life import Status
from app.jobs.limits import runtime_limits
from app.jobs.logs import append
from app.log_lines import working_at
from app.task_names import RUN_JOB, TRAIN_QUEUE
from worker.child_process import ChildProcess
from worker.ending import settle
from worker.pipe import CONCLUDE, FINISH, SAVE_AND_STOP, STOP
from worker.resources import Resources
from worker.watch import Asked, Ending, Watch

logger = logging.getLogger(__name__)


def run_job(job_id: str, *, resources: Resources, worker: str, stopping: threading.Event) -> Claim | None:
    """Make one attempt at the job that is next in line. Returns the claim, or None when there was nothing.

    Args:
        job_id: The job that the message names; running this twice, late or for nothing is harmless.
        resources: Settings, database, blobs.
        worker: Name under which the attempt is shown.
        stopping: Set when this worker shuts down: the job is saved and given back.

    """
    settings = resources.settings
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
    with working_at(job_id=claimed.job_id, attempt=claimed.attempt):
        logger.info("job %s: attempt %d", claimed.job_id, claimed.attempt)
        finish_after, conclude_after, end_after = (limit - used for limit in limits)
        said = ((finish_after, FINISH), (conclude_after, CONCLUDE))
        _JobWatch(resources, claimed, stopping, said=said, end_after=end_after).run()
    return claimed


class _JobWatch(Watch):
    """The watch over one training process.

    said: after how many seconds of this attempt it is told what, the soonest first. end_after: seconds after
    which it is ended.
    """

    def __init__(
        self,
        resources: Resources,
        claimed: Claim,
        stopping: threading.Event,
        *,
        said: Sequence[tuple[float, str]],
        end_after: float,
    ) -> None:
        settings = resources.settings
        super().__init__(
            ChildProcess(settings, claimed), settings, what=f"job {claimed.job_id}", attempt=claimed.attempt
        )
        self._database = resources.database
        self._claimed = claimed
        self._stopping = stopping
        self._to_say, self._end_after = list(said), end_after
        self._environment_noted = False
        self._wanted = Status.RUNNING

    def chores(self) -> Sequence[tuple[float, Callable[[], None]]]:
        """Renew, note the environment once it is known, hear what is wanted, keep the log."""
        return (
            (0.0, self._note_environment),
            (self.settings.lease_seconds / 3, self._renew),
            (self.poll_seconds, self._poll),
            (self.poll_seconds, self._keep_log),
        )

    def ending(self, elapsed: float) -> Ending | None:
        """Cancel, pause, shutdown, or all time is over; when that to train or attack is, say so and go on."""
        settings = self.settings
        if self._wanted is Status.CANCELLING:
            return Ending(Asked.CANCEL, STOP, settings.cancel_grace_seconds)
        if self._wanted is Status.PAUSING:
            return Ending(Asked.PAUSE, SAVE_AND_STOP, settings.shutdown_grace_seconds)
        if self._stopping.is_set():
            return Ending(Asked.SHUTDOWN, SAVE_AND_STOP, settings.shutdown_grace_seconds)
        due = [word for after, word in self._to_say if elapsed >= after]
        if due:
            self.process.tell(due[-1])  # each takes the place of the ones before it
            del self._to_say[: len(due)]
        if elapsed >= self._end_after:
            return Ending(Asked.RUNTIME, SAVE_AND_STOP, settings.shutdown_grace_seconds)
        return None

    def settle(self, code: int) -> None:
        """Keep the last lines and move the job."""
        self._keep_log()
        with self._database.unit_of_work() as session:
            settle(session, self._claimed, end=self.process.end, asked=self.asked, code=code)

    def _renew(self) -> None:
        with self._database.unit_of_work() as session:
            renew(session, self._claimed, lease=timedelta(seconds=self.settings.lease_seconds))

    def _poll(self) -> None:
        with self._database.unit_of_work() as session:
            self._wanted = wanted(session, self._claimed)

    def _keep_log(self) -> None:
        """Write the lines that the process has written since."""
        if lines := self.process.log.take():
            with self._database.unit_of_work() as session:
                append(session, self._claimed, lines)
            self.process.log.written(lines[-1].number)

    def _note_environment(self) -> None:
        environment = self.process.environment
        if environment is not None and not self._environment_noted:
            with self._database.unit_of_work() as session:
                note_environment(session, self._claimed, environment)
            self._environment_noted = True

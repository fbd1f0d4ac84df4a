"""Who has a job: claim it, hold it while writing, renew the lease, give it back.

`attempt` is the fencing token. Whoever writes for a job does so in a transaction that begins with `hold`, so
that a worker whose lease was given to another one cannot write another word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.jobs.life import HELD, Status, lock, move

LINE = (Job.priority.desc(), Job.queued_at, Job.id)
"""The order in which queued jobs are taken."""


class LeaseLost(Exception):  # noqa: N818 - not an error: another worker has the job
    """The attempt is over: the job has gone on to another attempt, has ended, or was deleted."""


@dataclass(frozen=True)
class Claim:
    """A worker's hold of a job: everything that it writes is conditional on both."""

    job_id: str
    attempt: int


def claim(session: Session, job_id: str, *, worker: str, lease: timedelta) -> Claim | None:
    """Take a queued job. None when there is nothing to take: a message may come late, twice, or for nothing.

    Of two workers at the same row, the second waits for the first one's commit and then finds no queued row.
    """
    job = session.execute(
        select(Job)
        .where(Job.id == job_id, Job.status == Status.QUEUED, ~Job.cancel_requested)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if job is None:
        return None
    move(session, job, Status.RUNNING, message=f"Worker {worker} took the job.", worker=worker, lease=lease)
    return Claim(job.id, job.attempt)


def claim_next(session: Session, job_id: str, *, worker: str, lease: timedelta) -> Claim | None:
    """Take the job that is next in line: the highest priority, and of equals the one that waits longest.

    A message only wakes a worker: `job_id`, which it names, is taken when every other one is somebody else's
    at this moment. None when there is nothing to take.
    """
    following = session.execute(
        select(Job.id)
        .where(Job.status == Status.QUEUED, ~Job.cancel_requested)
        .order_by(*LINE)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar_one_or_none()
    return claim(session, following or job_id, worker=worker, lease=lease)


def hold(session: Session, claimed: Claim) -> Job:
    """Lock the job's row for this transaction, as its holder. LeaseLost when the claim is no longer good."""
    job = session.execute(
        select(Job)
        .where(Job.id == claimed.job_id, Job.attempt == claimed.attempt, Job.status.in_(HELD))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if job is None:
        raise LeaseLost(f"attempt {claimed.attempt} at {claimed.job_id} is over")
    return job


def renew(session: Session, claimed: Claim, *, lease: timedelta) -> None:
    """Push the lease's end away. LeaseLost when the claim is no longer good."""
    renewed = session.execute(
        update(Job)
        .where(Job.id == claimed.job_id, Job.attempt == claimed.attempt, Job.status.in_(HELD))
        .values(lease_until=func.clock_timestamp() + lease, updated_at=Job.updated_at)
        .returning(Job.id)
    ).scalar_one_or_none()
    if renewed is None:
        raise LeaseLost(f"attempt {claimed.attempt} at {claimed.job_id} is over")


def end_leases(session: Session, worker: str) -> Sequence[str]:
    """End now the leases of the jobs that a worker held which is known to be dead; returns the jobs' ids.

    The reaper then takes the jobs at its next look. Were the worker alive after all, it would lose its
    attempt and could write no more, as with any lease that ran out.
    """
    held = select(JobAttempt.job_id).where(
        JobAttempt.job_id == Job.id, JobAttempt.attempt == Job.attempt, JobAttempt.worker == worker
    )
    ended = (
        update(Job)
        .where(Job.status.in_(HELD), held.exists())
        .values(lease_until=func.clock_timestamp(), updated_at=Job.updated_at)
        .returning(Job.id)
    )
    return session.execute(ended).scalars().all()


def wanted(session: Session, claimed: Claim) -> Status:
    """What the user wants of a job that runs: `running`, `pausing` or `cancelling`.

    Raises:
        LeaseLost: The claim is no longer good.

    """
    status = session.execute(
        select(Job.status).where(
            Job.id == claimed.job_id, Job.attempt == claimed.attempt, Job.status.in_(HELD)
        )
    ).scalar_one_or_none()
    if status is None:
        raise LeaseLost(f"attempt {claimed.attempt} at {claimed.job_id} is over")
    return Status(status)


def release(session: Session, claimed: Claim, *, message: str) -> Job:
    """Give a job back in good order (the worker shuts down): queued, and no attempt is counted as lost."""
    job = hold(session, claimed)
    if job.cancel_requested:
        return move(session, job, Status.CANCELLED, message="The job was cancelled.")
    if job.status == Status.PAUSING:
        return move(session, job, Status.PAUSED, message="The job is paused.")
    return move(session, job, Status.QUEUED, message=message, outcome="released")


def lose_attempt(session: Session, job: Job, *, code: str, message: str, hint: str) -> Job:
    """End an attempt that went wrong through no certain fault of the job.

    Cancelled or paused if that was asked for; failed if it was the last attempt allowed; else queued again,
    to go on from the last checkpoint.
    """
    job = lock(session, job.id)
    if job.cancel_requested:
        return move(session, job, Status.CANCELLED, message=f"The job was cancelled. ({message})")
    if job.status == Status.PAUSING:
        paused = f"The job is paused, and will go on from its last checkpoint. ({message})"
        return move(session, job, Status.PAUSED, message=paused, level="warning", outcome="lost")
    last = job.attempts_lost + 1 >= job.max_attempts
    error = job_error(job, code=code, message=message, hint=hint, retryable=True)
    if last:
        tried = f"{message} That was attempt {job.attempts_lost + 1} of {job.max_attempts}."
        error["message"] = tried
        return move(session, job, Status.FAILED, message=tried, level="error", error=error, outcome="lost")
    requeued = f"{message} The job is queued again and goes on from its last checkpoint."
    return move(session, job, Status.QUEUED, message=requeued, level="warning", error=error, outcome="lost")


def job_error(job: Job, *, code: str, message: str, hint: str, retryable: bool) -> dict[str, Any]:
    """The `error` of a job object, from the job as it is now."""
    error: Mapping[str, Any] = {
        "code": code,
        "message": message,
        "hint": hint,
        "phase": job.phase,
        "attempt": job.attempt,
        "retryable": retryable,
    }
    return dict(error)

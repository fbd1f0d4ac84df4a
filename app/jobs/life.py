"""The life of a job: one table of allowed moves, and the only code that writes a job's status.

    queued → running → succeeded | failed | cancelled       queued → failed (it waited too long)
    running → pausing → paused → queued     queued → paused
    running, pausing → cancelling → cancelled       queued, paused → cancelled
    running → queued                        (the worker shut down, or its lease ran out)
    failed, cancelled → queued              (tried again, from the last checkpoint)

Every move locks the row, checks the table, and writes an event, and the webhooks that tell of it, in the same
transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.accounts.quotas import add_runtime
from app.db.clock import clock_time
from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_event import JobEvent
from app.db.session import send_after_commit
from app.errors import NotFoundError
from app.state_errors import JobStateError
from app.task_names import RUN_JOB, TRAIN_QUEUE
from app.webhooks.outbox import announce_job

Level = Literal["info", "warning", "error"]
AttemptOutcome = Literal["succeeded", "failed", "cancelled", "paused", "released", "lost"]

STATUS_EVENT = "job.status"


class Status(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


MOVES: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.PAUSED, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset(
        {
            Status.QUEUED,
            Status.PAUSING,
            Status.CANCELLING,
            Status.SUCCEEDED,
            Status.FAILED,
            Status.CANCELLED,
        }
    ),
    # A run may come to its end before it hears that it is to pause.
    Status.PAUSING: frozenset({Status.PAUSED, Status.CANCELLING, Status.SUCCEEDED, Status.FAILED}),
    Status.PAUSED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.CANCELLING: frozenset({Status.CANCELLED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
}
TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
"""Nothing more happens by itself."""
UNFINISHED = frozenset(Status) - TERMINAL
"""A job that still needs what it names."""
HELD = frozenset({Status.RUNNING, Status.PAUSING, Status.CANCELLING})
"""A worker has the job, by a lease."""


def enqueue(session: Session, job: Job) -> None:
    """Add a new job, queued, with its first event, and wake a worker after the commit."""
    job.status = Status.QUEUED
    job.last_sequence = 0
    session.add(job)
    session.flush()
    queued = {"from": None, "to": Status.QUEUED.value}
    announce_job(session, job, record(session, job, STATUS_EVENT, "The job is queued.", queued))
    send_after_commit(session, RUN_JOB, job.id, queue=TRAIN_QUEUE)


def lock(session: Session, job_id: str) -> Job:
    """The job's row, locked until the transaction ends and read afresh. NotFoundError when it is gone."""
    job = session.execute(
        select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if job is None:
        raise NotFoundError.of("job", job_id)
    return job


def record(
    session: Session,
    job: Job,
    type: str,
    message: str,
    data: Mapping[str, Any] | None = None,
    *,
    level: Level = "info",
) -> JobEvent:
    """Append an event. The caller holds the row's lock: that is what makes the numbers gapless."""
    job.last_sequence += 1
    event = JobEvent(
        job_id=job.id,
        sequence=job.last_sequence,
        type=type,
        level=level,
        message=message,
        data=dict(data or {}),
    )
    session.add(event)
    session.flush()
    return event


def move(
    session: Session,
    job: Job,
    to: Status,
    *,
    message: str,
    level: Level = "info",
    error: Mapping[str, Any] | None = None,
    outcome: AttemptOutcome | None = None,
    worker: str | None = None,
    lease: timedelta | None = None,
) -> Job:
    """Move a job to another status, with everything that the move entails, and an event.

    Args:
        session: The transaction; a wake-up for a queued job leaves after its commit.
        job: The job; its row is locked and read afresh first.
        to: The new status.
        message: The event's text, for people.
        level: The event's level.
        error: Why, for `failed` (kept on the job and the attempt) or a lost attempt (kept on the attempt).
        outcome: How the attempt that this move ends, ended; by default as the status says.
        worker: Who has the job from now on; needed for `running`, with `lease`.
        lease: How long the claim lasts without a heartbeat.

    Raises:
        JobStateError: The table does not allow the move.

    """
    job = lock(session, job.id)
    before = Status(job.status)
    if to not in MOVES[before]:
        raise JobStateError(f"A job that is {before} cannot become {to}.", extra={"job_status": before.value})
    now = clock_time(session)
    if to is Status.RUNNING:
        if worker is None or lease is None:
            raise ValueError("a job is run by a worker, under a lease")
        _begin_attempt(session, job, worker, now, now + lease)
    elif to is Status.CANCELLING:
        job.cancel_requested = True
    elif to is not Status.PAUSING:
        if before in HELD:
            _end_attempt(session, job, now, outcome or _OUTCOMES[to], error)
            if to is not Status.SUCCEEDED and job.progress:
                job.progress = {**job.progress, "eta_at": None, "examples_per_second": None}
        job.lease_until = None
        job.phase = job.arm = job.seed = None
    if before in TERMINAL:
        _forget_the_end(job)
    if to is Status.QUEUED:
        job.queued_at = job.sent_at = now
        send_after_commit(session, RUN_JOB, job.id, queue=TRAIN_QUEUE)
    if to in TERMINAL:
        job.ended_at = now
    if to is Status.FAILED:
        job.error = dict(error or {})
    job.status = to
    data = {"from": before.value, "to": to.value, "attempt": job.attempt}
    told = data | ({"error": dict(error)} if error else {})
    announce_job(session, job, record(session, job, STATUS_EVENT, message, told, level=level))
    return job


_OUTCOMES: Mapping[Status, AttemptOutcome] = {
    Status.QUEUED: "lost",
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
    Status.PAUSED: "paused",
}


def _forget_the_end(job: Job) -> None:
    """A job that is tried again has all its attempts and its time before it, and keeps its checkpoints."""
    job.ended_at = job.error = job.stop_reason = None
    job.cancel_requested = False
    job.attempts_lost = 0
    job.tried_before = job.attempt


def _begin_attempt(session: Session, job: Job, worker: str, now: datetime, lease_until: datetime) -> None:
    job.attempt += 1
    job.lease_until = lease_until
    job.phase = "preparing"
    job.started_at = job.started_at or now
    session.add(
        JobAttempt(job_id=job.id, attempt=job.attempt, worker=worker, outcome="running", started_at=now)
    )


def _end_attempt(
    session: Session, job: Job, now: datetime, outcome: AttemptOutcome, error: Mapping[str, Any] | None
) -> None:
    if outcome == "lost":
        job.attempts_lost += 1
    # Nobody worked after the lease's end: that somebody died is found out when a reaper looks, which may be
    # days later if the machine was off.
    ended_at = func.greatest(JobAttempt.started_at, func.least(now, job.lease_until))
    took = session.execute(
        update(JobAttempt)
        .where(JobAttempt.job_id == job.id, JobAttempt.attempt == job.attempt)
        .values(outcome=outcome, ended_at=ended_at, error=dict(error) if error else None)
        .returning(func.extract("epoch", JobAttempt.ended_at - JobAttempt.started_at))
    ).scalar_one()
    add_runtime(session, job.project_id, float(took))

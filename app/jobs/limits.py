"""How long a job may run and wait: the service's limits, and lower ones of the job's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.models.job import Job
from app.errors import ErrorItem
from app.jobs.claims import job_error
from app.jobs.life import Status, move
from app.jobs.request_schemas import JobCreate

_LEAST_SECONDS_TO_MEASURE = 300.0
_SECONDS_TO_CONCLUDE = 300.0
_BATCH = 100


def limit_faults(body: JobCreate, settings: Settings) -> Iterator[ErrorItem]:
    """What of a new job's own limits is above the service's."""
    limits = {"max_runtime": settings.max_runtime_seconds, "max_pending": settings.max_pending_seconds}
    for name, most in limits.items():
        asked = getattr(body, name)
        if asked is not None and asked > most:
            yield ErrorItem(
                f"/{name}",
                "over_limit",
                f"this service allows at most {most} seconds",
                asked,
                f"Ask for at most {most}, or leave it out: that is the limit then.",
            )


def runtime_limits(max_runtime: int | None, settings: Settings) -> tuple[float, float, float]:
    """Seconds of running after which a job is to train no more, to attack no more, and is ended as it is.

    A share of the time is kept for measuring what was trained. That goes on for a while even past the limit,
    since a model that is trained is not thrown away for a minute; then what was measured is reported.
    """
    limit = min(max_runtime or settings.max_runtime_seconds, settings.max_runtime_seconds)
    kept = limit * settings.evaluation_share
    conclude = limit + max(kept, _LEAST_SECONDS_TO_MEASURE)
    return limit - kept, conclude, conclude + _SECONDS_TO_CONCLUDE


def fail_those_that_waited_too_long(session: Session, settings: Settings) -> Sequence[str]:
    """Fail jobs that stood in the queue for longer than they may; returns their ids."""
    most = settings.max_pending_seconds
    limit = func.least(func.coalesce(Job.max_pending, most), most)
    waited = func.extract("epoch", func.clock_timestamp() - Job.queued_at)
    late = (
        select(Job)
        .where(Job.status == Status.QUEUED, waited > limit)
        .order_by(Job.queued_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    found = session.execute(late).scalars().all()
    for job in found:
        seconds = min(job.max_pending or most, most)
        message = f"No worker took the job within the {seconds} seconds that it may wait."
        hint = "Try it again when workers are free (POST …/retry), with a higher priority or max_pending."
        error = job_error(job, code="max_pending_exceeded", message=message, hint=hint, retryable=True)
        move(session, job, Status.FAILED, message=message, level="error", error=error)
    return [job.id for job in found]

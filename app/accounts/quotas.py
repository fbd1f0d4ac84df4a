"""Quotas: asked for in the transaction that uses them, which holds the project's row if there is a limit.

So two requests that both want the last of something come one after the other, and the second is refused.
What is used a day and a month is counted as it happens: deleting jobs gives nothing back.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Double, Integer, cast, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.accounts.limits import Limits, limits_of
from app.accounts.stored import stored_bytes
from app.config import Settings
from app.db import light_work
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.dataset import Dataset
from app.db.models.evaluation import Evaluation
from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.project import Project
from app.db.models.usage_day import UsageDay
from app.limit_errors import QuotaExceeded, QuotaUsedUp

UNFINISHED = ("queued", "running", "pausing", "cancelling")
"""A paused job takes no place; resuming it asks for one."""
_SLOT_SECONDS = 30


def require_room(session: Session, settings: Settings, project_id: str, size: int) -> None:
    """Ask for so many more stored bytes. QuotaExceeded (`quota_exceeded`)."""
    _with_room(session, settings, project_id, size)


def expect_room(session: Session, settings: Settings, project_id: str, size: int) -> None:
    """Refuse before a long body is read what could not be kept; holds nothing. QuotaExceeded."""
    limit = limits_of(session.get_one(Project, project_id), settings).stored_bytes
    if limit:
        _refuse_over("stored_bytes", sum(stored_bytes(session, project_id).values()), size, limit)


def require_rows(session: Session, settings: Settings, project_id: str, rows: int) -> None:
    """Ask for so many more interactions. QuotaExceeded (`quota_exceeded`)."""
    limit = _held(session, settings, project_id).rows
    if limit:
        _refuse_over("rows", rows_used(session, project_id), rows, limit)


def submit_job(session: Session, settings: Settings, project_id: str) -> None:
    """Ask for one more job, and count it.

    Raises:
        QuotaExceeded: The project's bytes are used up, and the job could store nothing.
        QuotaUsedUp: It has as many jobs as it may have at once or a day, or its runtime is used up.

    """
    limits = _with_room(session, settings, project_id)
    now = _now(session)
    if limits.jobs_a_day:
        used = jobs_of_day(session, project_id, now)
        _wait("jobs_a_day", used, limits.jobs_a_day, _seconds_until(next_day(now), now))
    _require_turn(session, limits, project_id, now)
    _count(session, project_id, now, jobs=1)


def submit_evaluation(session: Session, settings: Settings, project_id: str) -> None:
    """Ask for one more evaluation. QuotaExceeded as of a job; QuotaUsedUp."""
    limits = _with_room(session, settings, project_id)
    if limits.evaluations_at_once:
        used = evaluations_unfinished(session, project_id)
        _wait("evaluations_at_once", used, limits.evaluations_at_once, _SLOT_SECONDS)


def submit_batch(session: Session, settings: Settings, project_id: str) -> None:
    """Ask for one more batch of recommendations. QuotaExceeded as of a job; QuotaUsedUp."""
    limits = _with_room(session, settings, project_id)
    if limits.batches_at_once:
        used = batches_unfinished(session, project_id)
        _wait("batches_at_once", used, limits.batches_at_once, _SLOT_SECONDS)


def queue_again(session: Session, settings: Settings, project_id: str) -> None:
    """Ask for the place of a job that is resumed or tried again. QuotaUsedUp."""
    _require_turn(session, _held(session, settings, project_id), project_id, _now(session))


def add_runtime(session: Session, project_id: str, seconds: float) -> None:
    """Count the time of an attempt that has ended."""
    _count(session, project_id, _now(session), runtime_seconds=max(0.0, seconds))


def rows_used(session: Session, project_id: str) -> int:
    """Interactions in the project's data sets."""
    rows = cast(Dataset.stats["interactions"].as_string(), Integer)
    statement = select(func.coalesce(func.sum(rows), 0)).where(Dataset.project_id == project_id)
    return int(session.execute(statement).scalar_one())


def jobs_unfinished(session: Session, project_id: str) -> int:
    """Jobs that are queued or that a worker has."""
    statement = select(func.count()).where(Job.project_id == project_id, Job.status.in_(UNFINISHED))
    return session.execute(statement).scalar_one()


def evaluations_unfinished(session: Session, project_id: str) -> int:
    """Evaluations that are queued or running."""
    return _unfinished(session, Evaluation, project_id)


def batches_unfinished(session: Session, project_id: str) -> int:
    """Batches of recommendations that are queued or running."""
    return _unfinished(session, BatchRecommendation, project_id)


def jobs_of_day(session: Session, project_id: str, now: datetime) -> int:
    """Jobs submitted today (UTC)."""
    statement = select(UsageDay.jobs).where(UsageDay.project_id == project_id, UsageDay.day == now.date())
    return session.execute(statement).scalar_one_or_none() or 0


def runtime_of_month(session: Session, project_id: str, now: datetime) -> float:
    """Seconds trained in this calendar month (UTC), by attempts that have ended and by those that run."""
    month = now.date().replace(day=1)
    ended = select(func.coalesce(func.sum(UsageDay.runtime_seconds), 0.0)).where(
        UsageDay.project_id == project_id, UsageDay.day >= month
    )
    running = (
        select(func.coalesce(func.sum(cast(func.extract("epoch", now - JobAttempt.started_at), Double)), 0.0))
        .join(Job, Job.id == JobAttempt.job_id)
        .where(Job.project_id == project_id, JobAttempt.ended_at.is_(None))
    )
    return float(session.execute(ended).scalar_one()) + float(session.execute(running).scalar_one())


def next_day(now: datetime) -> datetime:
    """When the jobs of the day are counted anew."""
    return datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)


def next_month(now: datetime) -> datetime:
    """When the runtime is counted anew."""
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    return (first + timedelta(days=32)).replace(day=1)


def _require_turn(session: Session, limits: Limits, project_id: str, now: datetime) -> None:
    if limits.runtime_seconds_a_month:
        runtime = int(runtime_of_month(session, project_id, now))
        seconds = _seconds_until(next_month(now), now)
        _wait("runtime_seconds_a_month", runtime, limits.runtime_seconds_a_month, seconds)
    if limits.jobs_at_once:
        _wait("jobs_at_once", jobs_unfinished(session, project_id), limits.jobs_at_once, _SLOT_SECONDS)


def _unfinished(
    session: Session, table: type[Evaluation] | type[BatchRecommendation], project_id: str
) -> int:
    unfinished = table.status.in_(light_work.UNFINISHED)
    return session.execute(
        select(func.count()).where(table.project_id == project_id, unfinished)
    ).scalar_one()


def _with_room(session: Session, settings: Settings, project_id: str, size: int = 1) -> Limits:
    """The project's limits, held, once there is room for so many more stored bytes. QuotaExceeded."""
    limits = _held(session, settings, project_id)
    if limits.stored_bytes:
        used = sum(stored_bytes(session, project_id).values())
        _refuse_over("stored_bytes", used, size, limits.stored_bytes)
    return limits


def _held(session: Session, settings: Settings, project_id: str) -> Limits:
    """The project's limits; its row is held, but not against rows that refer to it, if there is any limit."""
    limits = limits_of(session.get_one(Project, project_id), settings)
    if not any(limits.model_dump().values()):
        return limits
    held = select(Project).where(Project.id == project_id).with_for_update(key_share=True)
    return limits_of(session.execute(held.execution_options(populate_existing=True)).scalar_one(), settings)


def _count(session: Session, project_id: str, now: datetime, **more: Any) -> None:
    row = insert(UsageDay).values(project_id=project_id, day=now.date(), **more)
    added = {name: getattr(UsageDay, name) + amount for name, amount in more.items()}
    session.execute(row.on_conflict_do_update(index_elements=["project_id", "day"], set_=added))


def _refuse_over(quota: str, used: int, wanted: int, limit: int) -> None:
    if used + wanted > limit:
        raise QuotaExceeded(quota, used=used, wanted=wanted, limit=limit)


def _wait(quota: str, used: int, limit: int, seconds: int) -> None:
    if used >= limit:
        raise QuotaUsedUp(quota, used=used, limit=limit, retry_after_seconds=seconds)


def _seconds_until(then: datetime, now: datetime) -> int:
    return int((then - now).total_seconds()) + 1


def _now(session: Session) -> datetime:
    return session.execute(select(func.now())).scalar_one().astimezone(UTC)

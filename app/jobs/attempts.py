"""What is known of a job's attempts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.jobs.claims import Claim, hold


def seconds_used(session: Session, job_id: str) -> float:
    """Seconds that the attempts which have ended took together, since the last retry."""
    took = func.extract("epoch", JobAttempt.ended_at - JobAttempt.started_at)
    counted = select(Job.tried_before).where(Job.id == job_id).scalar_subquery()
    total = session.execute(
        select(func.sum(took)).where(JobAttempt.job_id == job_id, JobAttempt.attempt > counted)
    ).scalar_one()
    return float(total or 0.0)


def note_environment(session: Session, claimed: Claim, environment: dict[str, Any]) -> None:
    """Keep what the training process found: device, threads, versions."""
    hold(session, claimed)
    session.execute(
        update(JobAttempt)
        .where(JobAttempt.job_id == claimed.job_id, JobAttempt.attempt == claimed.attempt)
        .values(environment=environment)
    )

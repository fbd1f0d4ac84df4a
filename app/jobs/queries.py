"""Reads of jobs and of what belongs to them; what a client asks for is limited to its project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app.db.ids import first_id
from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.job_file import JobFile
from app.db.models.job_metric import JobMetric
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.db.session import Reader
from app.pagination import Page, paginate

_CLOCKS_APART = 3600.0


@dataclass(frozen=True)
class Wanted:
    """Which jobs a list shows: those that fit all that is given. A label's None stands for any value."""

    status: str | None = None
    dataset_id: str | None = None
    model: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    labels: Sequence[tuple[str, str | None]] = ()


@dataclass(frozen=True)
class Standing:
    """Where a job stands: every change of its row moves at least one of these."""

    status: str
    last_sequence: int
    updated_at: datetime


def standing(reader: Reader, job_id: str, project_id: str | None = None) -> Standing | None:
    """Where the job stands, if it is there (and the project's)."""
    statement = select(Job.status, Job.last_sequence, Job.updated_at).where(Job.id == job_id)
    if project_id is not None:
        statement = statement.where(Job.project_id == project_id)
    row = reader.execute(statement).one_or_none()
    return None if row is None else Standing(*row)


def find(session: Session, project_id: str, job_id: str) -> Job | None:
    """The job, if it is the project's."""
    statement = select(Job).where(Job.id == job_id, Job.project_id == project_id)
    return session.execute(statement).scalar_one_or_none()


def page_of(
    session: Session,
    project_id: str,
    page: Page,
    wanted: Wanted,
) -> tuple[Sequence[Job], bool]:
    """One page of the project's jobs, newest first, and whether there are more."""
    statement = select(Job).where(Job.project_id == project_id)
    if wanted.status is not None:
        statement = statement.where(Job.status == wanted.status)
    if wanted.dataset_id is not None:
        statement = statement.where(Job.dataset_facts["id"].astext == wanted.dataset_id)
    if wanted.model is not None:
        statement = statement.where(Job.spec["model"].astext == wanted.model)
    # The ids' times let the index skip; the clocks that made them may differ a little from the database's.
    if wanted.created_after is not None:
        least = first_id(Job.id_prefix, wanted.created_after.timestamp() - _CLOCKS_APART)
        statement = statement.where(Job.created_at > wanted.created_after, Job.id >= least)
    if wanted.created_before is not None:
        least = first_id(Job.id_prefix, wanted.created_before.timestamp() + _CLOCKS_APART)
        statement = statement.where(Job.created_at < wanted.created_before, Job.id < least)
    for key, value in wanted.labels:
        holds = Job.labels.has_key(key) if value is None else Job.labels.contains({key: value})
        statement = statement.where(holds)
    return paginate(session, statement, Job.id, page)


def event_sequence(session: Session, job_id: str, event_id: str) -> int | None:
    """Sequence number of one of the job's events."""
    return session.execute(
        select(JobEvent.sequence).where(JobEvent.job_id == job_id, JobEvent.id == event_id)
    ).scalar_one_or_none()


def events_after(session: Session, job_id: str, sequence: int, limit: int) -> tuple[list[JobEvent], bool]:
    """The job's events that follow number `sequence`, oldest first, and whether there are more."""
    statement = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.sequence > sequence)
    rows = list(session.execute(statement.order_by(JobEvent.sequence).limit(limit + 1)).scalars())
    return rows[:limit], len(rows) > limit


def metric_position(session: Session, job_id: str, key: tuple[int, str, int]) -> int | None:
    """Position of the row of one (seed, arm, epoch)."""
    return session.execute(
        select(JobMetric.position).where(
            JobMetric.job_id == job_id, tuple_(JobMetric.seed, JobMetric.arm, JobMetric.epoch) == key
        )
    ).scalar_one_or_none()


def metrics_after(session: Session, job_id: str, position: int, limit: int) -> tuple[list[JobMetric], bool]:
    """The job's epochs in the order in which they ended, and whether there are more."""
    statement = select(JobMetric).where(JobMetric.job_id == job_id, JobMetric.position > position)
    rows = list(session.execute(statement.order_by(JobMetric.position).limit(limit + 1)).scalars())
    return rows[:limit], len(rows) > limit


def checkpoints_page(session: Session, job_id: str, page: Page) -> tuple[Sequence[Checkpoint], bool]:
    """One page of the job's checkpoints, newest first, and whether there are more."""
    return paginate(session, select(Checkpoint).where(Checkpoint.job_id == job_id), Checkpoint.id, page)


def find_checkpoint(session: Session, project_id: str, checkpoint_id: str) -> Checkpoint | None:
    """The checkpoint, if its job is the project's."""
    return session.execute(
        select(Checkpoint)
        .join(Job, Job.id == Checkpoint.job_id)
        .where(Checkpoint.id == checkpoint_id, Job.project_id == project_id)
    ).scalar_one_or_none()


def checkpoint_blobs(session: Session, job_id: str) -> Sequence[str]:
    """Blobs of the job's checkpoints."""
    return session.execute(select(Checkpoint.blob_id).where(Checkpoint.job_id == job_id)).scalars().all()


def document_blobs(session: Session, job_id: str) -> Sequence[str]:
    """Blobs of the job's report, manifest and figures."""
    return session.execute(select(JobFile.blob_id).where(JobFile.job_id == job_id)).scalars().all()


def model_blobs(session: Session, job_id: str) -> Sequence[str]:
    """Blobs of the files of the job's models."""
    statement = select(ModelFile.blob_id).join(Model, Model.id == ModelFile.model_id)
    return session.execute(statement.where(Model.job_id == job_id)).scalars().all()

"""Reads of the data set table; every one of them is limited to a project."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.pagination import Page, paginate

_UNFINISHED = ("queued", "running", "pausing", "paused", "cancelling")


def find(session: Session, project_id: str, dataset_id: str, *, lock: bool = False) -> Dataset | None:
    """The data set, if it is the project's; with `lock`, held against every other writer."""
    statement = select(Dataset).where(Dataset.id == dataset_id, Dataset.project_id == project_id)
    return session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()


def page_of(session: Session, project_id: str, page: Page) -> tuple[Sequence[Dataset], bool]:
    """One page of the project's data sets, newest first, and whether there are more."""
    return paginate(session, select(Dataset).where(Dataset.project_id == project_id), Dataset.id, page)


def unfinished_jobs(session: Session, dataset_id: str) -> Sequence[str]:
    """Ids of the jobs that still need the data set."""
    statement = select(Job.id).where(Job.dataset_id == dataset_id, Job.status.in_(_UNFINISHED))
    return session.execute(statement.order_by(Job.id)).scalars().all()

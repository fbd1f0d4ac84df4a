"""Reads of the data set table; every one of them is limited to a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.datasets.version_schemas import UsedBy
from app.db import light_work
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.dataset import Dataset
from app.db.models.evaluation import Evaluation
from app.db.models.job import Job
from app.db.models.model import Model
from app.jobs import life
from app.pagination import Page, paginate

USERS_NAMED = 20
"""How many of those that use a data set are named; all are counted."""


def find(session: Session, project_id: str, dataset_id: str, *, lock: bool = False) -> Dataset | None:
    """The data set, if it is the project's; with `lock`, held against every other writer."""
    statement = select(Dataset).where(Dataset.id == dataset_id, Dataset.project_id == project_id)
    return session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()


def find_held(session: Session, project_id: str, dataset_id: str) -> Dataset | None:
    """The data set, if it is the project's, held against its deletion until the transaction ends."""
    statement = select(Dataset).where(Dataset.id == dataset_id, Dataset.project_id == project_id)
    return session.execute(statement.with_for_update(read=True)).scalar_one_or_none()


def page_of(session: Session, project_id: str, page: Page) -> tuple[Sequence[Dataset], bool]:
    """One page of the project's data sets, newest first, and whether there are more."""
    return paginate(session, select(Dataset).where(Dataset.project_id == project_id), Dataset.id, page)


def unfinished_jobs(session: Session, dataset_id: str) -> Sequence[str]:
    """Ids of the jobs that still need the data set."""
    statement = select(Job.id).where(Job.dataset_id == dataset_id, Job.status.in_(life.UNFINISHED))
    return session.execute(statement.order_by(Job.id)).scalars().all()


def users_of(session: Session, dataset_id: str) -> Sequence[str]:
    """Ids of the jobs, data sets to be made of it, batches and evaluations that still need the data set."""
    waiting = select(Dataset.id).where(
        Dataset.lineage["parent"].astext == dataset_id, Dataset.status == "validating"
    )
    users = [*unfinished_jobs(session, dataset_id), *session.execute(waiting.order_by(Dataset.id)).scalars()]
    for table in (BatchRecommendation, Evaluation):
        statement = select(table.id).where(
            table.dataset_id == dataset_id, table.status.in_(light_work.UNFINISHED)
        )
        users += session.execute(statement.order_by(table.id)).scalars()
    return users


def used_by(session: Session, datasets: Sequence[Dataset]) -> Mapping[str, UsedBy]:
    """What was trained on each of these data sets, measured on it and made of it, by data set id."""
    ids = [dataset.id for dataset in datasets]
    found = {dataset_id: UsedBy() for dataset_id in ids}
    parent: ColumnElement[str] = Dataset.lineage["parent"].astext
    users: tuple[tuple[Any, ColumnElement[Any], str, str], ...] = (
        (Job.id, Job.dataset_id.expression, "jobs", "job_ids"),
        (Model.id, Model.dataset_id.expression, "models", "model_ids"),
        (Dataset.id, parent, "datasets", "dataset_ids"),
        (Evaluation.id, Evaluation.dataset_id.expression, "evaluations", "evaluation_ids"),
        (BatchRecommendation.id, BatchRecommendation.dataset_id.expression, "batches", "batch_ids"),
    )
    for user, of, counted, named in users:
        newest = func.array_agg(aggregate_order_by(user, user.desc()))
        statement = select(of, func.count(), newest).where(of.in_(ids)).group_by(of)
        for dataset_id, count, names in session.execute(statement):
            setattr(found[dataset_id], counted, count)
            setattr(found[dataset_id], named, names[:USERS_NAMED])
    return found

"""What a job object shows beside the job's row: attempts, moves, models and its place in the line.

Jobs are polled more than anything else is asked for. So the statements are made once, each gathers everything
in one query, and a single job is read as columns, without an object of its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Row, bindparam, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_event import JobEvent
from app.db.models.model import Model
from app.db.session import Reader
from app.jobs.life import STATUS_EVENT, Status
from app.jobs.line import Waiting, line_of

Columns = Row[*tuple[Any, ...]]
"""The columns of a job's row, by name."""


@dataclass
class Surroundings:
    """What a job object shows beside the row; attempts and moves as JSON objects, oldest first."""

    attempts: list[dict[str, Any]]
    moves: list[dict[str, Any]]
    models: list[str]
    waiting: Waiting | None


def _gathered(
    item: ColumnElement[Any], order: ColumnElement[Any], *conditions: ColumnElement[bool]
) -> ColumnElement[Any]:
    """A column of a query of jobs: a JSON array of the items that meet the conditions, in that order."""
    array = func.json_agg(aggregate_order_by(item, order), type_=JSON)
    found = select(func.coalesce(array, literal_column("'[]'::json"), type_=JSON)).where(*conditions)
    return found.correlate(Job).scalar_subquery()


def _object(fields: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
    """A JSON object; the names are this module's own and go into the statement as they are."""
    parts: list[ColumnElement[Any]] = []
    for name, column in fields.items():
        parts += [literal_column(f"'{name}'"), column]
    return func.json_build_object(*parts)


_attempts, _events, _models = (table.__table__.c for table in (JobAttempt, JobEvent, Model))
_ATTEMPT = {column.name: column for column in _attempts if column.name != "job_id"}
_MOVE = {"status": _events.data["to"], "at": _events.created_at, "message": _events.message}
_BESIDE = (
    _gathered(_object(_ATTEMPT), _attempts.attempt, _attempts.job_id == Job.id).label("attempts"),
    _gathered(_object(_MOVE), _events.sequence, _events.job_id == Job.id, _events.type == STATUS_EVENT).label(
        "moves"
    ),
    _gathered(_models.id, _models.id, _models.job_id == Job.id).label("models"),
)
_LONG = {"report", "report_markdown"}
_COLUMNS: list[ColumnElement[Any]] = [column for column in Job.__table__.c if column.name not in _LONG]
_ONE = select(*_COLUMNS, *_BESIDE).where(Job.id == bindparam("id"), Job.project_id == bindparam("project_id"))
_SOME = select(Job.id, *_BESIDE).where(Job.id.in_(bindparam("ids", expanding=True)))


def find_with_surroundings(
    reader: Reader, project_id: str, job_id: str
) -> tuple[Columns, Surroundings] | None:
    """The columns of a job, if it is the project's, and what is beside them."""
    row = reader.execute(_ONE, {"id": job_id, "project_id": project_id}).one_or_none()
    return None if row is None else (row, _of(row, _line_of(reader, [row])))


def surroundings_of(session: Session, jobs: Sequence[Job]) -> Mapping[str, Surroundings]:
    """What the objects of these jobs show beside their rows, in one query, or two if some are queued."""
    line = _line_of(session, jobs)
    rows = session.execute(_SOME, {"ids": [job.id for job in jobs]})
    return {row.id: _of(row, line) for row in rows}


def _of(row: Columns, line: Mapping[str, Waiting]) -> Surroundings:
    return Surroundings(row.attempts, row.moves, row.models, line.get(row.id))


def _line_of(reader: Reader, jobs: Sequence[Job | Columns]) -> Mapping[str, Waiting]:
    return line_of(reader, [job.id for job in jobs if job.status == Status.QUEUED])

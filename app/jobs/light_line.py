"""Where light work stands that waits, and why: of batches of recommendations and of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, Field
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.db.base import Base
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.dataset import Dataset
from app.db.models.evaluation import Evaluation
from app.db.models.probe import Probe
from app.jobs.line import why_waiting
from app.jobs.workers import count_alive
from app.task_names import LIGHT_QUEUE, MEASURE_QUEUE

RowT = TypeVar("RowT", BatchRecommendation, Evaluation)


class LightQueue(BaseModel):
    """The place of what waits among its like, 1 being next, and the reason, in words and as a code."""

    position: int
    reason: str
    code: str = Field(description="no_worker_alive, could_not_begin, waiting_for_worker or starting")


_BUSY: Mapping[type[Base], tuple[Select[int], ...]] = {
    BatchRecommendation: (
        select(func.count()).where(BatchRecommendation.status == "running"),
        select(func.count()).where(Dataset.status == "validating", Dataset.lease_until.is_not(None)),
    ),
    Evaluation: (
        select(func.count()).where(Evaluation.status == "running"),
        select(func.count()).where(Probe.status == "running"),
    ),
}
"""How many workers have something of what the same queue serves."""
NOT_WAITING: Mapping[str, LightQueue] = {}


def light_line(session: Session, rows: Sequence[RowT]) -> Mapping[str, LightQueue]:
    """Those of the rows that wait, by id."""
    queued = [row for row in rows if row.status == "queued"]
    if not queued:
        return {}
    table = type(queued[0])
    workers = count_alive(session, MEASURE_QUEUE if table is Evaluation else LIGHT_QUEUE)
    busy = sum(session.scalars(count).one() for count in _BUSY[table])
    line = (
        select(table.id, func.row_number().over(order_by=table.id).label("position"))
        .where(table.status == "queued")
        .subquery()
    )
    places = session.execute(select(line).where(line.c.id.in_([row.id for row in queued])))
    take_errors = {row.id: row.take_error for row in queued}
    found: dict[str, LightQueue] = {}
    for row_id, position in places:
        reason, code = why_waiting(position, workers, workers - busy, take_errors[row_id])
        found[row_id] = LightQueue(position=position, reason=reason, code=code)
    return found

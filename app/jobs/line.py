"""The line of queued jobs: who is where in it, and why they wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from app.db.models.job import Job
from app.db.session import Reader
from app.jobs.claims import LINE
from app.jobs.life import HELD, Status
from app.jobs.workers import counted_alive
from app.task_names import TRAIN_QUEUE


@dataclass(frozen=True)
class Waiting:
    """A queued job's place, 1 being next, and the reason why it is not running, in words and as a code."""

    position: int
    reason: str
    code: str


def line_of(reader: Reader, job_ids: Sequence[str]) -> Mapping[str, Waiting]:
    """Where these queued jobs stand among those of all projects, in the order in which they are taken."""
    if not job_ids:
        return {}
    busy = select(func.count()).where(Job.status.in_(HELD), Job.lease_until > func.clock_timestamp())
    line = (
        select(Job.id, func.row_number().over(order_by=LINE).label("position"))
        .where(Job.status == Status.QUEUED)
        .subquery()
    )
    alive = counted_alive(TRAIN_QUEUE).scalar_subquery()
    places = select(line, alive, busy.scalar_subquery()).where(line.c.id.in_(job_ids))
    return {
        job_id: Waiting(place, *why_waiting(place, workers, workers - held))
        for job_id, place, workers, held in reader.execute(places)
    }


def why_waiting(position: int, workers: int, idle: int, take_error: str | None = None) -> tuple[str, str]:
    """Why what stands at `position` of a line is not running, in words and as a code.

    take_error: what kept the last worker that heard of it from beginning.
    """
    if not workers:
        return "no worker is alive", "no_worker_alive"
    if take_error:
        return f"a worker could not begin it ({take_error}); it is tried again", "could_not_begin"
    if position <= idle:
        return "a worker is about to take it", "starting"
    busy = "the worker is" if workers == 1 else f"all {workers} workers are"
    return f"waiting for a free worker ({busy} busy)", "waiting_for_worker"

"""Which workers are alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Select, delete, exists, func, select
from sqlalchemy.orm import Session

from app.db.models.worker import Worker

SEEN_EVERY_SECONDS = 5.0
ALIVE_SECONDS = 20.0
_FORGOTTEN = timedelta(hours=1)

_alive = Worker.seen_at > func.clock_timestamp() - timedelta(seconds=ALIVE_SECONDS)


def alive(session: Session) -> Sequence[Worker]:
    """The workers that were seen lately."""
    return session.execute(select(Worker).where(_alive).order_by(Worker.id)).scalars().all()


def any_alive(session: Session, queue: str) -> bool:
    """Whether anybody serves that queue."""
    return bool(session.execute(select(exists().where(Worker.queue == queue, _alive))).scalar_one())


def counted_alive(queue: str) -> Select[int]:
    """The query of how many workers serve that queue."""
    return select(func.count()).where(Worker.queue == queue, _alive)


def count_alive(session: Session, queue: str) -> int:
    """How many workers serve that queue."""
    return session.execute(counted_alive(queue)).scalar_one()


def forget_gone(session: Session) -> None:
    """Remove the rows of workers that were not seen for an hour."""
    session.execute(delete(Worker).where(Worker.seen_at < func.clock_timestamp() - _FORGOTTEN))

"""What tables of work beside training share: its life, and the query for what nobody works at.

As with jobs, the row is the truth and a message only a wake-up; `attempts` is the fencing token of the worker
that has the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.db.base import CreatedAt
from app.db.wake_ups import AT_ONCE, is_overdue

UNFINISHED = frozenset({"queued", "running"})
"""Statuses of what still needs the rows that it names."""


class LightWork(CreatedAt):
    """The columns of a row that a light or a measuring worker claims."""

    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")
    attempts_lost: Mapped[int] = mapped_column(server_default="0")
    takes: Mapped[int] = mapped_column(server_default="0")
    """How often a worker heard its wake-up since the last claim, and has not come to claim it."""
    take_error: Mapped[str | None]
    """Why the last of them did not, if it could say so."""
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When a wake-up was last sent; the reaper sends another when it is old."""
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


LightWorkT = TypeVar("LightWorkT", bound=LightWork)


def abandoned(
    session: Session, table: type[LightWorkT], *, now: datetime, resend_after_seconds: float
) -> Sequence[LightWorkT]:
    """Lock and return the rows that nobody works at, oldest first; those that another has locked are skipped.

    Their worker vanished (the lease is over at `now`), or their wake-up may have got lost.
    """
    overdue = is_overdue(
        sent_at=table.sent_at,
        waits_since=table.created_at,
        resend_after_seconds=resend_after_seconds,
    )
    nobodys = or_(
        (table.status == "running") & (table.lease_until < now), (table.status == "queued") & overdue
    )
    statement = select(table).where(nobodys).order_by(table.created_at).limit(AT_ONCE)
    return session.execute(statement.with_for_update(skip_locked=True)).scalars().all()


def take(session: Session, table: type[LightWorkT], row_id: str) -> None:
    """Count that a worker has heard the wake-up of a row that waits, before anything can go wrong with it."""
    _change_queued(session, table, row_id, takes=table.takes + 1)


def note_take_error(session: Session, table: type[LightWorkT], row_id: str, error: str) -> None:
    """Say why a row that still waits could not be claimed."""
    _change_queued(session, table, row_id, take_error=error)


def error_of_takes(row: LightWork, limit: int) -> dict[str, Any] | None:
    """Why a row that waits has failed: so many workers in turn heard of it and could not begin. Else None."""
    if row.takes < limit:
        return None
    why = row.take_error or "the worker ended, or lost the database, before it said why"
    return {
        "code": "worker_cannot_begin",
        "message": f"A worker took it {row.takes} times and could not begin: {why}",
        "hint": "The worker's log says more; mostly its installation is damaged, or of another version.",
    }


def _change_queued(session: Session, table: type[LightWorkT], row_id: str, **values: Any) -> None:
    queued = update(table).where(table.id == row_id, table.status == "queued")  # type: ignore[attr-defined]
    session.execute(queued.values(**values))

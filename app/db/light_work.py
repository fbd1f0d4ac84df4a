"""What tables of work beside training share: its life, and the query for what nobody works at.

As with jobs, the row is the truth and a message only a wake-up; `attempts` is the fencing token of the worker
that has the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.db.base import CreatedAt
from app.db.takes import Taken
from app.db.wake_ups import AT_ONCE, is_overdue

UNFINISHED = frozenset({"queued", "running"})
"""Statuses of what still needs the rows that it names."""


class LightWork(Taken, CreatedAt):
    """The columns of a row that a light or a measuring worker claims."""

    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")
    attempts_lost: Mapped[int] = mapped_column(server_default="0")
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

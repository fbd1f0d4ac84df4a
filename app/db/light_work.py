"""What tables of work for the light queue share: its life, and the query for what nobody works at.

As with jobs, the row is the truth and a message only a wake-up; `attempts` is the fencing token of the worker
that has the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column


class LightWork:
    """The columns of a row that a light worker claims."""

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
    session: Session, table: type[LightWorkT], *, now: datetime, sent_before: datetime
) -> Sequence[LightWorkT]:
    """Lock and return the rows that nobody works at; those that another has locked are skipped.

    Their worker vanished (the lease is over at `now`), or their wake-up, sent before `sent_before`, got lost.
    """
    statement = select(table).where(
        or_(
            (table.status == "running") & (table.lease_until < now),
            (table.status == "queued") & (table.sent_at < sent_before),
        )
    )
    return session.execute(statement.with_for_update(skip_locked=True)).scalars().all()

"""How often workers took up what waits and could not begin it: counted, so that it does not wait for ever."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Mapped, Session, mapped_column

_WAITING = ("queued", "validating")


class Taken:
    """The columns of a row that light and measuring workers hear of and then claim."""

    id: Mapped[str]
    status: Mapped[str]
    lease_until: Mapped[datetime | None]
    takes: Mapped[int] = mapped_column(server_default="0")
    """How often a worker heard its wake-up since the last claim, and has not come to claim it."""
    take_error: Mapped[str | None]
    """Why the last of them did not, if it could say so."""


def take(session: Session, table: type[Taken], row_id: str) -> None:
    """Count that a worker has heard the wake-up of a row that waits, before anything can go wrong with it."""
    _change_waiting(session, table, row_id, takes=table.takes + 1)


def note_take_error(session: Session, table: type[Taken], row_id: str, error: str) -> None:
    """Say why a row that still waits could not be claimed."""
    _change_waiting(session, table, row_id, take_error=error)


def error_of_takes(row: Taken, limit: int) -> dict[str, Any] | None:
    """Why a row that waits has failed: so many workers in turn heard of it and could not begin. Else None."""
    if row.takes < limit:
        return None
    why = row.take_error or "the worker ended, or lost the database, before it said why"
    return {
        "code": "worker_cannot_begin",
        "message": f"A worker took it {row.takes} times and could not begin: {why}",
        "hint": "The worker's log says more; mostly its installation is damaged, or of another version.",
    }


def _change_waiting(session: Session, table: type[Taken], row_id: str, **values: Any) -> None:
    waiting = update(table).where(table.id == row_id, table.status.in_(_WAITING), table.lease_until.is_(None))
    session.execute(waiting.values(**values))

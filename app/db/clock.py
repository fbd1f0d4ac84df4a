"""The database's clock, which all processes share."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def clock_time(session: Session) -> datetime:
    """The time at this moment (`now()` is the start of the transaction)."""
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now

"""What a training process said, line by line, kept after its worker is gone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class JobLog(Base):
    """Line `number` (from 1, without gaps) of an attempt; the oldest go when there are too many."""

    __tablename__ = "job_logs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    level: Mapped[str | None]
    """None for a line that no logger wrote."""
    text: Mapped[str]

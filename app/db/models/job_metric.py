"""One row for each finished epoch of each arm and seed of a job."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class JobMetric(Base):
    """An epoch's losses (means over targets) and validation metrics; a resumed epoch replaces its row.

    The columns hold what an uninterrupted run would hold, except `position`, `seconds` and `attempt`.
    """

    __tablename__ = "job_metrics"
    __table_args__ = (Index(None, "job_id", "position"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seed: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    arm: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """Grows with every new row: the order in which epochs ended, kept when a row is replaced."""
    attempt: Mapped[int]
    loss: Mapped[float]
    loss_match: Mapped[float | None]
    loss_history: Mapped[float | None]
    validation: Mapped[dict[str, Any] | None]
    seconds: Mapped[float]

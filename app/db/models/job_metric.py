"""One row for each finished epoch of each arm and seed of a job."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class JobMetric(Base):
    """An epoch's losses (means over targets) and validation metrics; a resumed epoch replaces its row.

    The columns hold what an uninterrupted run would hold, except `seconds` and `attempt`.
    """

    __tablename__ = "job_metrics"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seed: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    arm: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    loss: Mapped[float]
    loss_match: Mapped[float | None]
    loss_history: Mapped[float | None]
    validation: Mapped[dict[str, Any] | None]
    seconds: Mapped[float]

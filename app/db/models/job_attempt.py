"""The attempts at a job: which worker had it, from when to when, and how that ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class JobAttempt(Base):
    """Attempt number `attempt` (from 1). `released`: the worker shut down in order; `lost`: it vanished."""

    __tablename__ = "job_attempts"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('running', 'succeeded', 'failed', 'cancelled', 'paused', 'released', 'lost')",
            name="outcome",
        ),
        CheckConstraint("(outcome = 'running') = (ended_at IS NULL)", name="ended"),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str]
    outcome: Mapped[str]
    error: Mapped[dict[str, Any] | None]
    environment: Mapped[dict[str, Any] | None]
    """Device, threads and versions, as the training process found them."""
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

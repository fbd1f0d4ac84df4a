"""What happened to a job, append-only: polling, streams and webhooks all read this one table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, PrefixedId


class JobEvent(PrefixedId, Base):
    """Event number `sequence` (from 1, without gaps) of a job."""

    __tablename__ = "job_events"
    __table_args__ = (
        UniqueConstraint("job_id", "sequence"),
        CheckConstraint("sequence > 0", name="sequence"),
        CheckConstraint("level IN ('info', 'warning', 'error')", name="level"),
    )
    id_prefix = "evt"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    sequence: Mapped[int]
    type: Mapped[str]
    level: Mapped[str]
    message: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

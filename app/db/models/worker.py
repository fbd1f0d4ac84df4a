"""Worker processes that have shown themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class Worker(Base):
    """One worker process on one of its queues: `id` is node name/queue. Alive while `seen_at` is recent."""

    __tablename__ = "workers"
    __table_args__ = (
        CheckConstraint("queue IN ('light', 'measure', 'train')", name="queue"),
        Index(None, "seen_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    device: Mapped[str | None]
    versions: Mapped[dict[str, Any]]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())

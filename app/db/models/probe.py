"""Probes: what a few steps of a job cost on a worker, measured for an estimate and kept for the next one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class Probe(PrefixedId, CreatedAt, Base):
    """One probe. It is tried once: what fails is told to who waits, who falls back on other knowledge."""

    __tablename__ = "probes"
    __table_args__ = (
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
        CheckConstraint("(status IN ('succeeded', 'failed')) = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(status = 'succeeded') = (result IS NOT NULL)", name="succeeded_has_result"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        Index(None, "dataset_id"),
        Index(None, "project_id", "key", "created_at"),
    )
    id_prefix = "probe"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(64))
    """Digest of what a step's cost depends on: the data, and the settings that shape a step or a ranking."""
    spec: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(server_default="queued")
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]

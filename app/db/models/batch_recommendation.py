"""Recommendations for every user of a data set, computed by a light worker."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, PrefixedId
from app.db.light_work import LightWork


class BatchRecommendation(PrefixedId, LightWork, Base):
    """One batch. Claimed as jobs are: `attempts` is the fencing token of the worker that has it."""

    __tablename__ = "batch_recommendations"
    __table_args__ = (
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease_while_running"),
        CheckConstraint("(status IN ('succeeded', 'failed')) = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(status = 'succeeded') = (blob_id IS NOT NULL)", name="succeeded_has_content"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        Index(None, "project_id", "id"),
        Index(None, "model_id"),
        Index(None, "dataset_id"),
        Index(None, "blob_id"),
        Index(
            "ix_batch_recommendations_unfinished",
            "sent_at",
            postgresql_where="status IN ('queued', 'running')",
        ),
    )
    id_prefix = "rec"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"))
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    dataset_facts: Mapped[dict[str, Any]]
    """id, name and sha256 of the data set; outlives it."""
    options: Mapped[dict[str, Any]]
    """k, exclude_seen."""
    stats: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    blob_id: Mapped[str | None] = mapped_column(ForeignKey("blobs.id"))
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    users_done: Mapped[int] = mapped_column(server_default="0")

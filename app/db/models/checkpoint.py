"""Checkpoints of running jobs."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class Checkpoint(PrefixedId, CreatedAt, Base):
    """One stored state of a run. Of one (kind, seed, arm), the newest is the greatest (attempt, step, id)."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        CheckConstraint("kind IN ('warmup', 'progress', 'best')", name="kind"),
        Index(None, "job_id", "kind", "seed", "arm"),
        Index(None, "blob_id"),
    )
    id_prefix = "ckpt"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    kind: Mapped[str]
    seed: Mapped[int]
    arm: Mapped[str]
    epoch: Mapped[int]
    step: Mapped[int] = mapped_column(BigInteger)
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]

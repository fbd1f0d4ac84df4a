"""Training jobs. The row is the truth; a Celery message is only a wake-up."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class Job(PrefixedId, CreatedAt, Base):
    """One training job. Only `app.jobs.life.move` (and the claim) writes `status`.

    `attempt` is the fencing token: it grows by one at every claim, and whoever writes for a job holds the row
    by (id, attempt). `attempts_lost` counts the attempts that ended badly, and is what `max_attempts` limits:
    a worker that shuts down in good order gives a job back without that.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'running', 'pausing', 'paused', 'cancelling',"
            " 'succeeded', 'failed', 'cancelled')",
            name="status",
        ),
        CheckConstraint(
            "(status IN ('running', 'pausing', 'cancelling')) = (lease_until IS NOT NULL)",
            name="lease_while_running",
        ),
        CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)", name="ended"
        ),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        CheckConstraint("status <> 'succeeded' OR report IS NOT NULL", name="succeeded_has_report"),
        CheckConstraint("priority BETWEEN -10 AND 10", name="priority"),
        CheckConstraint("max_runtime > 0", name="max_runtime"),
        CheckConstraint("max_pending > 0", name="max_pending"),
        Index(None, "project_id", "id"),
        Index(None, "dataset_id"),
        Index("ix_jobs_of_status", "project_id", "status", "id"),
        Index("ix_jobs_of_dataset", "project_id", text("(dataset_facts ->> 'id')"), "id"),
        Index("ix_jobs_labels", "labels", postgresql_using="gin"),
        # in the order in which workers take them
        Index(
            "ix_jobs_queued",
            text("priority DESC"),
            "queued_at",
            "id",
            postgresql_where="status = 'queued'",
        ),
        Index(
            "ix_jobs_leased", "lease_until", postgresql_where="status IN ('running', 'pausing', 'cancelling')"
        ),
    )
    id_prefix = "job"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str | None]
    labels: Mapped[dict[str, Any]]
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    dataset_facts: Mapped[dict[str, Any]]
    """id, name, sha256 and stats of the data set as trained on; outlives it."""
    spec: Mapped[dict[str, Any]]
    priority: Mapped[int] = mapped_column(server_default="0")
    """-10 to 10; the highest is taken first, and of equals the one that waits longest."""
    max_runtime: Mapped[int | None]
    """Seconds of all attempts together; then the job ends with the best that it has."""
    max_pending: Mapped[int | None]
    """Seconds that it may wait in the queue; then it fails."""
    estimate: Mapped[dict[str, Any] | None]
    """What it was expected to take when it was submitted, and in the end what it took."""

    status: Mapped[str]
    phase: Mapped[str | None]
    arm: Mapped[str | None]
    seed: Mapped[int | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    attempt: Mapped[int] = mapped_column(server_default="0")
    attempts_lost: Mapped[int] = mapped_column(server_default="0")
    tried_before: Mapped[int] = mapped_column(server_default="0")
    """Attempts made before the user's last retry; their time and their losses count no more."""
    max_attempts: Mapped[int]
    lease_until: Mapped[datetime | None]
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When a wake-up was last sent; the reaper sends another when it is old."""
    last_sequence: Mapped[int] = mapped_column(server_default="0")
    """Sequence number of the job's newest event; counted under the row's lock, so that there are no gaps."""

    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    report: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    report_markdown: Mapped[str | None] = mapped_column(Text, deferred=True)
    stop_reason: Mapped[str | None]

    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

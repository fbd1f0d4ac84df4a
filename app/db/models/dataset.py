"""Data sets: an uploaded file, or what was made of another data set, what was found, the interactions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    func,
    literal_column,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId
from app.db.takes import Taken


class Dataset(PrefixedId, CreatedAt, Taken, Base):
    """A data set. `validating` until the light worker has read it, then `ready` or `rejected`, for good."""

    __tablename__ = "datasets"
    __table_args__ = (
        CheckConstraint("status IN ('validating', 'ready', 'rejected')", name="status"),
        CheckConstraint("status <> 'ready' OR canonical_blob IS NOT NULL", name="ready_has_interactions"),
        CheckConstraint("(status = 'validating') = (validated_at IS NULL)", name="validated"),
        CheckConstraint("version > 0", name="version"),
        CheckConstraint(
            "original_blob IS NOT NULL OR (lineage IS NOT NULL AND status <> 'ready')", name="has_original"
        ),
        CheckConstraint("to_forget IS NULL OR status = 'validating'", name="forgets_once"),
        UniqueConstraint("project_id", "name", "version"),
        Index(None, "project_id", "id"),
        Index(None, "project_id", "content_sha256"),
        Index("ix_datasets_parent", literal_column("(lineage ->> 'parent')")),
        Index(None, "original_blob"),
        Index(None, "canonical_blob"),
        Index("ix_datasets_validating", "sent_at", postgresql_where="status = 'validating'"),
    )
    id_prefix = "ds"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    status: Mapped[str]
    filename: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    format: Mapped[str | None]
    columns: Mapped[dict[str, Any] | None]
    options: Mapped[dict[str, Any]]
    stats: Mapped[dict[str, Any] | None]
    problems: Mapped[list[dict[str, Any]]]
    version: Mapped[int]
    """Counted within project and name."""
    content_sha256: Mapped[str | None]
    """Of the interactions as understood, whatever the file's format (worker/training/data/content.py)."""
    same_content_as: Mapped[str | None]
    """The project's oldest data set with the same interactions, when this one was read."""
    lineage: Mapped[dict[str, Any] | None]
    """Of which data set it was made, and how: {parent, parent_version, transforms: [{name, …}]}."""
    to_forget: Mapped[dict[str, Any] | None]
    """Salt and salted hashes of the users to be left out, until that is done."""
    findings: Mapped[list[dict[str, Any]] | None] = mapped_column(deferred=True)
    preview: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    original_blob: Mapped[str | None] = mapped_column(ForeignKey("blobs.id"))
    """The file as uploaded; of a data set made of another, its interactions, once they are there."""
    canonical_blob: Mapped[str | None] = mapped_column(ForeignKey("blobs.id"))
    attempts: Mapped[int] = mapped_column(server_default="0")
    """How often a worker began to read it; also the fencing token of the one that reads it now."""
    attempts_lost: Mapped[int] = mapped_column(server_default="0")
    """How often a worker vanished while it read; one that shuts down in good order gives it back instead."""
    lease_until: Mapped[datetime | None]
    """End of the reading worker's claim; null when no worker has it."""
    sent_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When a wake-up was last sent; the reaper sends another when it is old."""
    validated_at: Mapped[datetime | None]

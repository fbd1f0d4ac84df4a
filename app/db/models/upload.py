"""Uploads in parts: what was announced, and the parts that have arrived, each a blob of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class Upload(PrefixedId, CreatedAt, Base):
    """A file on its way. `open` until it is complete; then its bytes belong to the data set."""

    __tablename__ = "uploads"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'completed')", name="status"),
        CheckConstraint("(status = 'completed') = (completed_at IS NOT NULL)", name="completed"),
        CheckConstraint("bytes > 0", name="bytes"),
        # parts become chunks of a blob by arithmetic on their numbers
        CheckConstraint("part_bytes > 0 AND part_bytes % 1048576 = 0", name="part_bytes"),
        Index(None, "project_id", "id"),
        Index(None, "dataset_id"),
        Index(None, "active_at"),
    )
    id_prefix = "up"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    status: Mapped[str] = mapped_column(server_default="open")
    options: Mapped[dict[str, Any]]
    """File name, data set's name, format and columns, as `POST /v1/datasets` takes them."""
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    part_bytes: Mapped[int]
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    active_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When it was opened, last received a part, or was completed; it is forgotten some time after that."""
    completed_at: Mapped[datetime | None]


class UploadPart(Base):
    """Part `n` (from 1) of an upload, whole and with its digest."""

    __tablename__ = "upload_parts"
    __table_args__ = (
        CheckConstraint("n > 0", name="n"),
        CheckConstraint("bytes > 0", name="bytes"),
        Index(None, "blob_id"),
    )

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"))
    bytes: Mapped[int]
    sha256: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())

"""Large bytes as rows: a blob and its chunks of 1 MiB."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class Blob(PrefixedId, CreatedAt, Base):
    """Some bytes. Complete exactly when `sha256` is set, which happens last, in the caller's transaction."""

    __tablename__ = "blobs"
    __table_args__ = (
        CheckConstraint("(size IS NULL) = (sha256 IS NULL)", name="complete"),
        CheckConstraint("size >= 0", name="size"),
        Index("ix_blobs_incomplete", "written_at", postgresql_where="sha256 IS NULL"),
    )
    id_prefix = "blob"

    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    content_type: Mapped[str]
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BlobChunk(Base):
    """Chunk `n` (from 0) of a blob: 1 MiB, the last one shorter, with its own SHA-256 (32 bytes)."""

    __tablename__ = "blob_chunks"
    __table_args__ = (
        CheckConstraint("n >= 0", name="n"),
        CheckConstraint("octet_length(sha256) = 32", name="digest"),
    )

    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)

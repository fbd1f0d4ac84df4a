"""The documents that a succeeded job leaves, each a blob: report, page, manifest, figures."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class JobFile(Base):
    """One document, by its path among the job's: `report.json`, `figures/learning.svg`."""

    __tablename__ = "job_files"
    __table_args__ = (Index(None, "blob_id"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    media_type: Mapped[str]

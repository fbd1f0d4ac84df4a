"""The files of a model, each a blob."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class ModelFile(Base):
    """One file of a model, by its path in the model's folder."""

    __tablename__ = "model_files"
    __table_args__ = (Index(None, "blob_id"),)

    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    media_type: Mapped[str]

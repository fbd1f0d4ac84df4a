"""Names of data sets, each with its own count of versions."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class DatasetName(Base):
    """One name. It outlives its data sets, so that a version's number is never given twice."""

    __tablename__ = "dataset_names"
    __table_args__ = (CheckConstraint("last_version > 0", name="last_version"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    last_version: Mapped[int]

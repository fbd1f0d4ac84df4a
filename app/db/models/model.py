"""Trained models: one for each arm and seed of a succeeded job."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class Model(PrefixedId, CreatedAt, Base):
    """A model. It outlives its job and its data set; `job_facts` and `dataset_facts` say what they were.

    Its aliases are rows of `model_aliases`.
    """

    __tablename__ = "models"
    __table_args__ = (
        UniqueConstraint("project_id", "name", "version"),
        CheckConstraint("version > 0", name="version"),
        Index(None, "project_id", "id"),
        Index(None, "job_id"),
        Index(None, "dataset_id"),
    )
    id_prefix = "mdl"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    version: Mapped[int]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    job_facts: Mapped[dict[str, Any]]
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    dataset_facts: Mapped[dict[str, Any]]
    architecture: Mapped[str]
    arm: Mapped[str]
    seed: Mapped[int]
    metrics: Mapped[dict[str, Any]]

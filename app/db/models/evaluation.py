"""Evaluations of stored models: a model measured on a data set, clean and under attack, without training."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.db.base import Base, PrefixedId
from app.db.light_work import LightWork

_OBJECT = JSONB(none_as_null=True)


class Evaluation(PrefixedId, LightWork, Base):
    """One evaluation. Claimed as jobs are: `attempts` is the fencing token of the worker that has it.

    It outlives its model and its data set; `model_facts` and `dataset_facts` say what they were.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"),
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease_while_running"),
        CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)", name="ended"
        ),
        CheckConstraint("(status = 'succeeded') = (report IS NOT NULL)", name="succeeded_has_report"),
        CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name="failed_says_why"),
        Index(None, "project_id", "id"),
        Index(None, "model_id"),
        Index(None, "dataset_id"),
        Index(None, "outcomes_blob"),
        Index("ix_evaluations_unfinished", "sent_at", postgresql_where="status IN ('queued', 'running')"),
    )
    id_prefix = "eval"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str | None]
    model_id: Mapped[str | None] = mapped_column(ForeignKey("models.id", ondelete="SET NULL"))
    model_facts: Mapped[dict[str, Any]] = mapped_column(_OBJECT)
    """id, name, version, arm, seed and job of the model."""
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"))
    dataset_facts: Mapped[dict[str, Any]]
    """id, name and sha256 of the data set."""
    spec: Mapped[dict[str, Any]]
    """The model's training settings, those of data and evaluation as they were asked for."""
    phase: Mapped[str | None]
    progress: Mapped[float] = mapped_column(server_default="0")
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    error: Mapped[dict[str, Any] | None]
    report: Mapped[dict[str, Any] | None] = mapped_column(_OBJECT, deferred=True)
    report_markdown: Mapped[str | None] = mapped_column(deferred=True)
    found: Mapped[dict[str, Any] | None] = column_property(
        func.jsonb_build_object(
            "metrics",
            func.jsonb_extract_path(report, "arms", model_facts["arm"].astext, "test"),
            "protocol_hash",
            report["protocol_hash"],
            "warnings",
            report["warnings"],
            type_=JSONB,
        )
    )
    """What a list tells of the report, without the rest of it, which may be megabytes."""
    outcomes_blob: Mapped[str | None] = mapped_column(ForeignKey("blobs.id"))
    """Each user's figures, for comparisons."""

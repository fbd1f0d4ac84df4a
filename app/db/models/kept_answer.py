"""Answers to requests that carried an `Idempotency-Key`, kept so that a repeat gets the same one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt


class KeptAnswer(CreatedAt, Base):
    """The answer to one request, written in the transaction of that request's effect.

    `id` is the SHA-256 of caller, path and key: a path may be longer than an index takes.
    """

    __tablename__ = "kept_answers"
    __table_args__ = (
        CheckConstraint("octet_length(id) = 32", name="id"),
        CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint"),
        Index(None, "created_at"),
    )

    id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the request's query and body."""
    status: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes] = mapped_column(LargeBinary)

"""Aliases: names such as `production` that point at one version of a model, and how they moved."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId


class ModelAlias(CreatedAt, Base):
    """Where an alias of a name points now, and the gates that every move has to pass."""

    __tablename__ = "model_aliases"
    __table_args__ = (Index(None, "model_id"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"))
    gates: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'::jsonb"))
    moved_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ModelAliasMove(PrefixedId, CreatedAt, Base):
    """One move of an alias; kept when the alias or its models are deleted. No target: it was deleted."""

    __tablename__ = "model_alias_moves"
    __table_args__ = (Index(None, "project_id", "name", "alias", "id"),)
    id_prefix = "amv"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    alias: Mapped[str]
    from_model: Mapped[str | None]
    from_version: Mapped[int | None]
    to_model: Mapped[str | None]
    to_version: Mapped[int | None]
    checks: Mapped[list[dict[str, Any]]]
    """What the gates found, condition by condition."""
    forced: Mapped[bool]
    api_key_id: Mapped[str | None]

"""Projects: who owns what."""

from __future__ import annotations

from typing import Any

from sqlalchemy import UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt, PrefixedId

DEFAULT_PROJECT = "default"


class Project(PrefixedId, CreatedAt, Base):
    """A namespace of data sets, jobs, models and keys. Another project's rows answer 404."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("name"),)
    id_prefix = "prj"

    name: Mapped[str]
    limits: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    """By name out of app/accounts/limits.py; what is missing is as the service's settings say."""
    retention: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    """Days by name out of app/accounts/limits.py; what is missing is as the service's settings say."""

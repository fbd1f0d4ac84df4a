"""Projects: who owns what."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import Base, CreatedAt, PrefixedId

DEFAULT_PROJECT = "default"


class Project(PrefixedId, CreatedAt, Base):
    """A namespace of data sets, jobs, models and keys. Another project's rows answer 404."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("name"),)
    id_prefix = "prj"

    name: Mapped[str]

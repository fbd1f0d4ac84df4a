"""What projects used, day by day: what quotas a day and a month are counted by."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class UsageDay(Base):
    """What a project used on one day (UTC). Counted as it happens: deleting a job gives nothing back."""

    __tablename__ = "usage_days"
    __table_args__ = (CheckConstraint("jobs >= 0 AND runtime_seconds >= 0", name="counts"),)

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    jobs: Mapped[int] = mapped_column(server_default="0")
    """Jobs submitted."""
    runtime_seconds: Mapped[float] = mapped_column(server_default="0")
    """Time of the attempts that ended on that day."""

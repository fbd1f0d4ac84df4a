"""That users were taken out of a data set; who they were is kept nowhere."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, CreatedAt


class DatasetForget(CreatedAt, Base):
    """`dataset_id` holds, or held, users whom `made_dataset_id` no longer has.

    Neither is a foreign key: models trained on a data set are to be told of it when that is long deleted.
    """

    __tablename__ = "dataset_forgets"
    __table_args__ = (CheckConstraint("users > 0", name="users"),)

    dataset_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    made_dataset_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    users: Mapped[int]

"""Versions of data sets: those of one name are counted from 1, and no number is given twice."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.db.models.dataset_name import DatasetName


def next_version(session: Session, project_id: str, name: str) -> int:
    """Count one more version of a name; holds the name until the transaction ends."""
    statement = insert(DatasetName).values(project_id=project_id, name=name, last_version=1)
    counted: int = session.execute(
        statement.on_conflict_do_update(
            index_elements=["project_id", "name"], set_={"last_version": DatasetName.last_version + 1}
        ).returning(DatasetName.last_version)
    ).scalar_one()
    return counted

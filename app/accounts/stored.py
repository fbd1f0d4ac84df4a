"""How many bytes a project has stored, by kind.

The tables are found by their foreign keys to `blobs`, so that a new one is counted from its first row on.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, ForeignKey, FromClause, Select, Table, func, literal, select, union
from sqlalchemy.orm import Session

from app.db.base import Base
from app.db.models.blob import Blob, BlobChunk

_KINDS = {
    "model_files": "models",
    "job_files": "reports",
    "upload_parts": "uploads",
    "batch_recommendations": "recommendations",
}


def stored_bytes(session: Session, project_id: str) -> dict[str, int]:
    """Bytes by kind (`datasets`, `checkpoints`, `models`, …); each blob once, however often it is used."""
    references = union(*_references(project_id)).subquery()
    blobs = (
        select(references.c.blob_id, func.min(references.c.kind).label("kind"))
        .group_by(references.c.blob_id)
        .subquery()
    )
    statement = (
        select(blobs.c.kind, func.sum(Blob.size))
        .join(Blob, Blob.id == blobs.c.blob_id)
        .group_by(blobs.c.kind)
    )
    found = {kind: int(size or 0) for kind, size in session.execute(statement)}
    return {kind: found.get(kind, 0) for kind in sorted({kind_of(table) for table in tables()})}


def tables() -> list[Table]:
    """The tables whose rows refer to blobs."""
    others = [table for table in Base.metadata.sorted_tables if table.name != BlobChunk.__tablename__]
    return [table for table in others if any(map(_to_blob, table.foreign_keys))]


def kind_of(table: Table) -> str:
    """What clients call the things that this table's blobs belong to."""
    return _KINDS.get(table.name, table.name)


def _references(project_id: str) -> Iterator[Select[tuple[str, str]]]:
    for table in tables():
        source, owner = _owner(table)
        for key in table.foreign_keys:
            if _to_blob(key):
                columns = (literal(kind_of(table)).label("kind"), key.parent.label("blob_id"))
                yield (
                    select(*columns).select_from(source).where(owner == project_id, key.parent.is_not(None))
                )


def _to_blob(key: ForeignKey) -> bool:
    return key.column.table is Blob.__table__


def _owner(table: Table) -> tuple[FromClause, ColumnElement[str]]:
    """What to select from, and the column that names the project: the table's own, or its parent's."""
    if "project_id" in table.c:
        return table, table.c.project_id
    for key in table.foreign_keys:
        parent = key.column.table
        if isinstance(parent, Table) and "project_id" in parent.c:
            return table.join(parent, key.parent == key.column), parent.c.project_id
    raise LookupError(f"no project can be found for the blobs of {table.name}")

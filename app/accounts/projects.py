"""Projects: made with their first key, listed, changed, and deleted when nothing is in them any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts.project_schemas import ProjectChange, ProjectCreate
from app.accounts.service import Principal, create_key
from app.db.base import Base
from app.db.ids import new_id
from app.db.models.api_key import ApiKey
from app.db.models.project import DEFAULT_PROJECT, Project
from app.db.models.upload import Upload
from app.errors import ConflictError, NotFoundError
from app.pagination import Page, paginate
from app.state_errors import InUseError

_GOES_WITH_IT = frozenset({"kept_answers", "api_keys", "model_alias_moves"})
"""What means nothing without the project; as do the rows of tables that give no ids."""
_IN_THE_WAY: Mapping[str, ColumnElement[bool]] = {Upload.__tablename__: Upload.status == "open"}
"""Which rows hold a project back, where not all of a table do: a complete upload has no bytes of its own."""
_NAMED = 20


def create(session: Session, asked: ProjectCreate) -> tuple[Project, ApiKey, str]:
    """Make a project and its first key; the third value is the key's secret.

    Raises:
        ConflictError: There is a project with that name (`project_exists`).
        ValidationFailed: The key's `expires_at` has passed already.

    """
    project_id = new_id(Project.id_prefix)
    made = session.execute(
        insert(Project)
        .values(
            id=project_id,
            name=asked.name,
            limits=asked.limits.model_dump(exclude_none=True),
            retention=asked.retention.model_dump(exclude_none=True),
        )
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(Project)
    ).scalar_one_or_none()
    if made is None:
        raise _exists(asked.name)
    key, secret = create_key(
        session,
        name=asked.key.name,
        owner_id=project_id,
        scopes=asked.key.scopes,
        expires_at=asked.key.expires_at,
    )
    return made, key, secret


def get(session: Session, project_id: str, *, lock: bool = False) -> Project:
    """One project. NotFoundError (`project_not_found`)."""
    project = session.get(Project, project_id, with_for_update=lock or None)
    if project is None:
        raise NotFoundError(
            f"There is no project {project_id!r}.",
            code="project_not_found",
            hint="GET /v1/projects lists those that there are.",
            pointer="path:project_id",
        )
    return project


def page_of(session: Session, page: Page) -> tuple[Sequence[Project], bool]:
    """One page of all projects, newest first, and whether there are more."""
    return paginate(session, select(Project), Project.id, page)


def change(session: Session, project_id: str, asked: ProjectChange) -> Project:
    """Change what is given; a number given as null is as the settings say from now on.

    Raises:
        NotFoundError: There is no such project.
        ConflictError: Another has that name (`project_exists`), or it is the default project, which keeps its
            name (`project_is_default`).

    """
    project = get(session, project_id, lock=True)
    if asked.name is not None and asked.name != project.name:
        if project.name == DEFAULT_PROJECT:
            raise _is_default("renamed")
        _rename(session, project, asked.name)
    if asked.limits is not None:
        project.limits = _merged(project.limits, asked.limits.model_dump(exclude_unset=True))
    if asked.retention is not None:
        project.retention = _merged(project.retention, asked.retention.model_dump(exclude_unset=True))
    session.flush()
    return project


def _rename(session: Session, project: Project, name: str) -> None:
    try:
        with session.begin_nested():
            project.name = name
            session.flush()
    except IntegrityError as error:  # looking first would miss one that is given the name just now
        raise _exists(name) from error


def delete(session: Session, caller: Principal, project_id: str) -> int:
    """Delete a project that has nothing in it but keys and complete uploads; returns how many keys it had.

    Raises:
        NotFoundError: There is no such project.
        ConflictError: It is the default project (`project_is_default`), or the caller's (`project_in_use`).
        InUseError: Something is in it (`project_not_empty`): counts in `holds`, ids in `used_by`.

    """
    project = get(session, project_id, lock=True)
    if project.name == DEFAULT_PROJECT:
        raise _is_default("deleted")
    if caller.project_id == project_id:
        message = "This is the project of the key that asks."
        raise ConflictError(message, code="project_in_use", pointer="path:project_id")
    _require_empty(session, project)
    keys = 0
    for table in reversed(_owned()):
        rows = table.delete().where(table.c.project_id == project_id).returning(table.c.project_id)
        removed = session.execute(rows).all()
        keys += len(removed) if table.name == ApiKey.__tablename__ else 0
    session.delete(project)
    session.flush()
    return keys


def _require_empty(session: Session, project: Project) -> None:
    holds: dict[str, int] = {}
    ids: list[str] = []
    for table in _things():
        counted = (table.c.project_id == project.id) & _IN_THE_WAY.get(table.name, true())
        count = session.execute(select(func.count()).select_from(table).where(counted)).scalar_one()
        if count:
            holds[table.name] = count
            named = select(table.c.id).where(counted).order_by(table.c.id).limit(_NAMED)
            ids += session.execute(named).scalars()
    if holds:
        found = ", ".join(f"{count} {name}" for name, count in holds.items())
        error = InUseError(
            f"The project {project.name!r} still has {found}.",
            code="project_not_empty",
            used_by=ids,
            hint="Delete them first, with a key of that project.",
            pointer="path:project_id",
        )
        error.extra["holds"] = holds
        raise error


def _things() -> list[Table]:
    return [table for table in _owned() if "id" in table.c and table.name not in _GOES_WITH_IT]


def _owned() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if "project_id" in table.c]


def _merged(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**before, **given}.items() if value is not None}


def _exists(name: str) -> ConflictError:
    return ConflictError(
        f"There is a project {name!r} already.",
        code="project_exists",
        pointer="/name",
        hint="Choose another name; GET /v1/projects lists them.",
    )


def _is_default(what: str) -> ConflictError:
    message = f"The default project cannot be {what}."
    return ConflictError(message, code="project_is_default", pointer="path:project_id")

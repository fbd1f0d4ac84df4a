"""Reads of the upload tables; those for callers are limited to a project."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.models.upload import Upload, UploadPart
from app.pagination import Page, paginate

_LOCK_NOT_AVAILABLE = "55P03"
_WAIT = "1s"


class Locked(Exception):  # noqa: N818 - not an error of the request yet: the service says what it means
    """Another request works on the upload for longer than one waits."""


def find(session: Session, project_id: str, upload_id: str) -> Upload | None:
    """The upload, if it is the project's."""
    statement = select(Upload).where(Upload.id == upload_id, Upload.project_id == project_id)
    return session.execute(statement).scalar_one_or_none()


def find_locked(session: Session, project_id: str, upload_id: str) -> Upload | None:
    """The upload, held against every other request on it until the transaction ends.

    Raises Locked after a second: storing a part takes less, completing the upload may take longer.
    """
    statement = select(Upload).where(Upload.id == upload_id, Upload.project_id == project_id)
    session.execute(text(f"SET LOCAL lock_timeout = '{_WAIT}'"))
    try:
        found = session.execute(
            statement.with_for_update().execution_options(populate_existing=True)
        ).scalar_one_or_none()
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise Locked from error
        raise
    session.execute(text("SET LOCAL lock_timeout = DEFAULT"))
    return found


def parts_of(session: Session, upload_id: str) -> Sequence[UploadPart]:
    """The parts that are there, in order."""
    statement = select(UploadPart).where(UploadPart.upload_id == upload_id).order_by(UploadPart.n)
    return session.execute(statement).scalars().all()


def parts_of_all(session: Session, upload_ids: Sequence[str]) -> dict[str, list[UploadPart]]:
    """The parts of several uploads, in order, by upload."""
    statement = select(UploadPart).where(UploadPart.upload_id.in_(upload_ids)).order_by(UploadPart.n)
    found: dict[str, list[UploadPart]] = {upload_id: [] for upload_id in upload_ids}
    for part in session.execute(statement).scalars():
        found[part.upload_id].append(part)
    return found


def page_of(
    session: Session, project_id: str, page: Page, *, status: str | None, sha256: str | None
) -> tuple[Sequence[Upload], bool]:
    """One page of the project's uploads, newest first, and whether there are more."""
    statement = select(Upload).where(Upload.project_id == project_id)
    if status is not None:
        statement = statement.where(Upload.status == status)
    if sha256 is not None:
        statement = statement.where(Upload.sha256 == sha256)
    return paginate(session, statement, Upload.id, page)


def expired(session: Session, older_than: timedelta, limit: int) -> Sequence[Upload]:
    """Uploads that nothing has happened to for so long, held; those at work right now are passed over."""
    statement = (
        select(Upload)
        .where(Upload.active_at < func.now() - older_than)
        .order_by(Upload.active_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return session.execute(statement).scalars().all()

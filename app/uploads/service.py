"""The life of an upload in parts: opened, filled in any order, abandoned; completing.py makes the data set.

Every change holds the upload's row, so that parts, completion and abandonment come one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from app.accounts import quotas
from app.config import Settings
from app.datasets.checks import too_large
from app.db.models.upload import Upload, UploadPart
from app.errors import FILE, ErrorItem, NotFoundError, ValidationFailed
from app.pagination import Page
from app.state_errors import UploadStateError
from app.storage.blobs import BlobStore, BlobWriter
from app.uploads import queries
from app.uploads.layout import choose_part_bytes, expected_bytes, part_count
from app.uploads.schemas import UploadCreate

_SWEPT_AT_ONCE = 100
_OWN_FIELDS = {"bytes", "sha256", "part_bytes"}


def open_upload(session: Session, settings: Settings, project_id: str, asked: UploadCreate) -> Upload:
    """Begin an upload. PayloadTooLarge or QuotaExceeded when its announced length is over the limit."""
    if asked.bytes is not None and asked.bytes > settings.max_upload_bytes:
        raise too_large(settings.max_upload_bytes)
    quotas.require_room(session, settings, project_id, asked.bytes or 1)
    upload = Upload(
        project_id=project_id,
        status="open",
        options=asked.model_dump(exclude_none=True, exclude=_OWN_FIELDS),
        bytes=asked.bytes,
        sha256=asked.sha256,
        part_bytes=choose_part_bytes(asked.bytes or settings.max_upload_bytes, asked.part_bytes),
    )
    session.add(upload)
    session.flush()
    return upload


def get(session: Session, project_id: str, upload_id: str) -> tuple[Upload, Sequence[UploadPart]]:
    """One upload and its parts. NotFoundError (`upload_not_found`) when the project has none with that id."""
    upload = queries.find(session, project_id, upload_id)
    if upload is None:
        raise NotFoundError.of("upload", upload_id)
    return upload, queries.parts_of(session, upload_id)


def list_page(
    session: Session, project_id: str, page: Page, *, status: str | None, sha256: str | None
) -> tuple[Sequence[tuple[Upload, Sequence[UploadPart]]], bool]:
    """One page of the project's uploads with their parts, newest first, and whether there are more."""
    rows, has_more = queries.page_of(session, project_id, page, status=status, sha256=sha256)
    parts = queries.parts_of_all(session, [row.id for row in rows])
    return [(row, parts[row.id]) for row in rows], has_more


def most_bytes(session: Session, settings: Settings, project_id: str, upload_id: str, n: int) -> int:
    """How long part `n` may be. Checked before its first byte is read.

    Raises:
        NotFoundError: The project has no such upload.
        UploadStateError: It is complete.
        ValidationFailed: It can have no part with that number (`no_such_part`).

    """
    upload = queries.find(session, project_id, upload_id)
    if upload is None:
        raise NotFoundError.of("upload", upload_id)
    _require_open(upload)
    total = upload.bytes or settings.max_upload_bytes
    last = part_count(total, upload.part_bytes)
    if not 1 <= n <= last:
        message = f"Parts of this upload are numbered 1 to {last}."
        item = ErrorItem("path:n", "no_such_part", message, n, f"Each has {upload.part_bytes} bytes.")
        raise ValidationFailed(message, code="no_such_part", errors=[item])
    return expected_bytes(n, total, upload.part_bytes)


def store_part(
    session: Session,
    blobs: BlobStore,
    settings: Settings,
    project_id: str,
    *,
    upload_id: str,
    n: int,
    received: Received,
) -> UploadPart:
    """Keep a part that has wholly arrived, in place of an earlier one; the very same again changes nothing.

    Raises:
        NotFoundError: The upload was abandoned meanwhile.
        UploadStateError: It was completed meanwhile, or is just being completed.
        ValidationFailed: The part is not as long as it must be (`wrong_part_size`).
        QuotaExceeded: The project has no room for it.

    """
    upload = held(session, project_id, upload_id)
    _require_open(upload)
    if upload.bytes is not None:
        _require_size(received.size, expected_bytes(n, upload.bytes, upload.part_bytes))
    upload.active_at = func.now()
    part = session.get(UploadPart, (upload_id, n))
    if part is not None and (part.sha256, part.bytes) == (received.sha256, received.size):
        return part
    replaces = part.bytes if part is not None else 0
    quotas.require_room(session, settings, project_id, received.size - replaces)
    info = received.writer.finish(session)
    if part is None:
        part = UploadPart(upload_id=upload_id, n=n, blob_id=info.id, bytes=info.size, sha256=info.sha256)
        session.add(part)
        session.flush()
        return part
    replaced = part.blob_id
    part.blob_id, part.bytes, part.sha256 = info.id, info.size, info.sha256
    part.received_at = func.now()
    session.flush()
    blobs.delete(session, replaced)
    session.refresh(part)
    return part


def abandon(session: Session, blobs: BlobStore, project_id: str, upload_id: str) -> int:
    """Forget an upload and its parts; returns how many bytes that freed.

    Raises:
        NotFoundError: The project has no such upload.
        UploadStateError: It is complete, or is just being completed.

    """
    upload = held(session, project_id, upload_id)
    _require_open(upload)
    return _forget(session, blobs, upload)


def sweep_expired(session: Session, blobs: BlobStore, settings: Settings) -> int:
    """Forget the uploads whose time is over, complete ones too; returns the bytes freed. The reaper's."""
    lifetime = timedelta(seconds=settings.upload_expiry_seconds)
    return sum(_forget(session, blobs, row) for row in queries.expired(session, lifetime, _SWEPT_AT_ONCE))


class Received:
    """A part that has arrived and is as it was announced; its blob is not finished yet."""

    def __init__(self, writer: BlobWriter, size: int, sha256: str) -> None:
        self.writer = writer
        self.size = size
        self.sha256 = sha256


def held(session: Session, project_id: str, upload_id: str) -> Upload:
    """One upload, held until the transaction ends.

    Raises:
        NotFoundError: The project has no such upload.
        UploadStateError: It is just being completed (`upload_busy`).

    """
    try:
        upload = queries.find_locked(session, project_id, upload_id)
    except queries.Locked as locked:
        raise UploadStateError(
            "This upload is just being completed.",
            code="upload_busy",
            retryable=True,
            hint="Ask for it again in a moment: GET /v1/uploads/{id} says when it is.",
            headers={"Retry-After": "1"},
        ) from locked
    if upload is None:
        raise NotFoundError.of("upload", upload_id)
    return upload


def _require_open(upload: Upload) -> None:
    if upload.status != "open":
        raise UploadStateError(
            "This upload is complete.",
            hint=f"Its bytes are the data set's: GET /v1/datasets/{upload.dataset_id}",
        )


def _require_size(size: int, expected: int) -> None:
    if size != expected:
        message = f"This part must have {expected} bytes, not {size}."
        hint = "Every part has `part_bytes` bytes, the last one what is left."
        raise ValidationFailed(message, code="wrong_part_size", hint=hint, pointer=FILE)


def _forget(session: Session, blobs: BlobStore, upload: Upload) -> int:
    blob_ids = [part.blob_id for part in queries.parts_of(session, upload.id)]
    session.execute(delete(UploadPart).where(UploadPart.upload_id == upload.id))
    session.delete(upload)
    session.flush()
    return blobs.delete(session, *blob_ids)

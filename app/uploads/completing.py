"""The end of an upload in parts: its bytes are read once more, checked as a whole, and become a data set.

A part is a blob of its own; its chunks become those of the data set's blob, without being copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from app.at_once import FewAtOnce
from app.config import Settings
from app.datasets import service as datasets
from app.datasets.checks import UploadCheck
from app.datasets.schemas import UploadOptions
from app.db.models.dataset import Dataset
from app.db.models.upload import UploadPart
from app.state_errors import UploadStateError
from app.storage.blobs import BlobStore
from app.uploads import queries, service
from app.uploads.digests import DigestMismatchError
from app.uploads.layout import missing_parts

_CHECKING = FewAtOnce(8, "uploads that are completed")
"""Each reads, and perhaps decompresses, gigabytes."""


def complete(
    session: Session,
    blobs: BlobStore,
    settings: Settings,
    project_id: str,
    *,
    upload_id: str,
    sha256: str | None,
) -> tuple[Dataset, bool]:
    """Make the data set, `validating`; of an upload that is complete already, return the one it became.

    All bytes are read once more: each chunk is checked against its digest, the whole against its SHA-256,
    and compressed ones are decompressed under the limit. The second value says whether it is new.

    Raises:
        NotFoundError: The project has no such upload.
        UploadStateError: Parts are missing (`upload_incomplete`, their numbers in `missing`); it is being
            completed (`upload_busy`); or its data set was deleted (`upload_closed`).
        DigestMismatchError: The whole is not what was announced.
        ServiceUnavailable: Others are being completed, as many as go at once.
        PayloadTooLarge, ValidationFailed: What `POST /v1/datasets` answers to such a file.

    """
    upload = service.held(session, project_id, upload_id)
    if upload.status == "completed":
        if upload.dataset_id is None:
            raise UploadStateError("This upload is complete, and its data set was deleted.")
        dataset = datasets.get(session, project_id, upload.dataset_id)
        _require_digest(dataset.sha256, (sha256,))
        return dataset, False
    parts = queries.parts_of(session, upload_id)
    missing = missing_parts({part.n: part.bytes for part in parts}, upload.bytes, upload.part_bytes)
    if missing:
        raise UploadStateError(
            f"{len(missing)} part(s) are missing, the first of them number {missing[0]}.",
            code="upload_incomplete",
            hint="Send the parts whose numbers stand in `missing`, then complete the upload again.",
            extra={"missing": missing},
        )
    blob_ids = [part.blob_id for part in parts]
    with _CHECKING.one():
        found = _check_whole(blobs, settings, blob_ids)
    _require_digest(found, (upload.sha256, sha256))
    session.execute(delete(UploadPart).where(UploadPart.upload_id == upload_id))
    info = blobs.join(session, blob_ids, found)
    dataset = datasets.create_of_blob(session, project_id, info, UploadOptions.model_validate(upload.options))
    upload.status, upload.dataset_id = "completed", dataset.id
    upload.bytes, upload.sha256 = info.size, info.sha256
    upload.completed_at = upload.active_at = func.now()
    session.flush()
    return dataset, True


def _require_digest(found: str, announced: Sequence[str | None]) -> None:
    for sha256 in announced:
        if sha256 is not None and sha256 != found:
            raise DigestMismatchError(
                f"The whole file has the SHA-256 {found}, not {sha256}.",
                hint="GET /v1/uploads/{id} has the SHA-256 of every part: send those again that differ.",
                pointer="/sha256",
                retryable=False,
            )


def _check_whole(blobs: BlobStore, settings: Settings, blob_ids: Sequence[str]) -> str:
    """SHA-256 of all the bytes together, after the checks that a file sent in one piece goes through."""
    check = UploadCheck(
        max_bytes=settings.max_upload_bytes, max_decompressed_bytes=settings.max_decompressed_bytes
    )
    whole = hashlib.sha256()
    for blob_id in blob_ids:
        for piece in blobs.read(blob_id):
            check.feed(piece)
            whole.update(piece)
    check.finish()
    return whole.hexdigest()

"""What can be done with data sets. Reading them is the light worker's: app/datasets/validation.py."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.datasets import queries, versions
from app.datasets.forgetting import remove
from app.datasets.schemas import DatasetObject, UploadOptions
from app.datasets.using import not_ready
from app.datasets.version_schemas import DatasetPreview, PreviewRow
from app.db.models.dataset import Dataset
from app.db.session import send_after_commit
from app.errors import NotFoundError
from app.pagination import Page
from app.state_errors import InUseError
from app.storage.blobs import BlobInfo, BlobStore, BlobWriter
from app.task_names import LIGHT_QUEUE, VALIDATE_DATASET


def create(session: Session, project_id: str, writer: BlobWriter, options: UploadOptions) -> Dataset:
    """Store an uploaded file as a data set `validating`; the light worker is woken after the commit."""
    return create_of_blob(session, project_id, writer.finish(session), options)


def create_of_blob(session: Session, project_id: str, info: BlobInfo, options: UploadOptions) -> Dataset:
    """Make a data set `validating` of bytes that are stored; the light worker is woken after the commit."""
    filename = options.bare_filename
    name = options.name or filename
    dataset = Dataset(
        project_id=project_id,
        name=name,
        version=versions.next_version(session, project_id, name),
        status="validating",
        filename=filename,
        bytes=info.size,
        sha256=info.sha256,
        options=options.model_dump(exclude_none=True, exclude={"filename", "name"}),
        problems=[],
        original_blob=info.id,
    )
    session.add(dataset)
    session.flush()
    send_after_commit(session, VALIDATE_DATASET, dataset.id, queue=LIGHT_QUEUE)
    return dataset


def get(session: Session, project_id: str, dataset_id: str) -> Dataset:
    """One data set. NotFoundError (`dataset_not_found`) when the project has none with that id."""
    dataset = queries.find(session, project_id, dataset_id)
    if dataset is None:
        raise NotFoundError.of("dataset", dataset_id)
    return dataset


def get_stored(session: Session, project_id: str, dataset_id: str) -> tuple[Dataset, str]:
    """One data set and the blob with its file.

    DatasetNotReadyError while one that is made of another is not there yet, or could not be made.
    """
    dataset = get(session, project_id, dataset_id)
    if dataset.original_blob is None:
        raise not_ready(dataset, pointer="path:dataset_id")
    return dataset, dataset.original_blob


def list_page(session: Session, project_id: str, page: Page) -> tuple[Sequence[Dataset], bool]:
    """One page of the project's data sets, newest first, and whether there are more."""
    return queries.page_of(session, project_id, page)


def shown(session: Session, datasets: Sequence[Dataset]) -> list[DatasetObject]:
    """These data sets as clients see them, each with what uses it."""
    used = queries.used_by(session, datasets)
    return [DatasetObject.of(dataset, used[dataset.id]) for dataset in datasets]


def preview(session: Session, project_id: str, dataset_id: str, limit: int) -> DatasetPreview:
    """The first rows and lines of a data set. DatasetNotReadyError unless it is `ready`."""
    dataset = get(session, project_id, dataset_id)
    if dataset.status != "ready":
        raise not_ready(dataset, pointer="path:dataset_id")
    kept = dataset.preview or {"rows": [], "lines": None}
    rows = [PreviewRow.model_validate(row) for row in kept["rows"][:limit]]
    lines = None if kept["lines"] is None else kept["lines"][:limit]
    return DatasetPreview(dataset=dataset_id, rows=rows, lines=lines)


def delete(session: Session, blobs: BlobStore, project_id: str, dataset_id: str) -> int:
    """Delete a data set and its bytes; returns how many bytes that freed.

    Raises:
        NotFoundError: The project has no such data set.
        InUseError: What has not ended uses it (`dataset_in_use`, the ids in `used_by`).

    """
    dataset = queries.find(session, project_id, dataset_id, lock=True)
    if dataset is None:
        raise NotFoundError.of("dataset", dataset_id)
    in_use = queries.users_of(session, dataset_id)
    if in_use:
        raise InUseError(
            "What has not ended, or is being made of it, still needs this data set: `used_by` names it.",
            code="dataset_in_use",
            used_by=in_use,
            hint="Wait, or first cancel the jobs and evaluations, and delete the batches, that are named.",
            pointer="path:dataset_id",
        )
    return remove(session, blobs, dataset)

"""The model that a run starts from (`init_from`): its files found among the project's models, and read."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.models.queries import file_blobs, find
from app.storage.blobs import BlobStore
from worker.blob_files import read_model_files
from worker.training.fitting.warm_start import InitialModel
from worker.training.portable import MODEL_FILES
from worker.training.progress import DataError
from worker.training.spec import TrainSpec


def find_initial(session: Session, project_id: str, spec: TrainSpec) -> dict[str, str]:
    """Blobs, by file name, of the model to start from; {} where training starts afresh. DataError if gone."""
    if spec.init_from is None:
        return {}
    model = find(session, project_id, spec.init_from)
    blob_of = {} if model is None else file_blobs(session, model.id)
    if not set(MODEL_FILES) <= blob_of.keys():
        raise DataError(
            f"init_from: the model {spec.init_from} no longer exists",
            hint="Submit the job again from another model, or without init_from.",
        )
    return blob_of


def read_initial(blobs: BlobStore, spec: TrainSpec, blob_of: Mapping[str, str]) -> InitialModel | None:
    """Read what `find_initial` found; None where training starts afresh. DataError when it cannot be read."""
    if spec.init_from is None:
        return None
    return InitialModel.read(spec.init_from, read_model_files(blobs, blob_of))

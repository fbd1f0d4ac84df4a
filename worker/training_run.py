"""From a claimed job to stored models: load, train, store, verify, succeed. Runs in the training process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.jobs.claims import Claim, hold
from app.jobs.results import FinishedModel, succeed
from app.storage.blobs import BlobInfo, BlobStore, BlobWriter
from worker.blob_files import read_interactions
from worker.durably import durably
from worker.job_checkpoints import CHECKPOINT_TYPE, JobCheckpoints
from worker.resources import Resources
from worker.sinks import JobProgress
from worker.training.experiment import ExperimentResult, TrainedModel, run_experiment
from worker.training.fitting.warm_start import FILES, InitialModel
from worker.training.progress import Control, DataError
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

logger = logging.getLogger(__name__)

_MEDIA_TYPES = {
    ".safetensors": CHECKPOINT_TYPE,
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}
_UPLOAD_AGAIN = "Upload the data set again, then submit the job again."


def run_training(
    claimed: Claim,
    *,
    resources: Resources,
    folder: Path,
    beat: Callable[[], None],
    control: Callable[[], Control],
    found: Callable[[dict[str, Any]], None],
) -> None:
    """Make the attempt, from its data to `succeeded`.

    Args:
        claimed: The attempt; LeaseLost is raised as soon as it is not the job's own any more.
        resources: Settings, database, blobs.
        folder: A temporary folder.
        beat: Called whenever the run moves.
        control: What the parent wants.
        found: Told the device and the versions.

    """
    settings = resources.settings
    progress = JobProgress(resources.database, claimed, beat=beat, control=control)
    progress.phase("preparing")
    with resources.database.unit_of_work() as session:
        job = hold(session, claimed)
        spec = TrainSpec.model_validate(job.spec)
        blob_id = _interactions_of(session, job)
        initial_blobs = _initial_of(session, job, spec)
    interactions = read_interactions(resources.blobs, blob_id, folder / "interactions.parquet", beat=beat)
    initial = None
    if spec.init_from is not None:
        files = {name: b"".join(resources.blobs.read(blob)) for name, blob in initial_blobs.items()}
        beat()
        initial = InitialModel.read(spec.init_from, files)
    runtime = Runtime(device=settings.device, threads=settings.threads)
    found(runtime.environment(runtime.prepare()))
    result = run_experiment(
        spec,
        interactions,
        progress=progress,
        checkpoints=JobCheckpoints(resources.database, resources.blobs, claimed, beat=beat),
        runtime=runtime,
        initial=initial,
    )
    progress.phase("packaging")
    store(claimed, result, resources=resources, beat=beat)


def store(
    claimed: Claim, result: ExperimentResult, *, resources: Resources, beat: Callable[[], None]
) -> list[str]:
    """Write every file, read every one back, and only then let the job succeed. Returns the models' ids."""
    written = [_Written(model, _write(resources.blobs, model.files, beat)) for model in result.models]
    to_read = _write(resources.blobs, result.documents, beat)

    def finish(session: Session) -> list[str]:
        finished = [entry.finish(session) for entry in written]
        documents = [(path, writer.finish(session)) for path, writer in to_read]
        for _, blob in (*(file for model in finished for file in model.files), *documents):
            resources.blobs.verify(blob.id, expected=blob)
            beat()
        return succeed(
            session,
            claimed,
            models=finished,
            report=result.report,
            report_markdown=result.report_markdown,
            documents=documents,
            stop_reason=result.stop_reason,
        )

    return durably(resources.database, finish)


@dataclass(frozen=True)
class _Written:
    """A model whose files are written but not yet complete."""

    model: TrainedModel
    files: tuple[tuple[str, BlobWriter], ...]

    def finish(self, session: Session) -> FinishedModel:
        files: list[tuple[str, BlobInfo]] = [(path, writer.finish(session)) for path, writer in self.files]
        return FinishedModel(self.model.arm, self.model.seed, dict(self.model.metrics), tuple(files))


def _write(
    blobs: BlobStore, contents: Mapping[str, bytes], beat: Callable[[], None]
) -> tuple[tuple[str, BlobWriter], ...]:
    files = []
    for path, content in contents.items():
        writer = blobs.open_writer(_MEDIA_TYPES.get(Path(path).suffix, "application/octet-stream"))
        writer.write(content)
        beat()
        files.append((path, writer))
    return tuple(files)


def _interactions_of(session: Session, job: Job) -> str:
    """Blob of the data set's interactions, if it is still the one that the job was made for."""
    dataset = session.get(Dataset, job.dataset_id) if job.dataset_id is not None else None
    if dataset is None or dataset.canonical_blob is None:
        raise DataError("the data set of this job no longer exists", hint=_UPLOAD_AGAIN)
    if dataset.sha256 != job.dataset_facts.get("sha256"):
        raise DataError("the data set is not the one that this job was made for", hint=_UPLOAD_AGAIN)
    return dataset.canonical_blob


def _initial_of(session: Session, job: Job, spec: TrainSpec) -> dict[str, str]:
    """Blobs, by file name, of the model that training starts from; none where it starts afresh."""
    if spec.init_from is None:
        return {}
    rows = session.execute(
        select(ModelFile.path, ModelFile.blob_id)
        .join(Model, Model.id == ModelFile.model_id)
        .where(Model.id == spec.init_from, Model.project_id == job.project_id, ModelFile.path.in_(FILES))
    ).all()
    if len(rows) < len(FILES):
        raise DataError(
            f"init_from: the model {spec.init_from} no longer exists",
            hint="Submit the job again from another model, or without init_from.",
        )
    return {row.path: row.blob_id for row in rows}

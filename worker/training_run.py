"""From a claimed job to stored models: load, train, store, verify, succeed. Runs in the training process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.jobs.claims import Claim, hold
from app.jobs.results import FinishedModel, succeed
from app.storage.blobs import BlobInfo, BlobStore, BlobWriter
from worker.blob_files import read_interactions, upload_bytes
from worker.durably import durably
from worker.hints import UPLOAD_AGAIN
from worker.initial_model import find_initial, read_initial
from worker.job_checkpoints import CHECKPOINT_TYPE, JobCheckpoints
from worker.resources import Resources
from worker.sinks import JobProgress
from worker.training.experiment import ExperimentResult, TrainedModel, run_experiment
from worker.training.progress import CheckpointElsewhereError, Control, DataError
from worker.training.runtime import Runtime, peak_memory_bytes
from worker.training.spec import TrainSpec

_MEDIA_TYPES = {
    ".safetensors": CHECKPOINT_TYPE,
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
}


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

    def inputs(session: Session) -> tuple[TrainSpec, str, dict[str, str]]:
        job = hold(session, claimed)
        spec = TrainSpec.model_validate(job.spec)
        return spec, _interactions_of(session, job), find_initial(session, job.project_id, spec)

    spec, blob_id, initial_blobs = durably(resources.database, inputs)
    interactions = read_interactions(resources.blobs, blob_id, folder / "interactions.parquet", beat=beat)
    initial = read_initial(resources.blobs, spec, initial_blobs)
    beat()
    runtime = Runtime(device=settings.device, threads=settings.threads)
    device = runtime.prepare()
    found(runtime.environment(device))
    checkpoints = JobCheckpoints(resources.database, resources.blobs, claimed, beat=beat)

    def run() -> ExperimentResult:
        return run_experiment(
            spec,
            interactions,
            progress=progress,
            checkpoints=checkpoints,
            runtime=runtime,
            initial=initial,
        )

    try:
        result = run()
    except CheckpointElsewhereError as error:
        # An upgrade or another machine must not cost an accepted job, nor may its bits be half of each.
        progress.begin_anew(f"Nothing of what was trained is used: {error}.")
        checkpoints.discard_all()
        result = run()
    progress.phase("packaging")
    store(claimed, result, resources=resources, beat=beat, peak_memory_bytes=peak_memory_bytes(device))


def store(
    claimed: Claim,
    result: ExperimentResult,
    *,
    resources: Resources,
    beat: Callable[[], None],
    peak_memory_bytes: int | None = None,
) -> list[str]:
    """Write every file, read every one back, and only then let the job succeed. Returns the models' ids."""
    written = [
        _Written(model, _write(resources.blobs, result.files_of(model), beat)) for model in result.models
    ]
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
            peak_memory_bytes=peak_memory_bytes,
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
        media_type = _MEDIA_TYPES.get(Path(path).suffix, "application/octet-stream")
        files.append((path, upload_bytes(content, blobs, media_type)))
        beat()
    return tuple(files)


def _interactions_of(session: Session, job: Job) -> str:
    """Blob of the data set's interactions, if it is still the one that the job was made for."""
    dataset = session.get(Dataset, job.dataset_id) if job.dataset_id is not None else None
    if dataset is None or dataset.canonical_blob is None:
        raise DataError("the data set of this job no longer exists", hint=UPLOAD_AGAIN)
    if dataset.sha256 != job.dataset_facts.get("sha256"):
        raise DataError("the data set is not the one that this job was made for", hint=UPLOAD_AGAIN)
    return dataset.canonical_blob

"""The end of a job that went well: models, report and status in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_file import JobFile
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.jobs.claims import Claim, hold
from app.jobs.estimate_scores import score
from app.jobs.life import Status, move
from app.models.names import next_version, usable_name
from app.storage.blobs import BlobInfo
from worker.training.shares import chosen_settings


@dataclass(frozen=True)
class FinishedModel:
    """A trained model whose files are stored and were read back: (path in the model's folder, blob)."""

    arm: str
    seed: int
    metrics: dict[str, Any]
    files: tuple[tuple[str, BlobInfo], ...]


def succeed(
    session: Session,
    claimed: Claim,
    *,
    models: Sequence[FinishedModel],
    report: dict[str, Any],
    report_markdown: str,
    documents: Sequence[tuple[str, BlobInfo]] = (),
    stop_reason: str | None = None,
    peak_memory_bytes: int | None = None,
) -> list[str]:
    """Register the models, keep the report, and move the job to `succeeded`. Returns the models' ids.

    `documents` are what there is to read, by path: stored and read back, as the models' files are.
    `peak_memory_bytes` is what the training process had at its largest, to score the estimate by.

    Raises:
        LeaseLost: The claim is no longer good; nothing was written.
        JobStateError: The job is being cancelled; nothing was written.

    """
    job = hold(session, claimed)
    # Versions are counted name by name: two jobs that end together must not wait for each other's names.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(job.project_id, 0))))
    rows = [_register(session, job, model, report) for model in models]
    job.report = report
    job.report_markdown = report_markdown
    session.add_all(
        JobFile(
            job_id=job.id,
            path=path,
            blob_id=blob.id,
            bytes=blob.size,
            sha256=blob.sha256,
            media_type=blob.content_type,
        )
        for path, blob in documents
    )
    job.stop_reason = stop_reason
    job.progress = {**(job.progress or {}), "fraction": 1.0, "eta_at": None}
    kept = "1 model is" if len(rows) == 1 else f"{len(rows)} models are"
    move(session, job, Status.SUCCEEDED, message=f"The job succeeded; {kept} stored and verified.")
    score(session, job, peak_memory_bytes=peak_memory_bytes)
    return [row.id for row in rows]


def _register(session: Session, job: Job, finished: FinishedModel, report: Mapping[str, Any]) -> Model:
    base = job.name or str(job.dataset_facts.get("name") or job.id)
    name = usable_name(f"{base}-{job.spec['model']}-{finished.arm}")
    row = Model(
        project_id=job.project_id,
        name=name,
        version=next_version(session, job.project_id, name),
        job_id=job.id,
        job_facts={
            "id": job.id,
            "name": job.name,
            "spec": {**job.spec, **chosen_settings(report).get(finished.arm, {})},
            "labels": job.labels,
            "protocol_hash": report.get("protocol_hash"),
        },
        dataset_id=job.dataset_id,
        dataset_facts=job.dataset_facts,
        architecture=str(job.spec["model"]),
        arm=finished.arm,
        seed=finished.seed,
        metrics=finished.metrics,
    )
    session.add(row)
    session.flush()
    session.add_all(
        ModelFile(
            model_id=row.id,
            path=path,
            blob_id=blob.id,
            bytes=blob.size,
            sha256=blob.sha256,
            media_type=blob.content_type,
        )
        for path, blob in finished.files
    )
    session.flush()
    return row

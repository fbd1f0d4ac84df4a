"""What is compared: arms of jobs, models and evaluations, each with its test users' figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.comparisons.schemas import Kind
from app.db.models.evaluation import Evaluation
from app.db.models.job import Job
from app.db.models.job_file import JobFile
from app.db.models.model import Model
from app.errors import ConflictError, NotFoundError
from app.models.queries import find as find_model
from app.state_errors import JobStateError
from app.storage.blobs import BlobStore
from worker.training.evaluation.outcomes import (
    OUTCOMES_FILE,
    Outcomes,
    OutcomesUnreadableError,
    UInt64,
    read_outcomes,
)

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: an arm of a job, a model, or an evaluation.

    protocol, content: as in its report. users: uint64[E]; figures: by seed, then by name, float32[E].
    """

    kind: Kind
    id: str
    name: str
    job: str | None
    model: str | None
    evaluation: str | None
    arm: str
    protocol: Mapping[str, Any]
    protocol_hash: str
    content: str
    users: UInt64
    figures: Mapping[int, Mapping[str, npt.NDArray[np.float32]]]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that it was trained with."""
        return tuple(self.figures)

    @property
    def label(self) -> str:
        """What it is called in words."""
        return f"{self.arm} of {self.name}" if self.kind == "job" else f"{self.name} ({self.arm})"

    def of_users(self, metric: str, seeds: Sequence[int] | None = None) -> Float64 | None:
        """float64[E]: each user's figure, its mean over the seeds; None where it was not measured."""
        chosen = [self.figures[seed] for seed in (self.seeds if seeds is None else seeds)]
        if not chosen or any(metric not in by_name for by_name in chosen):
            return None
        mean: Float64 = np.mean([by_name[metric].astype(np.float64) for by_name in chosen], axis=0)
        return mean


def of_job(session: Session, blobs: BlobStore, project_id: str, job_id: str) -> Iterator[Side]:
    """Every arm of a job, in its order.

    Raises:
        NotFoundError: The project has no such job.
        JobStateError: It has not succeeded (`report_not_ready`).
        ConflictError: It was run by a version that kept no users' figures (`outcomes_not_kept`).

    """
    yield from _of_job(session, blobs, project_id, job_id, pointer="?jobs")


def of_model(session: Session, blobs: BlobStore, project_id: str, model_id: str) -> Side:
    """A model, as it was measured by its job. Raises as `of_job` does."""
    model = find_model(session, project_id, model_id)
    if model is None:
        raise NotFoundError.of("model", model_id, pointer="?models")
    if model.job_id is None:
        raise _not_kept(
            f"The job of model {model.id} was deleted, and its users' figures with it.", "?models"
        )
    for side in _of_job(session, blobs, project_id, model.job_id, pointer="?models"):
        if side.arm == model.arm and model.seed in side.figures:
            return _as_model(side, model)
    raise _not_kept(f"The job of model {model.id} kept no figures of its users.", "?models")


def of_evaluation(session: Session, blobs: BlobStore, project_id: str, evaluation_id: str) -> Side:
    """An evaluation. NotFoundError; ConflictError (`report_not_ready`) when it has not succeeded."""
    row = session.get(Evaluation, evaluation_id)
    if row is None or row.project_id != project_id:
        raise NotFoundError.of("evaluation", evaluation_id, pointer="?evaluations")
    if row.report is None or row.outcomes_blob is None:
        raise ConflictError(
            f"Evaluation {row.id} is {row.status} and has no figures.",
            code="report_not_ready",
            pointer="?evaluations",
            hint="Compare it once it has succeeded.",
        )
    outcomes = _outcomes(blobs, row.outcomes_blob)
    (((arm, seed), figures),) = outcomes.figures.items()
    return Side(
        kind="evaluation",
        id=row.id,
        name=row.name or f"{row.model_facts['name']}@{row.model_facts['version']}",
        job=row.model_facts["job"],
        model=row.model_facts["id"],
        evaluation=row.id,
        arm=arm,
        protocol=row.report["protocol"],
        protocol_hash=row.report["protocol_hash"],
        content=row.report["dataset"]["content_sha256"],
        users=outcomes.users,
        figures={seed: figures},
    )


def _of_job(session: Session, blobs: BlobStore, project_id: str, job_id: str, *, pointer: str) -> list[Side]:
    statement = select(
        Job.status,
        Job.name,
        Job.spec["arms"].label("arms"),
        Job.report["protocol"].label("protocol"),
        Job.report["protocol_hash"].astext.label("protocol_hash"),
        Job.report["dataset"]["content_sha256"].astext.label("content"),
    ).where(Job.id == job_id, Job.project_id == project_id)
    job = session.execute(statement).one_or_none()
    if job is None:
        raise NotFoundError.of("job", job_id, pointer=pointer)
    if job.status != "succeeded":
        raise JobStateError(
            f"Job {job_id} is {job.status} and has no figures.",
            code="report_not_ready",
            pointer=pointer,
            hint="Compare it once it has succeeded.",
            extra={"job_status": job.status},
        )
    kept = session.get(JobFile, (job_id, OUTCOMES_FILE))
    if kept is None or job.content is None:
        raise _not_kept(f"Job {job_id} was run by a version that kept no figures of single users.", pointer)
    outcomes = _outcomes(blobs, kept.blob_id)
    return [
        Side(
            kind="job",
            id=job_id,
            name=job.name or job_id,
            job=job_id,
            model=None,
            evaluation=None,
            arm=arm,
            protocol=job.protocol,
            protocol_hash=job.protocol_hash,
            content=job.content,
            users=outcomes.users,
            figures={seed: by_name for (of, seed), by_name in outcomes.figures.items() if of == arm},
        )
        for arm in job.arms
        if any(of == arm for of, _ in outcomes.figures)
    ]


def _as_model(side: Side, model: Model) -> Side:
    return Side(
        kind="model",
        id=model.id,
        name=f"{model.name}@{model.version}",
        job=side.job,
        model=model.id,
        evaluation=None,
        arm=side.arm,
        protocol=side.protocol,
        protocol_hash=side.protocol_hash,
        content=side.content,
        users=side.users,
        figures={model.seed: side.figures[model.seed]},
    )


def _outcomes(blobs: BlobStore, blob_id: str) -> Outcomes:
    try:
        return read_outcomes(b"".join(blobs.read(blob_id)))
    except OutcomesUnreadableError as error:
        raise ConflictError(
            f"Stored figures cannot be read: {error}.",
            code="outcomes_unreadable",
            pointer="",
            hint="Run POST /v1/evaluations on the model, and compare that.",
        ) from error


def _not_kept(detail: str, pointer: str) -> ConflictError:
    return ConflictError(
        detail,
        code="outcomes_not_kept",
        pointer=pointer,
        hint="Measure the models anew: POST /v1/evaluations on the same data set, then compare those.",
    )

"""Jobs as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.db.models.job import Job
from app.jobs import examples
from app.jobs.estimate_schemas import Estimate
from app.jobs.life import Status
from app.jobs.surroundings import Columns, Surroundings


class JobProgress(BaseModel):
    """How far a job is; `fraction` is of the whole job."""

    model_config = ConfigDict(extra="allow")

    fraction: float = 0.0
    epoch: int | None = None
    step: int | None = None
    total_steps: int | None = None
    examples_per_second: float | None = None
    eta_at: datetime | None = None


class JobQueue(BaseModel):
    """Where a queued job stands, 1 being next, and why it waits."""

    position: int
    reason: str
    code: str = Field(description="waiting_for_worker, no_worker_alive or starting")


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    hint: str | None = None
    phase: str | None = None
    attempt: int | None = None
    retryable: bool = False


class JobAttemptObject(BaseModel):
    """One worker's attempt at a job."""

    attempt: int
    worker: str
    outcome: str = Field(description="running, succeeded, failed, cancelled, paused, released or lost")
    started_at: datetime
    ended_at: datetime | None
    error: JobError | None
    environment: dict[str, Any] | None


class StatusChange(BaseModel):
    """One move of a job."""

    status: str
    at: datetime
    message: str


class JobObject(BaseModel):
    """A training job."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.JOB]})

    id: str
    object: Literal["job"] = "job"
    name: str | None
    status: Status
    phase: str | None = Field(
        description="preparing, training, evaluating, attacking, stability or packaging"
    )
    arm: str | None
    seed: int | None
    dataset: str
    dataset_facts: dict[str, Any]
    model: str
    arms: list[str]
    spec: dict[str, Any]
    labels: dict[str, str]
    priority: int
    max_runtime: int | None
    max_pending: int | None
    estimate: Estimate | None
    progress: JobProgress
    queue: JobQueue | None
    attempts: list[JobAttemptObject]
    status_history: list[StatusChange]
    error: JobError | None
    stop_reason: str | None
    models: list[str]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, row: Job | Columns, beside: Surroundings) -> Self:
        """The object of a row, or of its columns as a query found them, and what is beside it."""
        return cls(
            id=row.id,
            name=row.name,
            status=Status(row.status),
            phase=row.phase,
            arm=row.arm,
            seed=row.seed,
            dataset=row.dataset_facts["id"],
            dataset_facts=row.dataset_facts,
            model=row.spec["model"],
            arms=row.spec["arms"],
            spec=row.spec,
            labels=row.labels,
            priority=row.priority,
            max_runtime=row.max_runtime,
            max_pending=row.max_pending,
            estimate=Estimate.model_validate(row.estimate) if row.estimate else None,
            progress=JobProgress.model_validate(row.progress or {}),
            queue=JobQueue.model_validate(vars(beside.waiting)) if beside.waiting else None,
            attempts=[JobAttemptObject.model_validate(attempt) for attempt in beside.attempts],
            status_history=[StatusChange.model_validate(move) for move in beside.moves],
            error=JobError.model_validate(row.error) if row.error else None,
            stop_reason=row.stop_reason,
            models=beside.models,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            updated_at=row.updated_at,
        )


class JobDeleted(BaseModel):
    """A deleted job, the models deleted with it, and the bytes that this freed."""

    id: str
    object: Literal["job"] = "job"
    deleted: Literal[True] = True
    models: list[str]
    freed_bytes: int

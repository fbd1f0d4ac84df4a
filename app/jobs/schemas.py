"""Jobs as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.job_metric import JobMetric
from app.jobs import examples
from app.jobs.life import Status
from app.jobs.queries import Surroundings
from app.numbers import NUMBER
from worker.training.spec import TrainSpec

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
MOST_LABELS = 32


class JobCreate(TrainSpec):
    """A job: a data set, and any training setting by name; every one has a default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dataset": examples.DATASET_ID}]})

    dataset: str = Field(max_length=64)
    """Id of the data set to train on; it must be `ready`."""
    name: str | None = Field(default=None, min_length=1, max_length=200)
    """What you call the job; its models are named after it."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=MOST_LABELS)
    """Your own marks; kept, shown, and otherwise ignored."""
    priority: Annotated[int, Field(ge=-10, le=10), NUMBER] = 0
    """The highest is trained first, and of equals the one that waits longest."""
    max_runtime: Annotated[int, Field(ge=1), NUMBER] | None = None
    """Seconds that it may run, all attempts together. What was trained by then is measured and kept; with
    nothing to keep it fails. By default the service's limit (`GET /v1/capabilities`)."""
    max_pending: Annotated[int, Field(ge=1), NUMBER] | None = None
    """Seconds that it may wait in the queue; then it fails (`max_pending_exceeded`)."""


class JobChange(BaseModel):
    """What of a job may be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=200)
    """What you call the job from now on; null takes the name away. Models that are there keep theirs."""
    labels: dict[LabelKey, LabelValue | None] = Field(default_factory=dict, max_length=MOST_LABELS)
    """Labels to set; null takes one away, and those not named stay."""
    priority: Annotated[int, Field(ge=-10, le=10), NUMBER] | None = None
    """From now on; only while the job is queued or paused."""


class EstimatedSeconds(BaseModel):
    """Seconds on a worker, all attempts together, without time in the queue."""

    low: float
    expected: float
    high: float


class Estimate(BaseModel):
    """What a job is expected to take; when it has succeeded, what it took."""

    seconds: EstimatedSeconds
    peak_memory_bytes: int
    stored_bytes: int
    basis: str = Field(description="history: from finished jobs; model: a formula alone")
    sample_jobs: int = Field(description="How many finished jobs it is from.")
    models: int
    epochs: int = Field(description="At most; early stopping ends an arm sooner.")
    interactions_per_epoch: int
    interactions: int
    actual_seconds: float | None = None
    ratio: float | None = Field(default=None, description="Actual seconds over expected ones.")


class JobValidation(BaseModel):
    """A job that would be accepted, as it would be run."""

    object: Literal["job.validation"] = "job.validation"
    valid: Literal[True] = True
    dataset: str
    spec: dict[str, Any]
    estimate: Estimate


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
    def of(cls, row: Job, beside: Surroundings) -> Self:
        """The object of a row and what is beside it."""
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
            attempts=[JobAttemptObject.model_validate(a, from_attributes=True) for a in beside.attempts],
            status_history=[
                StatusChange(status=move.data["to"], at=move.created_at, message=move.message)
                for move in beside.moves
            ],
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


class EventObject(BaseModel):
    """Something that happened to a job."""

    id: str
    object: Literal["event"] = "event"
    sequence: int
    type: str
    level: str
    message: str
    data: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, row: JobEvent) -> Self:
        """The object of a row."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields if name != "object"})


class EpochObject(BaseModel):
    """One finished epoch of one arm and seed; losses are means over targets."""

    id: str = Field(description="seed-arm-epoch")
    object: Literal["epoch"] = "epoch"
    seed: int
    arm: str = Field(description="an arm, or `warmup`, which the arms of a seed share")
    epoch: int
    attempt: int
    loss: float
    loss_match: float | None
    loss_history: float | None
    validation: dict[str, float] | None
    seconds: float

    @classmethod
    def of(cls, row: JobMetric) -> Self:
        """The object of a row."""
        own = {name: getattr(row, name) for name in cls.model_fields if name not in {"id", "object"}}
        return cls.model_validate({"id": f"{row.seed}-{row.arm}-{row.epoch}", **own})


class CheckpointObject(BaseModel):
    """A stored state of a run; its content is one safetensors file."""

    id: str
    object: Literal["checkpoint"] = "checkpoint"
    job: str
    kind: str = Field(description="warmup, progress or best")
    arm: str
    seed: int
    epoch: int
    step: int
    attempt: int
    bytes: int
    sha256: str
    created_at: datetime

    @classmethod
    def of(cls, row: Checkpoint) -> Self:
        """The object of a row."""
        own = {name: getattr(row, name) for name in cls.model_fields if name not in {"job", "object"}}
        return cls.model_validate({"job": row.job_id, **own})

"""What a job is expected to take, as clients see it, with or without the job."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class EstimatedSeconds(BaseModel):
    """Seconds on a worker, all attempts together, without time in the queue."""

    low: float
    expected: float
    high: float


class EstimateProbe(BaseModel):
    """The probe that an estimate goes by; or, with `code` and `message`, why there is none to go by."""

    id: str | None = None
    made_at: datetime | None = None
    device: str | None = None
    device_name: str | None = None
    threads: int | None = None
    code: str | None = None
    message: str | None = None


class Estimate(BaseModel):
    """What a job is expected to take; when it has succeeded, what it took."""

    seconds: EstimatedSeconds
    peak_memory_bytes: int
    stored_bytes: int
    basis: str = Field(
        description="probe: a few steps, timed on a worker; history: finished jobs; model: a formula alone"
    )
    sample_jobs: int = Field(description="How many finished jobs it is from; of a probe's, the epochs only.")
    probe: EstimateProbe | None = None
    models: int
    epochs: int = Field(description="At most; early stopping ends an arm sooner.")
    interactions_per_epoch: int
    interactions: int
    actual_seconds: float | None = None
    actual_peak_memory_bytes: int | None = Field(default=None, description="Of the attempt that succeeded.")
    actual_stored_bytes: int | None = None
    ratio: float | None = Field(default=None, description="Actual seconds over expected ones.")


class JobValidation(BaseModel):
    """A job that would be accepted, as it would be run."""

    object: Literal["job.validation"] = "job.validation"
    valid: Literal[True] = True
    dataset: str
    spec: dict[str, Any]
    estimate: Estimate

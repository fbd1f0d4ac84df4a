"""Parts of jobs as types: why one waits, its attempts, its steps, what it was expected to take.

Plain dicts, as the service sent them, with whatever fields a newer one adds; times are RFC 3339 in UTC. A
test holds them to the service's OpenAPI document.
"""

from __future__ import annotations

from typing import Any, TypedDict


class JobQueue(TypedDict):
    """Where a waiting job stands, 1 being next, and why it waits; branch on `code`."""

    position: int
    reason: str
    code: str


class AttemptError(TypedDict):
    """Why an attempt failed; branch on `code`."""

    code: str
    message: str
    hint: str | None
    phase: str | None
    attempt: int | None
    retryable: bool


class JobAttempt(TypedDict):
    """One attempt of a worker at a job."""

    attempt: int
    worker: str
    outcome: str
    started_at: str
    ended_at: str | None
    error: AttemptError | None
    environment: dict[str, Any] | None


class StatusChange(TypedDict):
    """One step of a job's life."""

    status: str
    at: str
    message: str


class EstimateSeconds(TypedDict):
    """Seconds on a worker, all attempts together, without time in the queue."""

    low: float
    expected: float
    high: float


class ProbeFacts(TypedDict):
    """The probe that an estimate goes by; or, with `code` and `message`, why there is none to go by."""

    id: str | None
    made_at: str | None
    device: str | None
    device_name: str | None
    threads: int | None
    code: str | None
    message: str | None


class JobEstimate(TypedDict):
    """What a job was expected to take, and once it has succeeded what it took; `ratio` is of the seconds."""

    seconds: EstimateSeconds
    peak_memory_bytes: int
    stored_bytes: int
    basis: str
    sample_jobs: int
    probe: ProbeFacts | None
    models: int
    epochs: int
    interactions_per_epoch: int
    interactions: int
    actual_seconds: float | None
    actual_peak_memory_bytes: int | None
    actual_stored_bytes: int | None
    ratio: float | None


class Fit(TypedDict):
    """What jobs took over what was estimated: the median, and the share of jobs within a factor of 2."""

    jobs: int
    median_ratio: float | None
    within_factor_2: float | None


class FitOfBasis(TypedDict):
    """How well estimates of one basis fitted, by what they estimate."""

    seconds: Fit
    peak_memory_bytes: Fit
    stored_bytes: Fit


class EstimateAccuracy(Fit):
    """How well the project's estimates of seconds fitted so far; `by_basis` has all that they estimate."""

    by_basis: dict[str, FitOfBasis]

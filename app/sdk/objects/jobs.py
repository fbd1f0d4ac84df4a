"""Jobs: how far they are, how they ended, and what happened to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.sdk.answers.jobs import JobAttempt, JobEstimate, JobQueue, StatusChange
from app.sdk.objects.fields import JSON, TERMINAL_STATUSES, read_time


@dataclass(frozen=True)
class JobProgress:
    """How far a job is: `fraction` of the whole (0 to 1), the current arm's epoch, and when it should end."""

    fraction: float = 0.0
    epoch: int | None = None
    step: int | None = None
    total_steps: int | None = None
    examples_per_second: float | None = None
    eta_at: datetime | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> JobProgress:
        """Read a job's `progress`."""
        return cls(
            fraction=float(body.get("fraction") or 0.0),
            epoch=body.get("epoch"),
            step=body.get("step"),
            total_steps=body.get("total_steps"),
            examples_per_second=body.get("examples_per_second"),
            eta_at=read_time(body.get("eta_at")),
        )


@dataclass(frozen=True)
class JobError:
    """Why a job failed. Branch on `code`; `hint` says what to change."""

    code: str
    message: str
    hint: str = ""
    phase: str | None = None
    attempt: int | None = None
    retryable: bool = False

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> JobError:
        """Read a failed job's `error`."""
        return cls(
            code=str(body.get("code") or "internal"),
            message=str(body.get("message") or ""),
            hint=str(body.get("hint") or ""),
            phase=body.get("phase"),
            attempt=body.get("attempt"),
            retryable=bool(body.get("retryable", False)),
        )


@dataclass(frozen=True)
class Job:
    """A training job. `models` are ids; `spec` is every setting as it is run.

    `queue` says where it stands while it waits, and is None otherwise.
    """

    id: str
    name: str | None
    status: str
    phase: str | None
    arm: str | None
    seed: int | None
    dataset: str
    model: str
    arms: tuple[str, ...]
    spec: JSON
    progress: JobProgress
    queue: JobQueue | None
    attempts: tuple[JobAttempt, ...]
    status_history: tuple[StatusChange, ...]
    error: JobError | None
    models: tuple[str, ...]
    labels: dict[str, str]
    priority: int
    estimate: JobEstimate | None
    stop_reason: str | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in TERMINAL_STATUSES

    @classmethod
    def from_json(cls, body: JSON) -> Job:
        """Read the service's job object."""
        error = body.get("error")
        return cls(
            id=str(body["id"]),
            name=body.get("name"),
            status=str(body.get("status") or ""),
            phase=body.get("phase"),
            arm=body.get("arm"),
            seed=body.get("seed"),
            dataset=str(body.get("dataset") or ""),
            model=str(body.get("model") or ""),
            arms=tuple(body.get("arms") or ()),
            spec=dict(body.get("spec") or {}),
            progress=JobProgress.from_json(body.get("progress") or {}),
            queue=body.get("queue"),
            attempts=tuple(body.get("attempts") or ()),
            status_history=tuple(body.get("status_history") or ()),
            error=JobError.from_json(error) if error else None,
            models=tuple(body.get("models") or ()),
            labels=dict(body.get("labels") or {}),
            priority=int(body.get("priority") or 0),
            estimate=body.get("estimate"),
            stop_reason=body.get("stop_reason"),
            created_at=read_time(body.get("created_at")),
            started_at=read_time(body.get("started_at")),
            ended_at=read_time(body.get("ended_at")),
            raw=body,
        )


@dataclass(frozen=True)
class Event:
    """One entry of a job's history; `sequence` counts from 1 within the job."""

    id: str
    sequence: int
    type: str
    level: str
    message: str
    data: JSON
    created_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Event:
        """Read one event."""
        return cls(
            id=str(body["id"]),
            sequence=int(body.get("sequence") or 0),
            type=str(body.get("type") or ""),
            level=str(body.get("level") or "info"),
            message=str(body.get("message") or ""),
            data=dict(body.get("data") or {}),
            created_at=read_time(body.get("created_at")),
            raw=body,
        )

"""What a job is expected to take, and a job that was checked without submitting it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.sdk.objects.fields import JSON, read_time


@dataclass(frozen=True)
class Seconds:
    """Seconds on a worker, all attempts together, without time in the queue."""

    low: float
    expected: float
    high: float

    @classmethod
    def from_json(cls, body: JSON) -> Seconds:
        """Read an estimate's `seconds`."""
        return cls(
            low=float(body.get("low") or 0.0),
            expected=float(body.get("expected") or 0.0),
            high=float(body.get("high") or 0.0),
        )


@dataclass(frozen=True)
class EstimateProbe:
    """The probe that an estimate goes by; or, with `code` and `message`, why there is none to go by."""

    id: str | None = None
    made_at: datetime | None = None
    device: str | None = None
    device_name: str | None = None
    threads: int | None = None
    code: str | None = None
    message: str | None = None

    @classmethod
    def from_json(cls, body: JSON) -> EstimateProbe:
        """Read an estimate's `probe`."""
        return cls(
            id=body.get("id"),
            made_at=read_time(body.get("made_at")),
            device=body.get("device"),
            device_name=body.get("device_name"),
            threads=body.get("threads"),
            code=body.get("code"),
            message=body.get("message"),
        )


@dataclass(frozen=True)
class Estimate:
    """What a job is expected to take. `basis` is probe, history or model; `epochs` are those allowed."""

    seconds: Seconds
    peak_memory_bytes: int
    stored_bytes: int
    basis: str
    sample_jobs: int
    probe: EstimateProbe | None
    models: int
    epochs: int
    interactions_per_epoch: int
    interactions: int
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Estimate:
        """Read the service's estimate."""
        probe = body.get("probe")
        return cls(
            seconds=Seconds.from_json(body.get("seconds") or {}),
            peak_memory_bytes=int(body.get("peak_memory_bytes") or 0),
            stored_bytes=int(body.get("stored_bytes") or 0),
            basis=str(body.get("basis") or ""),
            sample_jobs=int(body.get("sample_jobs") or 0),
            probe=EstimateProbe.from_json(probe) if probe else None,
            models=int(body.get("models") or 0),
            epochs=int(body.get("epochs") or 0),
            interactions_per_epoch=int(body.get("interactions_per_epoch") or 0),
            interactions=int(body.get("interactions") or 0),
            raw=body,
        )


@dataclass(frozen=True)
class JobValidation:
    """A job that would be accepted; `spec` is every setting as it would be run."""

    dataset: str
    spec: JSON
    estimate: Estimate
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> JobValidation:
        """Read the answer to `validate_only`."""
        return cls(
            dataset=str(body.get("dataset") or ""),
            spec=dict(body.get("spec") or {}),
            estimate=Estimate.from_json(body.get("estimate") or {}),
            raw=body,
        )

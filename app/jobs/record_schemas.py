"""What a job leaves behind while it runs, as clients see it: events, epochs, checkpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from app.db.models.checkpoint import Checkpoint
from app.db.models.job_event import JobEvent
from app.db.models.job_metric import JobMetric


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
    arm: str = Field(
        description="an arm, at a share that is searched (`cascade_at_0.1`), or `warmup`, which arms share"
    )
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

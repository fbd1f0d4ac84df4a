"""What clients may ask for: a job, checked before there is one, and what may be changed of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.examples import DATASET_ID
from app.numbers import NUMBER
from worker.training.spec import TrainSpec

LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
MOST_LABELS = 32


class JobCreate(TrainSpec):
    """A job: a data set, and any training setting by name; every one has a default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dataset": DATASET_ID}]})

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

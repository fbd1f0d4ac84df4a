"""What a project may use and how long its things are kept: its own numbers, or those of the settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.config import Settings
from app.db.models.project import Project
from app.numbers import NUMBER

Number = (
    Annotated[int, Field(ge=0, le=2**53), NUMBER] | None
)  # the largest whole number that every JSON reader keeps
Days = Annotated[int, Field(ge=0, le=36_500), NUMBER] | None


class Limits(BaseModel):
    """What a project may use. 0 is no limit, null what the service's settings say."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    rows: Number = None
    """Interactions in all its data sets."""
    stored_bytes: Number = None
    """Bytes of its data sets, checkpoints, models, reports and uploads."""
    jobs_at_once: Number = None
    """Jobs that are queued or running."""
    evaluations_at_once: Number = None
    """Evaluations that are queued or running."""
    batches_at_once: Number = None
    """Batches of recommendations that are queued or running."""
    jobs_a_day: Number = None
    """Jobs submitted on one day (UTC)."""
    runtime_seconds_a_month: Number = None
    """Seconds that its jobs train in one calendar month (UTC)."""


class Retention(BaseModel):
    """After how many days what is left goes away. 0 is never, null what the service's settings say."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    checkpoints_days: Days = None
    """Checkpoints of jobs that ended so long ago; models, reports and figures stay."""
    events_days: Days = None
    """Events and log lines of jobs that ended so long ago; statuses and their epochs' metrics stay."""


def limits_of(project: Project, settings: Settings) -> Limits:
    """The limits that hold: all are numbers."""
    return Limits(
        **{name: project.limits.get(name, getattr(settings, f"quota_{name}")) for name in Limits.model_fields}
    )


def retention_of(project: Project, settings: Settings) -> Retention:
    """The days that hold: all are numbers."""
    return Retention(
        **{
            name: project.retention.get(name, getattr(settings, f"retain_{name}"))
            for name in Retention.model_fields
        }
    )

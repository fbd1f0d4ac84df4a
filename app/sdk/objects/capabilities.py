"""What a service can do: models, settings, attacks, limits, and the workers that are alive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from app.sdk.answers.jobs import EstimateAccuracy
from app.sdk.objects.fields import JSON, read_time


@dataclass(frozen=True)
class Choice:
    """One of the models, arms or presets; a preset's `settings` are by model."""

    name: str
    description: str
    settings: Mapping[str, JSON] = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: JSON) -> Choice:
        """Read one of them."""
        return cls(
            name=str(body.get("name") or ""),
            description=str(body.get("description") or ""),
            settings=dict(body.get("settings") or {}),
        )


@dataclass(frozen=True)
class Worker:
    """A worker process that was seen lately, and the versions of what it runs on."""

    id: str
    queue: str
    device: str | None
    versions: JSON
    seen_at: datetime | None

    @classmethod
    def from_json(cls, body: JSON) -> Worker:
        """Read one of `workers[]`."""
        return cls(
            id=str(body.get("id") or ""),
            queue=str(body.get("queue") or ""),
            device=body.get("device"),
            versions=dict(body.get("versions") or {}),
            seen_at=read_time(body.get("seen_at")),
        )


@dataclass(frozen=True)
class Capabilities:
    """What a service can do.

    `spec`: all training settings as JSON Schema. `attacks`: choices by what they choose. `estimates`: how
    well the project's estimates fitted so far.
    """

    models: tuple[Choice, ...]
    arms: tuple[Choice, ...]
    losses: tuple[str, ...]
    presets: tuple[Choice, ...]
    spec: JSON
    attacks: Mapping[str, tuple[str, ...]]
    formats: tuple[str, ...]
    limits: Mapping[str, float]
    workers: tuple[Worker, ...]
    devices: tuple[str, ...]
    estimates: EstimateAccuracy
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Capabilities:
        """Read the service's object."""
        return cls(
            models=tuple(Choice.from_json(one) for one in body.get("models") or ()),
            arms=tuple(Choice.from_json(one) for one in body.get("arms") or ()),
            losses=tuple(body.get("losses") or ()),
            presets=tuple(Choice.from_json(one) for one in body.get("presets") or ()),
            spec=dict(body.get("spec") or {}),
            attacks={name: tuple(values) for name, values in (body.get("attacks") or {}).items()},
            formats=tuple(body.get("formats") or ()),
            limits=dict(body.get("limits") or {}),
            workers=tuple(Worker.from_json(one) for one in body.get("workers") or ()),
            devices=tuple(body.get("devices") or ()),
            estimates=cast("EstimateAccuracy", dict(body.get("estimates") or {})),
            raw=body,
        )

"""Comparisons of jobs, models and evaluations, user by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.sdk.evaluations import Evaluation
from app.sdk.objects.fields import JSON, id_of
from app.sdk.objects.jobs import Job
from app.sdk.objects.models import Model
from app.sdk.transport import Transport


@dataclass(frozen=True)
class MetricDifference:
    """`value` less `baseline`, with a 95 % bootstrap interval over `n` users; significant: without 0."""

    value: float
    baseline: float
    difference: float
    low: float
    high: float
    significant: bool
    n: int


@dataclass(frozen=True)
class ComparedThing:
    """An arm of a job, a model or an evaluation (`type`); its differences from the baseline, by metric."""

    type: str
    id: str
    name: str
    arm: str
    seeds: tuple[int, ...]
    metrics: Mapping[str, MetricDifference]

    @classmethod
    def from_json(cls, body: JSON) -> ComparedThing:
        """Read the service's object; the baseline has no metrics."""
        return cls(
            type=str(body["type"]),
            id=str(body["id"]),
            name=str(body["name"]),
            arm=str(body["arm"]),
            seeds=tuple(body["seeds"]),
            metrics={name: MetricDifference(**one) for name, one in body.get("metrics", {}).items()},
        )


@dataclass(frozen=True)
class Comparison:
    """Differences of others from a baseline; not paired when they were not measured alike."""

    paired: bool
    baseline: ComparedThing
    others: tuple[ComparedThing, ...]
    verdict: str
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Comparison:
        """Read the service's object."""
        return cls(
            paired=bool(body["paired"]),
            baseline=ComparedThing.from_json(body["baseline"]),
            others=tuple(ComparedThing.from_json(one) for one in body["others"]),
            verdict=str(body["verdict"]),
            raw=body,
        )


def query_of(
    jobs: Sequence[str | Job],
    models: Sequence[str | Model],
    evaluations: Sequence[str | Evaluation],
    **settings: Any,
) -> dict[str, Any]:
    """The query of `GET /v1/compare`; ids may be given as objects."""
    lists = {"jobs": jobs, "models": models, "evaluations": evaluations}
    ids = {name: ",".join(id_of(one) for one in things) or None for name, things in lists.items()}
    return {**ids, **settings}


def compare(transport: Transport, query: Mapping[str, Any]) -> Comparison:
    """Ask the service."""
    return Comparison.from_json(transport.json("GET", "/v1/compare", params=query))

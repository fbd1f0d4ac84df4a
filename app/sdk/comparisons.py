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

    @classmethod
    def from_json(cls, body: JSON) -> MetricDifference:
        """Read one of a thing's `metrics`."""
        return cls(
            value=float(body["value"]),
            baseline=float(body["baseline"]),
            difference=float(body["difference"]),
            low=float(body["low"]),
            high=float(body["high"]),
            significant=bool(body["significant"]),
            n=int(body["n"]),
        )


@dataclass(frozen=True)
class ComparedThing:
    """An arm of a job, a model or an evaluation (`type`); its differences from the baseline, by metric.

    `job`, `model` and `evaluation` are the ids of what the figures are of, as far as there are such.
    """

    type: str
    id: str
    name: str
    arm: str
    seeds: tuple[int, ...]
    metrics: Mapping[str, MetricDifference]
    job: str | None = None
    model: str | None = None
    evaluation: str | None = None

    @classmethod
    def from_json(cls, body: JSON) -> ComparedThing:
        """Read the service's object; the baseline has no metrics."""
        return cls(
            type=str(body["type"]),
            id=str(body["id"]),
            name=str(body["name"]),
            arm=str(body["arm"]),
            seeds=tuple(body["seeds"]),
            metrics={name: MetricDifference.from_json(one) for name, one in body.get("metrics", {}).items()},
            job=body.get("job"),
            model=body.get("model"),
            evaluation=body.get("evaluation"),
        )


@dataclass(frozen=True)
class ProtocolDifference:
    """A field in which what has this `id` was not measured as the baseline was."""

    id: str
    field: str
    baseline: Any
    value: Any


@dataclass(frozen=True)
class Comparison:
    """Differences of others from a baseline; not paired when they were not measured alike.

    `protocol_hash` is that of all of them, None where it is not one; then `protocol_differences` says why,
    or is empty where they differ only in which attacks were made beside those compared.
    """

    paired: bool
    baseline: ComparedThing
    others: tuple[ComparedThing, ...]
    verdict: str
    raw: JSON = field(repr=False, compare=False)
    protocol_hash: str | None = None
    protocol_differences: tuple[ProtocolDifference, ...] = ()

    @classmethod
    def from_json(cls, body: JSON) -> Comparison:
        """Read the service's object."""
        return cls(
            paired=bool(body["paired"]),
            baseline=ComparedThing.from_json(body["baseline"]),
            others=tuple(ComparedThing.from_json(one) for one in body["others"]),
            verdict=str(body["verdict"]),
            raw=body,
            protocol_hash=body.get("protocol_hash"),
            protocol_differences=tuple(
                ProtocolDifference(str(one["id"]), str(one["field"]), one["baseline"], one["value"])
                for one in body.get("protocol_differences") or ()
            ),
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

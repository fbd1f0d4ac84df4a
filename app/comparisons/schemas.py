"""Comparisons as clients see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from app.comparisons.wording import verdict
from app.examples import JOB_ID, SHA256

if TYPE_CHECKING:
    from app.comparisons.gathering import Side
    from app.comparisons.service import Compared
    from worker.training.evaluation.pairing import Difference

Kind = Literal["job", "model", "evaluation"]
_OTHER_JOB = "job_01k9z4fq8h2t6w0ynrbv5m3px7"
EXAMPLE: dict[str, Any] = {
    "object": "comparison",
    "paired": True,
    "protocol_hash": SHA256,
    "baseline": {
        "type": "job",
        "id": JOB_ID,
        "name": "movielens",
        "job": JOB_ID,
        "model": None,
        "evaluation": None,
        "arm": "standard",
        "seeds": [0],
    },
    "others": [
        {
            "type": "job",
            "id": _OTHER_JOB,
            "name": "movielens, wider",
            "job": _OTHER_JOB,
            "model": None,
            "evaluation": None,
            "arm": "standard",
            "seeds": [0],
            "metrics": {
                "test.ndcg@10": {
                    "value": 0.0613,
                    "baseline": 0.0575,
                    "difference": 0.0038,
                    "low": 0.0011,
                    "high": 0.0064,
                    "significant": True,
                    "n": 943,
                }
            },
        }
    ],
    "protocol_differences": [],
    "verdict": "Standard of movielens, wider against standard of movielens: clean NDCG@10 higher by 0.0038 …",
}


class ComparedThing(BaseModel):
    """One side of a comparison: an arm of a job, a model, or an evaluation."""

    type: Kind
    id: str
    name: str
    job: str | None
    model: str | None
    evaluation: str | None
    arm: str
    seeds: list[int]


class MetricDifference(BaseModel):
    """`value` less `baseline`, means over users and seeds, and the 95 % bootstrap interval over users."""

    value: float
    baseline: float
    difference: float
    low: float
    high: float
    significant: bool
    n: int

    @classmethod
    def of(cls, value: float, baseline: float, one: Difference) -> Self:
        """The object of one difference."""
        return cls(
            value=value,
            baseline=baseline,
            difference=one.difference,
            low=one.low,
            high=one.high,
            significant=one.significant,
            n=one.n,
        )


class ComparedOther(ComparedThing):
    """A side with its differences from the baseline, by metric."""

    metrics: dict[str, MetricDifference]


class ProtocolDifference(BaseModel):
    """A field in which a side was not measured as the baseline was."""

    id: str
    field: str
    baseline: Any
    value: Any


class Comparison(BaseModel):
    """Differences from a baseline."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    object: Literal["comparison"] = "comparison"
    paired: bool
    protocol_hash: str | None
    baseline: ComparedThing
    others: list[ComparedOther]
    protocol_differences: list[ProtocolDifference]
    verdict: str

    @classmethod
    def of(cls, compared: Compared) -> Self:
        """The object of a comparison."""
        own = compared.baseline.protocol_hash
        shared = all(side.protocol_hash == own for side, _ in compared.others)
        return cls(
            paired=not compared.mixed,
            protocol_hash=own if shared and not compared.mixed else None,
            baseline=ComparedThing(**_thing(compared.baseline)),
            others=[
                ComparedOther(
                    **_thing(side),
                    metrics={name: MetricDifference.of(*found) for name, found in metrics.items()},
                )
                for side, metrics in compared.others
            ],
            protocol_differences=[ProtocolDifference(**vars(one)) for one in compared.mixed],
            verdict=verdict(compared),
        )


def _thing(side: Side) -> dict[str, Any]:
    return {
        "type": side.kind,
        "id": side.id,
        "name": side.name,
        "job": side.job,
        "model": side.model,
        "evaluation": side.evaluation,
        "arm": side.arm,
        "seeds": list(side.seeds),
    }

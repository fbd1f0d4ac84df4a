"""Evaluations of stored models as clients see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.db.models.evaluation import Evaluation
from app.examples import DATASET_ID, MODEL_ID, SHA256
from app.jobs.light_line import NOT_WAITING, LightQueue
from worker.training.settings import EvaluationSettings

EVALUATION_ID = "eval_01k9z5fq8h2t6w0ynrbv5m3px7"
CREATE_EXAMPLE: dict[str, Any] = {
    "model": "films-sasrec-cascade@production",
    "dataset": DATASET_ID,
    "attack_positions": ["end", "highest_cascade"],
}
EXAMPLE: dict[str, Any] = {
    "id": EVALUATION_ID,
    "object": "evaluation",
    "name": "march",
    "status": "running",
    "phase": "attacking",
    "progress": 0.42,
    "model": MODEL_ID,
    "model_facts": {
        "id": MODEL_ID,
        "name": "films-sasrec-cascade",
        "version": 3,
        "arm": "cascade",
        "seed": 0,
    },
    "dataset": DATASET_ID,
    "dataset_facts": {"id": DATASET_ID, "name": "march.csv", "sha256": SHA256},
    "settings": {"split": "leave_one_out", "exclude_seen": True, "attack_positions": ["end"]},
    "metrics": None,
    "protocol_hash": None,
    "warnings": [],
    "error": None,
    "queue": None,
    "attempts": 1,
    "created_at": "2025-11-23T14:20:00Z",
    "started_at": "2025-11-23T14:20:01Z",
    "ended_at": None,
}
REPORT_EXAMPLE: dict[str, Any] = {
    "schema_version": 1,
    "kind": "evaluation",
    "protocol_hash": SHA256,
    "model": {"name": "films-sasrec-cascade", "version": 3, "arm": "cascade", "seed": 0},
    "unknown": {"items": 2, "interactions": 3, "examples": ["1682", "1683"], "missed_targets": 1},
    "training": {"checked": True, "targets_in_training": 0},
    "arms": {
        "cascade": {
            "test": {"hr@10": 0.116, "ndcg@10": 0.0575},
            "attacks": [
                {"position": "end", "count": 1, "replacement": "uniform", "ndcg@10": 0.03, "kept": 0.53}
            ],
        }
    },
    "baselines": {"popularity": {"test": {"ndcg@10": 0.044}}},
}


class EvaluationCreate(EvaluationSettings):
    """Measure a stored model on a data set, clean and under attack. What is left out is as in its job."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [CREATE_EXAMPLE]})

    model: str = Field(min_length=1, max_length=1000)
    """The model: its id, or `name@version`, `name@alias`, `name@latest`."""
    dataset: str = Field(max_length=64)
    """Id of a `ready` data set; items that the model does not know are counted and named."""
    name: str | None = Field(default=None, min_length=1, max_length=200)
    """What you call the evaluation."""
    split: Literal["leave_one_out", "temporal"] = "leave_one_out"
    """How test targets are held out."""
    validation_share: float = Field(default=0.1, gt=0.0, lt=0.5)
    """Split `temporal`: share of all interactions that lie in the validation period."""
    test_share: float = Field(default=0.1, gt=0.0, lt=0.5)
    """Split `temporal`: share of all interactions that lie in the test period, which follows it."""
    min_rating: float | None = None
    """Drop interactions rated below this; null keeps all."""
    k_core: int = Field(default=0, ge=0, le=1000)
    """Repeat until stable: drop users and items with fewer than this many interactions."""

    def changes(self) -> dict[str, Any]:
        """The training settings that were given, and so differ from the model's own."""
        given = self.model_fields_set - {"model", "dataset", "name"}
        return self.model_dump(mode="json", include=given)


SHOWN_SETTINGS = tuple(
    name for name in EvaluationCreate.model_fields if name not in {"model", "dataset", "name"}
)


class EvaluationObject(BaseModel):
    """An evaluation of a stored model."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    object: Literal["evaluation"] = "evaluation"
    name: str | None
    status: Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    phase: str | None
    progress: float = Field(description="Share of the work done, 0 to 1.")
    model: str
    model_facts: dict[str, Any]
    dataset: str
    dataset_facts: dict[str, Any]
    settings: dict[str, Any] = Field(description="Data and evaluation settings, those of the job included.")
    metrics: dict[str, Any] | None = Field(description="Clean test figures; the report has all of them.")
    protocol_hash: str | None
    warnings: list[dict[str, Any]]
    error: dict[str, Any] | None
    queue: LightQueue | None = Field(description="While it waits: its place, and why.")
    attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: Evaluation, line: Mapping[str, LightQueue] = NOT_WAITING) -> Self:
        """The object of a row."""
        found = row.found or {}
        cancelling = row.status == "running" and row.cancel_requested
        return cls(
            id=row.id,
            name=row.name,
            status="cancelling" if cancelling else row.status,
            phase=row.phase if row.status == "running" else None,
            progress=row.progress,
            model=row.model_facts["id"],
            model_facts=row.model_facts,
            dataset=row.dataset_facts["id"],
            dataset_facts=row.dataset_facts,
            settings={name: row.spec[name] for name in SHOWN_SETTINGS},
            metrics=found.get("metrics"),
            protocol_hash=found.get("protocol_hash"),
            warnings=found.get("warnings") or [],
            error=row.error,
            queue=line.get(row.id),
            attempts=row.attempts,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
        )


class EvaluationDeleted(BaseModel):
    """A deleted evaluation, and the bytes that it freed."""

    id: str
    object: Literal["evaluation"] = "evaluation"
    deleted: Literal[True] = True
    freed_bytes: int

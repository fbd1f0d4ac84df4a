"""Batches of recommendations as clients see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.db.models.batch_recommendation import BatchRecommendation
from app.examples import DATASET_ID, MODEL_ID, SHA256
from app.jobs.light_line import NOT_WAITING, LightQueue

BATCH_ID = "rec_01k9z5fq8h2t6w0ynrbv5m3px7"
CREATE_EXAMPLE: dict[str, Any] = {"dataset": DATASET_ID, "k": 10}
EXAMPLE: dict[str, Any] = {
    "id": BATCH_ID,
    "object": "model.recommendations",
    "status": "succeeded",
    "model": MODEL_ID,
    "dataset": DATASET_ID,
    "k": 10,
    "exclude_seen": True,
    "users_done": 943,
    "stats": {
        "users": 943,
        "recommended_users": 943,
        "rows": 9430,
        "unknown_items": 2,
        "unknown_interactions": 3,
        "unknown_examples": ["1682", "1683"],
    },
    "error": None,
    "queue": None,
    "attempts": 1,
    "bytes": 81234,
    "sha256": SHA256,
    "created_at": "2025-11-23T14:20:00Z",
    "started_at": "2025-11-23T14:20:01Z",
    "ended_at": "2025-11-23T14:20:03Z",
}


class BatchCreate(BaseModel):
    """Recommend to every user of a data set: what comes next after all that they did."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [CREATE_EXAMPLE]}
    )

    dataset: str = Field(max_length=64)
    """Id of a `ready` data set with the users' histories."""
    k: int = Field(default=10, ge=1, le=1000)
    """How many items to recommend to each user."""
    exclude_seen: bool = True
    """Leave the items of a user's history out."""


class BatchObject(BaseModel):
    """Recommendations for every user of a data set; the content is a parquet file."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    object: Literal["model.recommendations"] = "model.recommendations"
    status: Literal["queued", "running", "succeeded", "failed"]
    model: str
    dataset: str
    k: int
    exclude_seen: bool
    users_done: int
    stats: dict[str, Any] | None = Field(
        description="How many users, rows, and items that the model does not know, with the first of those."
    )
    error: dict[str, Any] | None
    queue: LightQueue | None = Field(description="While it waits: its place, and why.")
    attempts: int
    bytes: int | None
    sha256: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, row: BatchRecommendation, line: Mapping[str, LightQueue] = NOT_WAITING) -> Self:
        """The object of a row."""
        return cls(
            id=row.id,
            status=row.status,
            model=row.model_id,
            dataset=row.dataset_facts["id"],
            k=row.options["k"],
            exclude_seen=row.options["exclude_seen"],
            users_done=row.users_done,
            stats=row.stats,
            error=row.error,
            queue=line.get(row.id),
            attempts=row.attempts,
            bytes=row.bytes,
            sha256=row.sha256,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
        )


class BatchDeleted(BaseModel):
    """A deleted batch, and the bytes that it freed."""

    id: str
    object: Literal["model.recommendations"] = "model.recommendations"
    deleted: Literal[True] = True
    freed_bytes: int

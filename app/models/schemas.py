"""Models as clients see them, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.db.models.dataset_forget import DatasetForget
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.examples import DATASET_ID, JOB_ID, MODEL_ID, SHA256

ItemId = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
History = Annotated[list[ItemId], Field(min_length=1, max_length=10_000)]
Position = Annotated[str, StringConstraints(pattern=r"^-?\d{1,5}$")]

EXAMPLE: dict[str, Any] = {
    "id": MODEL_ID,
    "object": "model",
    "name": "movielens-sasrec-cascade",
    "version": 1,
    "aliases": [],
    "job": JOB_ID,
    "dataset": DATASET_ID,
    "model": "sasrec",
    "arm": "cascade",
    "seed": 0,
    "metrics": {"test": {"hr@10": 0.116, "ndcg@10": 0.0575}},
    "warnings": [],
    "files": [{"path": "weights.safetensors", "bytes": 612344, "sha256": SHA256}],
    "created_at": "2025-11-23T13:53:00Z",
}
CHANGE_EXAMPLE: dict[str, Any] = {"name": "movielens-next-film"}
RECOMMEND_EXAMPLE: dict[str, Any] = {"history": ["50", "181", "174"], "k": 2, "replace": {"-1": "1"}}
ANSWER_EXAMPLE: dict[str, Any] = {
    "object": "list",
    "model": MODEL_ID,
    "name": "log-sasrec-cascade",
    "version": 3,
    "data": [
        {
            "object": "recommendation",
            "items": [{"item": "172", "score": 4.21}, {"item": "168", "score": 3.97}],
        }
    ],
}


class ModelFileObject(BaseModel):
    """One file of a model; GET /v1/models/{id}/files/{path} downloads it."""

    path: str
    bytes: int
    sha256: str


class ModelWarning(BaseModel):
    """Something that happened after a model was trained, and that whoever uses it should know."""

    code: str = Field(description="`trained_on_forgotten_users`")
    message: str
    dataset: str = Field(description="The data set that it was trained on")
    made_dataset: str = Field(description="The data set without those users")
    users: int
    at: datetime


class ModelObject(BaseModel):
    """A trained model: one arm and seed of a job."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    object: Literal["model"] = "model"
    name: str
    version: int
    aliases: list[str]
    job: str
    dataset: str
    model: str = Field(description="sasrec or gru4rec")
    arm: str
    seed: int
    metrics: dict[str, Any]
    warnings: list[ModelWarning]
    files: list[ModelFileObject]
    created_at: datetime

    @classmethod
    def of(
        cls,
        row: Model,
        files: Sequence[ModelFile],
        aliases: Sequence[str],
        forgets: Sequence[DatasetForget] = (),
    ) -> Self:
        """The object of a row, its files, the aliases that point at it, what its data set had to forget."""
        return cls(
            id=row.id,
            name=row.name,
            version=row.version,
            aliases=list(aliases),
            job=row.job_facts["id"],
            dataset=row.dataset_facts["id"],
            model=row.architecture,
            arm=row.arm,
            seed=row.seed,
            metrics=row.metrics,
            warnings=[_forgotten(forget) for forget in forgets],
            files=[ModelFileObject(path=file.path, bytes=file.bytes, sha256=file.sha256) for file in files],
            created_at=row.created_at,
        )


def _forgotten(forget: DatasetForget) -> ModelWarning:
    return ModelWarning(
        code="trained_on_forgotten_users",
        message=f"Users of the data set that it was trained on ({forget.users}) were to be forgotten since. "
        f"Train again on {forget.made_dataset_id}, and delete this model.",
        dataset=forget.dataset_id,
        made_dataset=forget.made_dataset_id,
        users=forget.users,
        at=forget.created_at,
    )


class ModelChange(BaseModel):
    """What of a model may be changed."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [CHANGE_EXAMPLE]}
    )

    name: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\s/@](?:[^/@\r\n\t]*[^\s/@])?$")]
    """The name under which it is registered from now on, as the next version; without `/` and `@`."""


class ModelDeleted(BaseModel):
    """A deleted model, and the bytes that it freed."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True
    freed_bytes: int


MOST_ITEMS = 50_000
"""In one answer of `recommend`."""


class RecommendRequest(BaseModel):
    """One history, or several: what comes next?"""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [RECOMMEND_EXAMPLE]}
    )

    history: History | None = None
    """Item ids, oldest first; the last `max_length` are read."""
    sequences: list[History] | None = Field(default=None, min_length=1, max_length=256)
    """Several histories, answered in the same order; instead of `history`."""
    k: int = Field(default=10, ge=1, le=1000)
    """How many items to recommend."""
    exclude_seen: bool = True
    """Leave the items of the history out, replaced ones and replacements included."""
    replace: dict[Position, ItemId] = Field(default_factory=dict, max_length=100)
    """What if: items put at positions of every history, counted from 0, or from the end when negative."""

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if (self.history is None) == (self.sequences is None):
            raise ValueError("give either history or sequences")
        several = len(self.sequences or ())
        if several * self.k > MOST_ITEMS:
            raise ValueError(
                f"{several} sequences × k {self.k} are {several * self.k:,} items; at most {MOST_ITEMS:,} "
                "are answered at once: ask several times, or for a batch"
            )
        return self


class RecommendedItem(BaseModel):
    """An item and its score, which compares within one answer only."""

    item: str
    score: float


class Recommendation(BaseModel):
    """The best next items for one history, best first."""

    object: Literal["recommendation"] = "recommendation"
    items: list[RecommendedItem]


class Recommendations(BaseModel):
    """One recommendation for each history, in the order in which they were asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [ANSWER_EXAMPLE]})

    object: Literal["list"] = "list"
    model: str = Field(description="Id of the model that answered, whatever alias it was asked by")
    name: str
    version: int
    data: list[Recommendation]

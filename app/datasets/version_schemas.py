"""Findings, previews, transforms and lineage of data sets as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from app.texts import without_nul

TransformName = Literal[
    "drop_duplicates",
    "drop_future",
    "drop_short_users",
    "drop_bots",
    "rescale_times",
    "hash_ids",
    "strip_ids",
    "merge_number_ids",
    "strip_leading_zeros",
    "lowercase_ids",
    "normalize_ids",
]

UserId = Annotated[str, StringConstraints(min_length=1, max_length=1024)]

TRANSFORM_EXAMPLE: dict[str, Any] = {"transforms": ["strip_ids", "drop_duplicates"]}
FORGET_EXAMPLE: dict[str, Any] = {"users": ["196", "186"], "delete_parent": True}
FINDING_EXAMPLE: dict[str, Any] = {
    "code": "duplicates",
    "severity": "warning",
    "message": "1 interaction (under 0.1 %) is equal to an earlier one in user, item and time: …",
    "count": 1,
    "unit": "interactions",
    "share": 0.00001,
    "lines": [18],
    "examples": [],
    "facts": {},
    "fix": {
        "kind": "transform",
        "name": "drop_duplicates",
        "description": "Keep the first of interactions that are equal in every column.",
        "value": None,
    },
}
LINEAGE_EXAMPLE: dict[str, Any] = {
    "parent": "ds_01k9z3v5m8qpx7c2h4t6w0ynra",
    "parent_version": 1,
    "parent_content_sha256": "7c211433f02071597741e6ff5a8ea34789abbf43d1dd3b0eae8ac1df6a2f1a6b",
    "transforms": [
        {
            "name": "drop_duplicates",
            "interactions_before": 100001,
            "interactions_after": 100000,
            "interactions_changed": 0,
        }
    ],
}
PREVIEW_EXAMPLE: dict[str, Any] = {
    "object": "dataset_preview",
    "dataset": "ds_01k9z3v5m8qpx7c2h4t6w0ynrb",
    "rows": [{"user": "196", "item": "242", "time": "1997-12-04T15:55:49Z", "rating": 3.0}],
    "lines": ["user_id:token\titem_id:token\trating:float\ttimestamp:float", "196\t242\t3\t881250949"],
}


class FindingFix(BaseModel):
    """What can be done: a transform makes another data set, a setting belongs to a job (`value` is its)."""

    kind: Literal["transform", "setting"]
    name: str
    description: str
    value: Any = None


class DatasetFinding(BaseModel):
    """What the doctor says of a log. `count` is of `unit`, `share` of all of those."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [FINDING_EXAMPLE]})

    code: str
    severity: Literal["info", "warning", "error"]
    message: str
    count: int
    unit: str
    share: float
    lines: list[int]
    examples: list[str]
    facts: dict[str, Any]
    fix: FindingFix | None


class Lineage(BaseModel):
    """Of which data set this one was made, and how; it outlives that one."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [LINEAGE_EXAMPLE]})

    parent: str
    parent_version: int
    parent_content_sha256: str | None
    transforms: list[dict[str, Any]]


class UsedBy(BaseModel):
    """What was trained on a data set, measured on it or made of it: how many, and the newest of each."""

    jobs: int = 0
    models: int = 0
    datasets: int = 0
    evaluations: int = 0
    batches: int = 0
    job_ids: list[str] = []
    model_ids: list[str] = []
    dataset_ids: list[str] = []
    evaluation_ids: list[str] = []
    batch_ids: list[str] = []


class PreviewRow(BaseModel):
    """One interaction as it was understood."""

    user: str
    item: str
    time: datetime | None
    rating: float | None


class DatasetPreview(BaseModel):
    """The beginning of a data set; `lines` are the file's, and null where it has none (parquet)."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREVIEW_EXAMPLE]})

    object: Literal["dataset_preview"] = "dataset_preview"
    dataset: str
    rows: list[PreviewRow]
    lines: list[str] | None


class TransformRequest(BaseModel):
    """What is to be done to a data set; another one comes of it."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [TRANSFORM_EXAMPLE]}
    )

    transforms: list[TransformName] = Field(min_length=1, max_length=20)
    """Names of transforms, applied in this order."""
    name: str | None = Field(default=None, min_length=1, max_length=255)
    """The new one's name; left out it is the next version under the same name."""

    _storable = field_validator("name")(without_nul)


class ForgetRequest(BaseModel):
    """Which users are to be left out."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [FORGET_EXAMPLE]}
    )

    users: list[UserId] = Field(min_length=1, max_length=10_000)
    """Their ids as they stand in the data set."""
    delete_parent: bool = False
    """Delete the data set, and those that it was made of, once the new one is ready."""

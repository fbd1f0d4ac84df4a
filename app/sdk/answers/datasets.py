"""What is said of data sets, as types: the doctor's report, the first rows, lineage and use.

Plain dicts, as the service sent them, with whatever fields a newer one adds; times are RFC 3339 in UTC. A
test holds them to the service's OpenAPI document.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class DatasetProblem(TypedDict):
    """Something that reading a data set found; `lines` are the first, counted from 1."""

    code: str
    message: str
    pointer: str | None
    hint: str | None
    severity: Literal["error", "warning"]
    line: int | None
    lines: list[int]
    count: int


class FindingFix(TypedDict):
    """What can be done: `transform` the data set by `name`, or give a job the setting `name` = `value`."""

    kind: Literal["transform", "setting"]
    name: str
    description: str
    value: Any


class DatasetFinding(TypedDict):
    """What the doctor says of a log. `count` is of `unit`, `share` of all of those."""

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


class DatasetReport(TypedDict):
    """What reading a data set found, and what the doctor says of it."""

    object: Literal["dataset_report"]
    dataset: str
    status: str
    format: str | None
    columns: dict[str, Any] | None
    options: dict[str, Any]
    stats: dict[str, Any] | None
    errors: int
    warnings: int
    problems: list[DatasetProblem]
    findings: list[DatasetFinding]


class PreviewRow(TypedDict):
    """One interaction as it was understood."""

    user: str
    item: str
    time: str | None
    rating: float | None


class DatasetPreview(TypedDict):
    """The beginning of a data set; `lines` are the file's, None where it has none (parquet)."""

    object: Literal["dataset_preview"]
    dataset: str
    rows: list[PreviewRow]
    lines: list[str] | None


class Lineage(TypedDict):
    """Of which data set another was made, and by which transforms."""

    parent: str
    parent_version: int
    parent_content_sha256: str | None
    transforms: list[dict[str, Any]]


class UsedBy(TypedDict):
    """What was made with a data set: how many, and the ids of the newest."""

    jobs: int
    models: int
    datasets: int
    evaluations: int
    batches: int
    job_ids: list[str]
    model_ids: list[str]
    dataset_ids: list[str]
    evaluation_ids: list[str]
    batch_ids: list[str]

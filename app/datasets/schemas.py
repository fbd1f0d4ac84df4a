"""Data sets as clients see them."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.datasets.version_schemas import DatasetFinding, Lineage, UsedBy
from app.db.models.dataset import Dataset
from app.texts import without_nul

Format = Literal["csv", "tsv", "jsonl", "parquet", "inter", "movielens", "sequence", "pairs"]

EXAMPLE: dict[str, Any] = {
    "id": "ds_01k9z3v5m8qpx7c2h4t6w0ynrb",
    "object": "dataset",
    "name": "log.csv",
    "version": 1,
    "status": "ready",
    "filename": "log.csv",
    "bytes": 2079229,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "format": "csv",
    "columns": {"user": "user_id", "item": "item_id", "time": "timestamp", "rating": None, "guessed": True},
    "stats": {
        "users": 943,
        "items": 1682,
        "interactions": 100000,
        "first_at": "1997-09-20T03:05:10Z",
        "last_at": "1998-04-22T23:10:38Z",
    },
    "problems": [],
    "content_sha256": "7c211433f02071597741e6ff5a8ea34789abbf43d1dd3b0eae8ac1df6a2f1a6b",
    "same_content_as": None,
    "lineage": None,
    "used_by": UsedBy().model_dump(),
    "created_at": "2025-11-23T13:48:00Z",
    "validated_at": "2025-11-23T13:48:01Z",
}


LONGEST_NAME = 255
_DEFAULT_FILENAME = "upload"


class UploadOptions(BaseModel):
    """What a client may say about a file; columns and format are guessed where it does not."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    filename: str | None = Field(default=None, min_length=1, max_length=1024, examples=["log.csv"])
    """The file's name; its ending helps to guess the format."""
    name: str | None = Field(default=None, min_length=1, max_length=LONGEST_NAME)
    """What you call the data set; the file's name when left out."""
    format: Format | None = None
    """Format of the file, compression aside."""
    user_column: str | None = Field(default=None, min_length=1, max_length=255)
    """Column of the user's id."""
    item_column: str | None = Field(default=None, min_length=1, max_length=255)
    """Column of the item's id."""
    time_column: str | None = Field(default=None, max_length=255)
    """Column of the time: ISO 8601, or seconds, ms, µs or ns since 1970; empty to use none."""
    rating_column: str | None = Field(default=None, max_length=255)
    """Column of the rating; empty to use none."""

    @property
    def bare_filename(self) -> str:
        """The last part of the file's name, without control characters; `upload` when nothing is left."""
        name = _bare(self.filename or "")
        return _DEFAULT_FILENAME if name in {"", ".."} else name

    @field_validator("filename")
    @classmethod
    def _can_be_a_name(cls, given: str | None) -> str | None:
        if given is not None and len(_bare(given)) > LONGEST_NAME:
            raise ValueError(
                f"the name of a file has at most {LONGEST_NAME} characters, its folders not counted"
            )
        return given

    _storable = field_validator("name", "user_column", "item_column", "time_column", "rating_column")(
        without_nul  # said before the file is read: the database would refuse it after
    )


class DatasetProblem(BaseModel):
    """One thing that reading found; an error rejects the data set, a warning does not."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    pointer: str | None = None
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"
    line: int | None = None
    lines: list[int] = []
    count: int = 1


class DatasetObject(BaseModel):
    """A data set."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    version: int = Field(description="Counted from 1 among the data sets of one name")
    status: str = Field(description="`validating`, `ready` or `rejected`")
    filename: str
    bytes: int
    sha256: str = Field(description="Of the file; empty while it is being made of another data set")
    format: str | None
    columns: dict[str, Any] | None
    stats: dict[str, Any] | None
    problems: list[DatasetProblem]
    content_sha256: str | None = Field(description="Of the interactions, whatever the file's format")
    same_content_as: str | None = Field(description="The oldest data set with the same interactions")
    lineage: Lineage | None
    used_by: UsedBy
    created_at: datetime
    validated_at: datetime | None

    @classmethod
    def of(cls, row: Dataset, used_by: UsedBy | None = None) -> Self:
        """The object of a row and of what uses it; of a new one nothing does."""
        return cls(
            id=row.id,
            name=row.name,
            version=row.version,
            status=row.status,
            filename=row.filename,
            bytes=row.bytes,
            sha256=row.sha256,
            format=row.format,
            columns=row.columns,
            stats=row.stats,
            problems=[DatasetProblem.model_validate(problem) for problem in row.problems],
            content_sha256=row.content_sha256,
            same_content_as=row.same_content_as,
            lineage=None if row.lineage is None else Lineage.model_validate(row.lineage),
            used_by=used_by or UsedBy(),
            created_at=row.created_at,
            validated_at=row.validated_at,
        )


class DatasetReport(BaseModel):
    """What reading a data set found (`problems`), and what the doctor says of its log (`findings`)."""

    object: Literal["dataset_report"] = "dataset_report"
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

    @classmethod
    def of(cls, row: Dataset) -> Self:
        """The report of a row."""
        shown = DatasetObject.of(row)
        return cls(
            dataset=row.id,
            status=shown.status,
            format=row.format,
            columns=row.columns,
            options=row.options,
            stats=row.stats,
            errors=sum(problem.count for problem in shown.problems if problem.severity == "error"),
            warnings=sum(problem.count for problem in shown.problems if problem.severity == "warning"),
            problems=shown.problems,
            findings=[DatasetFinding.model_validate(finding) for finding in row.findings or []],
        )


class DatasetDeleted(BaseModel):
    """A deleted data set, and the bytes that it freed."""

    id: str
    object: Literal["dataset"] = "dataset"
    deleted: Literal[True] = True
    freed_bytes: int


def _bare(filename: str) -> str:
    """The last part of a file's name, whichever way its folders are written, without control characters."""
    last = PurePosixPath(filename.replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())

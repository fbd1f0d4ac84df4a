"""Uploads in parts as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.datasets.schemas import UploadOptions
from app.db.models.upload import Upload, UploadPart
from app.uploads.layout import missing_parts

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9A-Fa-f]{64}$", to_lower=True)]

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CREATE: dict[str, Any] = {"filename": "log.csv.zst", "bytes": 20000000, "sha256": _SHA256}
COMPLETE: dict[str, Any] = {"sha256": _SHA256}
PART: dict[str, Any] = {
    "object": "upload_part",
    "n": 1,
    "bytes": 8388608,
    "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "received_at": "2025-11-23T13:48:02Z",
}
EXAMPLE: dict[str, Any] = {
    "id": "up_01k9z3v5m8qpx7c2h4t6w0ynrb",
    "object": "upload",
    "status": "open",
    "filename": "log.csv.zst",
    "name": None,
    "options": {},
    "bytes": 20000000,
    "sha256": _SHA256,
    "part_bytes": 8388608,
    "received_bytes": 8388608,
    "parts": [PART],
    "missing": [2, 3],
    "dataset": None,
    "created_at": "2025-11-23T13:48:00Z",
    "expires_at": "2025-11-24T13:48:02Z",
}


class UploadCreate(UploadOptions):
    """What is going to be uploaded; about the data set it says what `POST /v1/datasets` takes."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    bytes: int | None = Field(default=None, ge=1)
    """Length of the whole file, if it is known; then every part's size is checked as it arrives."""
    sha256: Sha256 | None = None
    """SHA-256 of the whole file in hex, checked on completion; it can also be given there."""
    part_bytes: int | None = Field(default=None, ge=1)
    """Size of part that you would like; the service's choice, in the answer, is what counts."""


class UploadComplete(BaseModel):
    """What is known only at the end."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    sha256: Sha256 | None = None
    """SHA-256 of the whole file in hex."""


class PartObject(BaseModel):
    """One part that is stored."""

    object: Literal["upload_part"] = "upload_part"
    n: int = Field(description="Its number, from 1.")
    bytes: int
    sha256: str
    received_at: datetime

    @classmethod
    def of(cls, row: UploadPart) -> Self:
        """The object of a row."""
        return cls(n=row.n, bytes=row.bytes, sha256=row.sha256, received_at=row.received_at)


class UploadObject(BaseModel):
    """An upload in parts."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    object: Literal["upload"] = "upload"
    status: str = Field(description="`open` or `completed`")
    filename: str | None
    name: str | None
    options: dict[str, Any]
    bytes: int | None
    sha256: str | None
    part_bytes: int = Field(description="Size of every part; the last one may be smaller.")
    received_bytes: int
    parts: list[PartObject]
    missing: list[int] = Field(
        description="Numbers of the parts still to be sent, as far as that is known: where the length of the "
        "whole was not said, the gaps before the last part that is there."
    )
    dataset: str | None
    created_at: datetime
    expires_at: datetime = Field(description="When it is forgotten if no part arrives until then.")

    @classmethod
    def of(cls, row: Upload, parts: Sequence[UploadPart], lifetime_seconds: float) -> Self:
        """The object of a row, its parts, and how long it lives after the last one."""
        sizes = {part.n: part.bytes for part in parts}
        done = row.status == "completed"
        options = dict(row.options)
        return cls(
            id=row.id,
            status=row.status,
            filename=options.pop("filename", None),
            name=options.pop("name", None),
            options=options,
            bytes=row.bytes,
            sha256=row.sha256,
            part_bytes=row.part_bytes,
            received_bytes=(row.bytes or 0) if done else sum(sizes.values()),
            parts=[PartObject.of(part) for part in parts],
            missing=[] if done else missing_parts(sizes, row.bytes, row.part_bytes),
            dataset=row.dataset_id,
            created_at=row.created_at,
            expires_at=row.active_at + timedelta(seconds=lifetime_seconds),
        )


class UploadDeleted(BaseModel):
    """An abandoned upload, and the bytes that it freed."""

    id: str
    object: Literal["upload"] = "upload"
    deleted: Literal[True] = True
    freed_bytes: int

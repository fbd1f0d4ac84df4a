"""Data sets, what was found while they were read, and uploads that become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from app.sdk.answers.datasets import Lineage, UsedBy
from app.sdk.objects.fields import JSON, read_time


@dataclass(frozen=True)
class Problem:
    """Something found while a data set was read. `line` counts from 1; `count` is how often it was met."""

    code: str
    message: str
    severity: str
    pointer: str = ""
    hint: str = ""
    line: int | None = None
    count: int = 1

    @classmethod
    def from_json(cls, body: JSON) -> Problem:
        """Read one entry of `problems[]`."""
        return cls(
            code=str(body.get("code") or ""),
            message=str(body.get("message") or ""),
            severity=str(body.get("severity") or "error"),
            pointer=str(body.get("pointer") or ""),
            hint=str(body.get("hint") or ""),
            line=body.get("line"),
            count=int(body.get("count") or 1),
        )


@dataclass(frozen=True)
class Dataset:
    """A log of interactions; `status` is validating, ready or rejected. `lineage`: what it was made of."""

    id: str
    name: str
    status: str
    filename: str | None
    bytes: int
    sha256: str
    format: str | None
    columns: JSON
    stats: JSON
    problems: tuple[Problem, ...]
    created_at: datetime | None
    raw: JSON = field(repr=False, compare=False)
    version: int = 1
    content_sha256: str | None = None
    same_content_as: str | None = None
    lineage: Lineage | None = None
    used_by: UsedBy = field(default_factory=lambda: cast("UsedBy", {}), compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Dataset:
        """Read the service's data set object."""
        return cls(
            id=str(body["id"]),
            name=str(body.get("name") or ""),
            status=str(body.get("status") or ""),
            filename=body.get("filename"),
            bytes=int(body.get("bytes") or 0),
            sha256=str(body.get("sha256") or ""),
            format=body.get("format"),
            columns=dict(body.get("columns") or {}),
            stats=dict(body.get("stats") or {}),
            problems=tuple(Problem.from_json(p) for p in body.get("problems") or ()),
            created_at=read_time(body.get("created_at")),
            raw=body,
            version=int(body.get("version") or 1),
            content_sha256=body.get("content_sha256"),
            same_content_as=body.get("same_content_as"),
            lineage=body.get("lineage"),
            used_by=cast("UsedBy", dict(body.get("used_by") or {})),
        )


@dataclass(frozen=True)
class Upload:
    """A file that goes up in parts. `parts` has the SHA-256 of each that is there, by its number from 1."""

    id: str
    status: str
    filename: str | None
    name: str | None
    bytes: int | None
    sha256: str | None
    part_bytes: int
    received_bytes: int
    parts: Mapping[int, str]
    missing: tuple[int, ...]
    dataset: str | None
    expires_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Upload:
        """Read the service's upload object."""
        return cls(
            id=str(body["id"]),
            status=str(body.get("status") or ""),
            filename=body.get("filename"),
            name=body.get("name"),
            bytes=body.get("bytes"),
            sha256=body.get("sha256"),
            part_bytes=int(body["part_bytes"]),
            received_bytes=int(body.get("received_bytes") or 0),
            parts={int(part["n"]): str(part["sha256"]) for part in body.get("parts") or ()},
            missing=tuple(int(n) for n in body.get("missing") or ()),
            dataset=body.get("dataset"),
            expires_at=read_time(body.get("expires_at")),
            raw=body,
        )

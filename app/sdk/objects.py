"""What the service's objects look like to a caller: frozen, typed, read from JSON.

Each keeps the whole answer in `raw`, so that a newer service's fields can be read before the SDK knows them.
Times are timezone-aware (UTC), sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

JSON = dict[str, Any]

TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


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
    lineage: JSON | None = None
    used_by: JSON = field(default_factory=dict, compare=False)

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
            created_at=_time(body.get("created_at")),
            raw=body,
            version=int(body.get("version") or 1),
            content_sha256=body.get("content_sha256"),
            same_content_as=body.get("same_content_as"),
            lineage=body.get("lineage"),
            used_by=dict(body.get("used_by") or {}),
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
            expires_at=_time(body.get("expires_at")),
            raw=body,
        )


@dataclass(frozen=True)
class JobProgress:
    """How far a job is: `fraction` of the whole (0 to 1), the current arm's epoch, and when it should end."""

    fraction: float = 0.0
    epoch: int | None = None
    step: int | None = None
    total_steps: int | None = None
    examples_per_second: float | None = None
    eta_at: datetime | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> JobProgress:
        """Read a job's `progress`."""
        return cls(
            fraction=float(body.get("fraction") or 0.0),
            epoch=body.get("epoch"),
            step=body.get("step"),
            total_steps=body.get("total_steps"),
            examples_per_second=body.get("examples_per_second"),
            eta_at=_time(body.get("eta_at")),
        )


@dataclass(frozen=True)
class JobError:
    """Why a job failed. Branch on `code`; `hint` says what to change."""

    code: str
    message: str
    hint: str = ""
    phase: str | None = None
    attempt: int | None = None
    retryable: bool = False

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> JobError:
        """Read a failed job's `error`."""
        return cls(
            code=str(body.get("code") or "internal"),
            message=str(body.get("message") or ""),
            hint=str(body.get("hint") or ""),
            phase=body.get("phase"),
            attempt=body.get("attempt"),
            retryable=bool(body.get("retryable", False)),
        )


@dataclass(frozen=True)
class Job:
    """A training job. `models` are ids; `spec` is every setting as it is run."""

    id: str
    name: str | None
    status: str
    phase: str | None
    arm: str | None
    seed: int | None
    dataset: str
    model: str
    arms: tuple[str, ...]
    spec: JSON
    progress: JobProgress
    queue: JSON
    attempts: tuple[JSON, ...]
    status_history: tuple[JSON, ...]
    error: JobError | None
    models: tuple[str, ...]
    labels: JSON
    priority: int
    estimate: JSON
    stop_reason: str | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in TERMINAL_STATUSES

    @classmethod
    def from_json(cls, body: JSON) -> Job:
        """Read the service's job object."""
        error = body.get("error")
        return cls(
            id=str(body["id"]),
            name=body.get("name"),
            status=str(body.get("status") or ""),
            phase=body.get("phase"),
            arm=body.get("arm"),
            seed=body.get("seed"),
            dataset=str(body.get("dataset") or ""),
            model=str(body.get("model") or ""),
            arms=tuple(body.get("arms") or ()),
            spec=dict(body.get("spec") or {}),
            progress=JobProgress.from_json(body.get("progress") or {}),
            queue=dict(body.get("queue") or {}),
            attempts=tuple(body.get("attempts") or ()),
            status_history=tuple(body.get("status_history") or ()),
            error=JobError.from_json(error) if error else None,
            models=tuple(body.get("models") or ()),
            labels=dict(body.get("labels") or {}),
            priority=int(body.get("priority") or 0),
            estimate=dict(body.get("estimate") or {}),
            stop_reason=body.get("stop_reason"),
            created_at=_time(body.get("created_at")),
            started_at=_time(body.get("started_at")),
            ended_at=_time(body.get("ended_at")),
            raw=body,
        )


@dataclass(frozen=True)
class Event:
    """One entry of a job's history; `sequence` counts from 1 within the job."""

    id: str
    sequence: int
    type: str
    level: str
    message: str
    data: JSON
    created_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Event:
        """Read one event."""
        return cls(
            id=str(body["id"]),
            sequence=int(body.get("sequence") or 0),
            type=str(body.get("type") or ""),
            level=str(body.get("level") or "info"),
            message=str(body.get("message") or ""),
            data=dict(body.get("data") or {}),
            created_at=_time(body.get("created_at")),
            raw=body,
        )


@dataclass(frozen=True)
class ApiKey:
    """A key of the project; `secret` is there only in the answer that made it, and never shown by repr."""

    id: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    secret: str | None = field(repr=False)
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> ApiKey:
        """Read the service's key object."""
        return cls(
            id=str(body["id"]),
            name=str(body.get("name") or ""),
            hint=str(body.get("hint") or ""),
            scopes=tuple(body.get("scopes") or ()),
            created_at=_time(body.get("created_at")),
            expires_at=_time(body.get("expires_at")),
            last_used_at=_time(body.get("last_used_at")),
            revoked_at=_time(body.get("revoked_at")),
            secret=body.get("secret"),
            raw=body,
        )


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of one arm; arm `warmup` is the part that all arms of a seed share.

    Losses are means over targets; the adversarial ones are None where their level is switched off, and
    `validation` ("ndcg@10", "hr@10", …) where the epoch was not validated.
    """

    id: str
    arm: str
    seed: int
    epoch: int
    loss: float
    loss_match: float | None
    loss_history: float | None
    validation: dict[str, float] | None
    seconds: float
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> EpochMetrics:
        """Read one row of a job's metrics."""
        return cls(
            id=str(body["id"]),
            arm=str(body.get("arm") or ""),
            seed=int(body.get("seed") or 0),
            epoch=int(body.get("epoch") or 0),
            loss=float(body.get("loss") or 0.0),
            loss_match=body.get("loss_match"),
            loss_history=body.get("loss_history"),
            validation=body.get("validation"),
            seconds=float(body.get("seconds") or 0.0),
            raw=body,
        )


@dataclass(frozen=True)
class Checkpoint:
    """A saved training state of a job."""

    id: str
    kind: str
    arm: str
    seed: int
    epoch: int
    step: int
    bytes: int
    sha256: str
    created_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Checkpoint:
        """Read one checkpoint."""
        return cls(
            id=str(body["id"]),
            kind=str(body.get("kind") or ""),
            arm=str(body.get("arm") or ""),
            seed=int(body.get("seed") or 0),
            epoch=int(body.get("epoch") or 0),
            step=int(body.get("step") or 0),
            bytes=int(body.get("bytes") or 0),
            sha256=str(body.get("sha256") or ""),
            created_at=_time(body.get("created_at")),
            raw=body,
        )


@dataclass(frozen=True)
class ModelFile:
    """One file of a model; `path` is relative to the model's folder."""

    path: str
    bytes: int
    sha256: str

    @classmethod
    def from_json(cls, body: JSON) -> ModelFile:
        """Read one entry of `files[]`."""
        return cls(path=str(body["path"]), bytes=int(body["bytes"]), sha256=str(body["sha256"]))


@dataclass(frozen=True)
class Model:
    """A trained model: one arm and seed of a job; `model` is its architecture, `warnings` what came later."""

    id: str
    name: str
    version: int | None
    aliases: tuple[str, ...]
    job: str
    dataset: str
    model: str
    arm: str
    seed: int
    metrics: JSON
    files: tuple[ModelFile, ...]
    created_at: datetime | None
    raw: JSON = field(repr=False, compare=False)
    warnings: tuple[JSON, ...] = ()

    @classmethod
    def from_json(cls, body: JSON) -> Model:
        """Read the service's model object."""
        return cls(
            id=str(body["id"]),
            name=str(body.get("name") or ""),
            version=body.get("version"),
            aliases=tuple(body.get("aliases") or ()),
            job=str(body.get("job") or ""),
            dataset=str(body.get("dataset") or ""),
            model=str(body.get("model") or ""),
            arm=str(body.get("arm") or ""),
            seed=int(body.get("seed") or 0),
            metrics=dict(body.get("metrics") or {}),
            files=tuple(ModelFile.from_json(f) for f in body.get("files") or ()),
            created_at=_time(body.get("created_at")),
            raw=body,
            warnings=tuple(body.get("warnings") or ()),
        )


@dataclass(frozen=True)
class Alias:
    """A name such as `production` for one version of a model; `history` has its moves, newest first."""

    name: str
    alias: str
    model: str
    version: int
    gates: tuple[JSON, ...]
    history: tuple[JSON, ...]
    moved_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> Alias:
        """Read the service's alias object."""
        return cls(
            name=str(body["name"]),
            alias=str(body["alias"]),
            model=str(body.get("model") or ""),
            version=int(body.get("version") or 0),
            gates=tuple(body.get("gates") or ()),
            history=tuple(body.get("history") or ()),
            moved_at=_time(body.get("moved_at")),
            raw=body,
        )


@dataclass(frozen=True)
class Recommendation:
    """One recommended item and its score (higher is better; comparable within one answer only)."""

    item: str
    score: float


@dataclass(frozen=True)
class RecommendationBatch:
    """Recommendations for every user of a data set; `status` is queued, running, succeeded or failed."""

    id: str
    status: str
    model: str
    dataset: str
    users_done: int
    stats: JSON
    error: JSON | None
    bytes: int | None
    sha256: str | None
    created_at: datetime | None
    raw: JSON = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, body: JSON) -> RecommendationBatch:
        """Read the service's object."""
        return cls(
            id=str(body["id"]),
            status=str(body.get("status") or ""),
            model=str(body.get("model") or ""),
            dataset=str(body.get("dataset") or ""),
            users_done=int(body.get("users_done") or 0),
            stats=dict(body.get("stats") or {}),
            error=body.get("error"),
            bytes=body.get("bytes"),
            sha256=body.get("sha256"),
            created_at=_time(body.get("created_at")),
            raw=body,
        )


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None

"""Models, the names for their versions, and what they recommend."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.sdk.answers.models import AliasMove, ModelWarning
from app.sdk.objects.fields import JSON, read_time


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
    warnings: tuple[ModelWarning, ...] = ()

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
            created_at=read_time(body.get("created_at")),
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
    history: tuple[AliasMove, ...]
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
            moved_at=read_time(body.get("moved_at")),
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
            created_at=read_time(body.get("created_at")),
            raw=body,
        )

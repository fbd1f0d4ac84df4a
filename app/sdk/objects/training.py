"""What a training leaves behind while it runs: the figures of its epochs, its saved states."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.sdk.objects.fields import JSON, read_time


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of one arm, or of one at a share that is searched (`cascade_at_0.1`).

    Arm `warmup` is the part that all arms of a seed share.

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
            created_at=read_time(body.get("created_at")),
            raw=body,
        )

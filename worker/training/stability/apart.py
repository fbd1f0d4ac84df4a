"""What keeps the trainings of this phase apart from the job's own: names of checkpoints, what is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from worker.training.progress import (
    CheckpointKey,
    CheckpointKind,
    CheckpointStore,
    Control,
    EpochMetrics,
    Phase,
    Progress,
    StepProgress,
)


class CheckpointsApart:
    """A CheckpointStore inside another: arm `x` is stored there as `<prefix>_x`."""

    def __init__(self, checkpoints: CheckpointStore, prefix: str) -> None:
        self._checkpoints = checkpoints
        self._prefix = prefix

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        """See `CheckpointStore.save`."""
        self._checkpoints.save(replace(key, arm=self._named(key.arm)), payload)

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        """See `CheckpointStore.load`."""
        found = self._checkpoints.load(kind, seed, self._named(arm))
        return [(replace(key, arm=arm), payload) for key, payload in found]

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        """See `CheckpointStore.discard`."""
        self._checkpoints.discard(kind, seed, self._named(arm))

    def _named(self, arm: str) -> str:
        return f"{self._prefix}_{arm}"


class Part:
    """A Progress for something that takes a job from fraction `begin` to `end`."""

    def __init__(self, progress: Progress, begin: float, end: float) -> None:
        self._progress = progress
        self._begin = begin
        self._end = end

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        """Pass it on."""
        self._progress.phase(phase, arm=arm, seed=seed)

    def step(self, at: StepProgress) -> Control:
        """Pass it on as a step of the job."""
        fraction = self._begin + (self._end - self._begin) * at.fraction
        return self._progress.step(replace(at, fraction=fraction))

    def epoch(self, metrics: EpochMetrics) -> None:
        """Pass it on."""
        self._progress.epoch(metrics)

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        """Pass it on."""
        self._progress.event(type, message, data)


class Quietly(Part):
    """The same without phases, epochs and saved checkpoints: they would be taken for the job's arms' own."""

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        """The whole of it is one phase."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """No epoch of an arm."""

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        """Pass on all but what was saved."""
        if type != "checkpoint_saved":
            super().event(type, message, data)

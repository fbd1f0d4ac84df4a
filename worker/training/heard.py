"""The progress of a whole job, passed on; what the world answers is kept for what is not a training step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from worker.training.fitting.warm_start import WarmStart
from worker.training.progress import (
    ENDS_TRAINING,
    AttacksCutShort,
    Control,
    EpochMetrics,
    Phase,
    Progress,
    StepProgress,
    Stopped,
)
from worker.training.shares import all_epochs, epochs_of
from worker.training.spec import TrainSpec
from worker.training.stability.run import share_of_job


class Heard:
    """A Progress that passes everything on, and lets evaluation ask what a training step asks: go on?"""

    def __init__(self, progress: Progress, spec: TrainSpec) -> None:
        self._progress = progress
        self._last = StepProgress("", spec.seed, 0, spec.epochs, 0, 0, 0.0, 0.0)
        self._spec = spec
        self._trained: Counter[int] = Counter()
        """By seed, how many trainings are over."""
        self.share = share_of_job(spec)
        """What of the job is training the arms; the rest trains them again."""
        self.finishing = False
        """Whether the world has asked to train no more."""
        self.concluding = False
        """Whether it has asked to make no more attacks either."""

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        """Pass on what the job turns to."""
        self._progress.phase(phase, arm=arm, seed=seed)

    def step(self, at: StepProgress) -> Control:
        """Pass on where training is, and remember it and whether the world asked to finish."""
        self._last = at
        control = self._progress.step(at)
        self.finishing |= control in ENDS_TRAINING
        self.concluding |= control is Control.CONCLUDE
        return control

    def epoch(self, metrics: EpochMetrics) -> None:
        """Pass on the figures of a finished epoch."""
        self._progress.epoch(metrics)

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        """Pass on what happened."""
        self._progress.event(type, message, data)

    def note_saturation(self, users: int) -> None:
        """Say that some users have no negative item, if there are any."""
        if users:
            self.event(
                "saturated_users",
                f"{users:,} user{'s have' if users > 1 else ' has'} every item of the catalogue in training: "
                "their negatives are drawn from all items, seen or not",
                {"users": users},
            )

    def note_warm_start(self, start: WarmStart | None) -> None:
        """Say from which model training starts and how well the items agree."""
        if start is not None:
            known, new, dropped = (start.facts[f"items_{name}"] for name in ("known", "new", "dropped"))
            self.event(
                "warm_start",
                f"starting from {start.initial.name}: {known:,} items known to it, {new:,} new, "
                f"{dropped:,} that only it knew dropped",
                start.facts,
            )

    def trained_one(self, seed: int) -> None:
        """One more training of that seed is over, or was read back: the job is at least so far."""
        self._trained[seed] += 1
        done = sum(epochs_of(self._spec, trainings) for trainings in self._trained.values())
        self.reached(done / all_epochs(self._spec))

    def reached(self, share: float) -> None:
        """This share of the arms' epochs is over."""
        self._last = replace(self._last, fraction=max(self._last.fraction, min(1.0, share * self.share)))

    def beat(self, share: float) -> None:
        """In the middle of an arm: show that it moves. A stop is obeyed at the arm's next step."""
        self.step(self._last)

    def between(self, share: float) -> None:
        """Between arms, where all that was trained is stored: show that it moves, and obey a stop at once.

        What is being measured is what a run that is to finish is left with, so that it goes on.
        """
        if self.step(self._last) in (Control.STOP, Control.SAVE_AND_STOP):
            raise Stopped(saved=True)

    def attacking(self, share: float) -> None:
        """While attacks are made: as between arms, and AttacksCutShort when they are to end unfinished."""
        self.between(share)
        if self.concluding and share < 1.0:
            raise AttacksCutShort

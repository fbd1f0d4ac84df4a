"""What a report says of a run whose time was over before all of it was trained."""

from __future__ import annotations

from collections.abc import Sequence

from worker.training.reporting.results import ArmResult
from worker.training.spec import Arm

NotRun = tuple[Arm, int]
"""Arm and seed of what was left out."""


def cut_short_warnings(
    results: Sequence[ArmResult], not_run: Sequence[NotRun], epochs: int
) -> list[dict[str, str]]:
    """Return a row {code, arm, message} for every arm and seed that was ended early or left out.

    results: what was trained; not_run: what was not. epochs: how many each arm was to train at most.
    """
    ended = [
        {
            "code": "max_runtime",
            "arm": result.arm,
            "message": f"{result.arm}, seed {result.seed} was ended by max_runtime after epoch "
            f"{result.epochs} of at most {epochs}; its model is that of epoch {result.best_epoch}, the best "
            "so far, and might have become better: arms that trained for longer have an advantage over it",
        }
        for result in results
        if result.stop_reason == "max_runtime"
    ]
    left_out = [
        {
            "code": "not_run",
            "arm": arm,
            "message": f"{arm}, seed {seed} was not run: max_runtime was over before it had an epoch to "
            "choose a model from",
        }
        for arm, seed in not_run
    ]
    return ended + left_out

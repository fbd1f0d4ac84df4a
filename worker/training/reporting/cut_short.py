"""What a report says of a run whose time was over before all of it was trained and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.training.reporting.results import ArmResult, Measured
from worker.training.settings import Arm

NotRun = tuple[Arm, int]
"""Arm and seed of what was left out."""


def cut_short_warnings(
    results: Sequence[ArmResult],
    not_run: Sequence[NotRun],
    epochs: int,
    baselines: Mapping[str, Measured],
) -> list[dict[str, Any]]:
    """Return a row {code, arm, seed, message} for every arm and seed ended early, left out or not attacked.

    results: what was trained; not_run: what was not. epochs: how many each arm was to train at most.
    baselines: by name, of which one that was not attacked is named as an arm is, without a seed.
    """
    ended: list[dict[str, Any]] = [
        {
            "code": "max_runtime",
            "arm": result.arm,
            "seed": result.seed,
            "message": f"{result.arm}, seed {result.seed} was ended by max_runtime after epoch "
            f"{result.epochs} of at most {epochs}; its model is that of epoch {result.best_epoch}, the best "
            "so far, and might have become better: arms that trained for longer have an advantage over it",
        }
        for result in results
        if result.stop_reason == "max_runtime"
    ]
    left_out: list[dict[str, Any]] = [
        {
            "code": "not_run",
            "arm": arm,
            "seed": seed,
            "message": f"{arm}, seed {seed} was not run: max_runtime was over before it had an epoch to "
            "choose a model from",
        }
        for arm, seed in not_run
    ]
    not_attacked: list[dict[str, Any]] = [
        {
            "code": "not_attacked",
            "arm": result.arm,
            "seed": result.seed,
            "message": f"{result.arm}, seed {result.seed} was not attacked: max_runtime was over before all "
            "attacks on it were made, and part of them would be of some users only; an evaluation of its "
            "model makes them",
        }
        for result in results
        if not result.measured.attacked
    ]
    not_attacked += [
        {
            "code": "not_attacked",
            "arm": name,
            "message": f"the baseline {name} was not attacked: max_runtime was over before all attacks on it "
            "were made",
        }
        for name, measured in baselines.items()
        if not measured.attacked
    ]
    return ended + left_out + not_attacked

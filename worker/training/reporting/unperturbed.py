"""What a report says of an arm whose model never met the adversary that the arm is named for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from worker.training.adversary.perturbation import adversary_of
from worker.training.reporting.results import ArmResult
from worker.training.settings import Arm
from worker.training.spec import TrainSpec


def unperturbed_warnings(results: Sequence[ArmResult], spec: TrainSpec) -> list[dict[str, Any]]:
    """Return a row {code, arm, seed, message} for each arm and seed unperturbed up to its best epoch.

    Of an arm that an earlier version trained, without a history, nothing is known.
    """
    return [
        {
            "code": "never_perturbed",
            "arm": result.arm,
            "seed": result.seed,
            "message": f"{result.arm}, seed {result.seed} never met its adversary: no step up to epoch "
            f"{result.best_epoch}, whose model was chosen, was perturbed ({_why(result.arm, spec)}), so "
            "that it is a model of standard training",
        }
        for result in results
        if result.arm != "standard" and result.history and not _was_perturbed(result)
    ]


def _why(arm: str, spec: TrainSpec) -> str:
    adversary = adversary_of(spec, cast(Arm, arm))
    if adversary.matches or adversary.rewrites_history:
        return f"perturb_every {spec.perturb_every} is more steps than that"
    return "both of its levels are switched off"


def _was_perturbed(result: ArmResult) -> bool:
    return any(
        row["loss_match"] is not None or row["loss_history"] is not None
        for row in result.history
        if row["epoch"] <= result.best_epoch
    )

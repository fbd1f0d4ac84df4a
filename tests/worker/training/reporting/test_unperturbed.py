"""An arm whose model met no perturbed step is a standard one, and the report says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.worker.training.reporting.invented import arm, measured
from worker.training.reporting.results import ArmResult
from worker.training.reporting.unperturbed import unperturbed_warnings
from worker.training.spec import TrainSpec


def trained(name: str, first_perturbed: int, **losses: float) -> ArmResult:
    history: list[dict[str, Any]] = [
        {"epoch": epoch, "loss_match": None, "loss_history": None}
        | (losses if epoch >= first_perturbed else {})
        for epoch in range(1, 10)
    ]
    return replace(arm(name, 3, measured(0.05)), history=history)


def test_an_arm_that_met_its_adversary_up_to_its_best_epoch_is_not_warned_of() -> None:
    fine = [trained("cascade", 7, loss_match=0.5), trained("adversarial", 7, loss_history=0.5)]
    assert unperturbed_warnings([*fine, trained("standard", 100)], TrainSpec()) == []
    assert unperturbed_warnings([replace(fine[0], history=[])], TrainSpec()) == []


def test_one_that_met_it_only_later_is() -> None:
    (row,) = unperturbed_warnings([trained("cascade", 8, loss_match=0.5)], TrainSpec(perturb_every=900))
    assert (row["code"], row["arm"]) == ("never_perturbed", "cascade")
    assert "cascade, seed 3 never met its adversary: no step up to epoch 7" in row["message"]
    assert "perturb_every 900 is more steps than that" in row["message"]


def test_one_without_levels_is_too() -> None:
    spec = TrainSpec(lambda_match=0.0, lambda_history=0.0)
    (row,) = unperturbed_warnings([trained("cascade_replacement", 100)], spec)
    assert "both of its levels are switched off" in row["message"]

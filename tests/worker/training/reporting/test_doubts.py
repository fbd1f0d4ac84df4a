"""Arms that the limit on epochs ended before patience did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.worker.training.reporting.invented import arm, measured
from worker.training.reporting.doubts import epochs_limit_warnings
from worker.training.reporting.results import ArmResult
from worker.training.spec import TrainSpec

SPEC = TrainSpec(epochs=60, min_epochs=0, patience=3, validate_every=2)


def ended(name: str, seed: int = 0, *, best: int = 56, by: str = "epochs") -> ArmResult:
    return replace(arm(name, seed, measured(0.05)), best_epoch=best, epochs=60, stop_reason=by)


def found(*results: ArmResult, **changed: int) -> list[dict[str, Any]]:
    return epochs_limit_warnings(results, SPEC.model_copy(update=changed))


def test_an_arm_that_might_have_become_better_is_named() -> None:
    (row,) = found(ended("standard"))
    assert (row["code"], row["arm"]) == ("epochs_limit", "standard")
    said = "standard was ended by the limit of 60 epochs before patience was over (best: epoch 56)"
    assert row["message"] == f"{said}: more epochs might have made it better"
    assert found(ended("standard", best=54), ended("cascade", by="patience")) == []
    assert found(ended("standard", by="max_runtime")) == []


def test_patience_counts_from_min_epochs_on_where_that_leaves_it_an_epoch() -> None:
    stuck = ended("standard", best=10)
    assert found(stuck) == []
    assert found(stuck, min_epochs=55) == []  # 56, 58 and 60 were counted
    assert [row["arm"] for row in found(stuck, min_epochs=56)] == ["standard"]
    assert found(stuck, min_epochs=60) == []
    assert found(ended("standard"), min_epochs=60) != []
    # The last epoch is validated whatever `validate_every` is: 58, 60 and 61 were counted.
    assert found(replace(ended("standard"), epochs=61)) == []


def test_beside_an_arm_that_patience_ended_the_comparison_is_called_unfair() -> None:
    rows = found(ended("standard"), ended("cascade", best=40, by="patience"))
    assert [row["arm"] for row in rows] == ["standard"]
    assert "it is compared unfairly with cascade, ended by patience" in rows[0]["message"]


def test_seeds_have_rows_of_their_own_unless_all_of_them_were_ended_so() -> None:
    (both,) = found(ended("standard", 0), ended("standard", 1, best=60))
    assert "seed" not in both
    assert "(best: epoch 56, 60) in each of 2 seeds" in both["message"]
    (one,) = found(ended("standard", 0, by="patience"), ended("standard", 1, best=60))
    assert one["seed"] == 1
    assert one["message"].startswith("standard, seed 1 was ended by the limit of 60 epochs")
    assert "unfairly" not in one["message"]

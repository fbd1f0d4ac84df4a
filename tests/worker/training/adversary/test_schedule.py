"""Which steps meet the adversary, and with how much of ε."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.training.adversary.perturbation import OFF, Adversary
from worker.training.adversary.schedule import adversary_at
from worker.training.spec import TrainSpec

ADVERSARY = Adversary(0.1, 1.0, 0.2, 2.0)
STEPS = 4


def spec_of(**settings: int) -> TrainSpec:
    return TrainSpec.model_validate({"epochs": 20, "warmup_epochs": 2, **settings})


def test_by_default_every_step_after_the_warm_up_meets_all_of_it() -> None:
    met = [adversary_at(ADVERSARY, spec_of(), STEPS, step) for step in range(1, 21)]
    assert all(each is OFF for each in met[: 2 * STEPS])
    assert all(each is ADVERSARY for each in met[2 * STEPS :])


def test_every_third_step_meets_it_and_the_others_are_standard() -> None:
    spec = spec_of(perturb_every=3)
    met = [step for step in range(1, 21) if adversary_at(ADVERSARY, spec, STEPS, step) is not OFF]
    assert met == [11, 14, 17, 20]


def test_epsilon_grows_by_the_step_and_is_whole_at_the_ramps_end() -> None:
    spec = spec_of(epsilon_ramp_epochs=2)
    grown = [adversary_at(ADVERSARY, spec, STEPS, 2 * STEPS + step) for step in (1, 4, 8, 9)]
    assert [each.epsilon_match for each in grown] == pytest.approx([0.0125, 0.05, 0.1, 0.1])
    assert [each.epsilon_history for each in grown] == pytest.approx([0.025, 0.1, 0.2, 0.2])
    assert all(each.lambda_history == 2.0 for each in grown)


def test_a_ramp_leaves_a_level_that_is_off_and_a_share_alone() -> None:
    adversary = replace(ADVERSARY, epsilon_match=0.0, epsilon_history=0.0, replace_share=0.3)
    first = adversary_at(adversary, spec_of(epsilon_ramp_epochs=2), STEPS, 2 * STEPS + 1)
    assert first == adversary
    assert first.replaces_history
    assert not first.matches

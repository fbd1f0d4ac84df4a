"""The learning rate, step by step: against the formula, and as the trainer uses it."""

import itertools
import math

import pytest
import torch

from worker.training.fitting.schedule import learning_rate, set_learning_rate
from worker.training.settings import LearningRateDecay
from worker.training.spec import TrainSpec

STEPS = 10


def rates(**settings: object) -> list[float]:
    spec = TrainSpec.model_validate({"epochs": 6, "learning_rate": 0.5, **settings})
    return [learning_rate(spec, STEPS, step) for step in range(1, 6 * STEPS + 1)]


def test_without_a_schedule_it_is_the_setting_itself() -> None:
    assert set(rates()) == {0.5}


def test_it_rises_linearly_and_stays() -> None:
    rising = rates(learning_rate_warmup_epochs=2)
    assert rising[:20] == pytest.approx([0.5 * step / 20 for step in range(1, 21)])
    assert set(rising[20:]) == {0.5}


@pytest.mark.parametrize(("decay", "in_the_middle"), [("linear", 0.5 * 0.55), ("cosine", 0.5 * 0.55)])
def test_it_falls_to_its_floor(decay: LearningRateDecay, in_the_middle: float) -> None:
    falling = rates(learning_rate_warmup_epochs=2, learning_rate_decay=decay, learning_rate_floor=0.1)
    assert falling[19] == 0.5
    assert falling[39] == pytest.approx(in_the_middle)
    assert falling[-1] == pytest.approx(0.05)
    assert all(after < before for before, after in itertools.pairwise(falling[19:]))


def test_cosine_is_half_a_wave() -> None:
    falling = rates(learning_rate_decay="cosine")
    assert falling[14] == pytest.approx(0.25 * (1 + math.cos(math.pi / 4)))


def test_a_run_of_warmup_alone_reaches_the_highest_at_its_end() -> None:
    rising = rates(learning_rate_warmup_epochs=6, learning_rate_decay="linear")
    assert rising[-1] == 0.5


def test_it_reaches_every_group_of_the_optimiser() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimiser = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:]}], lr=1.0)
    set_learning_rate(optimiser, 0.25)
    assert [group["lr"] for group in optimiser.param_groups] == [0.25, 0.25]

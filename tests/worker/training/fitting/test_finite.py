"""A loss or a gradient that is no number: the step is masked, and the run ends and says where."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.worker.training.fitting.steps import (
    EVERY,
    NEGATIVES,
    inputs_of,
    model_of,
    streams,
)
from worker.training.adversary.perturbation import OFF
from worker.training.fitting.finite import FiniteGuard
from worker.training.fitting.step import training_step
from worker.training.models.base import SequenceModel
from worker.training.progress import DivergedError


def poisoned(model: SequenceModel, how: str) -> SequenceModel:
    with torch.no_grad():
        if how == "loss":
            model.item_embedding.weight[1:] = float("inf")
        else:  # scores of 1e30 are finite, their gradient's norm is not
            model.item_embedding.weight.mul_(1e25)
    return model


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_a_number_that_is_none_stops_before_the_weights_move(how: str) -> None:
    model = poisoned(model_of("gru4rec"), how)
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    guard = FiniteGuard("cascade", seed=7, steps_per_epoch=10)
    inputs = inputs_of(EVERY, NEGATIVES)
    with pytest.raises(DivergedError, match=r"step 34 \(epoch 4, arm cascade, seed 7\)") as caught:
        training_step(model, optimiser, inputs, OFF, streams=streams(), guard=guard, step=34)
    assert ("ranking loss is" in str(caught.value)) == (how == "loss")
    assert "gradient norm is" in str(caught.value)
    assert caught.value.code == "diverged"
    assert "learning_rate" in caught.value.hint
    assert not optimiser.state
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_deferred_look_still_masks_the_bad_step_and_names_it() -> None:
    """What CUDA does to avoid a sync a step: here on the CPU's fused optimiser, which knows the same mask."""
    model = model_of("sasrec")
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    guard = FiniteGuard("standard", 0, 10, every=4)
    inputs = inputs_of(EVERY, NEGATIVES)

    def step(number: int) -> None:
        training_step(model, optimiser, inputs, OFF, streams=streams(), guard=guard, step=number)

    step(1)
    guard.read()
    sound = copy.deepcopy(model.state_dict())
    bias = model.get_parameter("final_norm.bias")
    moments = copy.deepcopy(optimiser.state[bias])
    with torch.no_grad():
        bias[0] = float("nan")
    step(2)
    with torch.no_grad():
        bias[0] = sound["final_norm.bias"][0]
    step(3)  # sound again, but nothing moves after a bad step
    assert all(torch.equal(sound[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(moments[key], value) for key, value in optimiser.state[bias].items())
    with pytest.raises(DivergedError, match=r"step 2 \(epoch 1"):
        step(4)

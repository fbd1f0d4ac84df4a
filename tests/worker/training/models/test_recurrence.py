"""The recurrent layer is torch's own, forwards and back."""

import pytest
import torch
from torch import Tensor, nn

from worker.training.models.recurrence import gated_recurrence
from worker.training.seeding import generator_for

SHAPES = [(3, 5), (4, 2), (2, 1), (1, 1)]
"""Sequences and steps: many, two, and one, whose state before it is nothing."""


def layer_of(inputs: int, width: int, dtype: torch.dtype) -> nn.GRU:
    generator = generator_for(0, "test")
    layer = nn.GRU(inputs, width, batch_first=True, dtype=dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return layer


def inputs_of(rows: int, length: int, width: int, dtype: torch.dtype) -> Tensor:
    drawn = torch.randn(rows, length, width, generator=generator_for(1, "test"))
    return drawn.to(dtype).requires_grad_()


@pytest.mark.parametrize(("rows", "length"), SHAPES)
def test_states_and_all_gradients_are_those_of_torchs_layer(rows: int, length: int) -> None:
    layer = layer_of(6, 4, torch.float64)
    x_BLI = inputs_of(rows, length, 6, torch.float64)
    weighed = torch.randn(rows, length, 4, generator=generator_for(2, "test")).double()
    found = []
    for states in (layer(x_BLI)[0], gated_recurrence(layer, x_BLI)):
        gradients = torch.autograd.grad((states * weighed).sum(), [x_BLI, *layer.parameters()])
        found.append([states, *gradients])
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("rows", "length"), SHAPES)
def test_gradients_are_those_of_finite_differences(rows: int, length: int) -> None:
    layer = layer_of(3, 2, torch.float64)
    x_BLI = inputs_of(rows, length, 3, torch.float64)

    def states(x: Tensor, *weights: Tensor) -> Tensor:
        return gated_recurrence(layer, x)

    assert torch.autograd.gradcheck(states, (x_BLI, *layer.parameters()))


def test_going_back_twice_through_one_pass_gives_the_same() -> None:
    layer = layer_of(6, 4, torch.float32)
    x_BLI = inputs_of(3, 5, 6, torch.float32)
    states = gated_recurrence(layer, x_BLI)
    first = torch.autograd.grad(states.sum(), [x_BLI, *layer.parameters()], retain_graph=True)
    again = torch.autograd.grad(states.sum(), [x_BLI, *layer.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_an_input_without_a_gradient_costs_none_and_changes_no_other() -> None:
    layer = layer_of(6, 4, torch.float32)
    x_BLI = inputs_of(3, 5, 6, torch.float32)
    with_input = torch.autograd.grad(gated_recurrence(layer, x_BLI).sum(), list(layer.parameters()))
    without = torch.autograd.grad(gated_recurrence(layer, x_BLI.detach()).sum(), list(layer.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(with_input, without, strict=True))


def test_under_autocast_the_layer_itself_runs() -> None:
    layer = layer_of(6, 4, torch.float32)
    x_BLI = inputs_of(3, 5, 6, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gated_recurrence(layer, x_BLI), layer(x_BLI)[0])

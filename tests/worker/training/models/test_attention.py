import math

import pytest
import torch
from torch import Tensor

from worker.training.models.attention import causal_attention
from worker.training.models.dropout import dropout
from worker.training.seeding import generator_for

SHAPE = (3, 2, 7, 4)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    values = torch.randn(3, *SHAPE, generator=generator_for(0, "attention"), dtype=torch.float64)
    q, k, v = (value.requires_grad_() for value in values)
    return q, k, v


def step_by_step(q: Tensor, k: Tensor, v: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """The definition, as autograd differentiates it."""
    future = torch.ones(7, 7, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(-1, -2) / math.sqrt(4)).masked_fill(future, -math.inf)
    return dropout(scores.softmax(-1), p, generator) @ v


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_one_node_equals_its_definition_in_value_and_gradient(p: float) -> None:
    parts = inputs()
    measured = causal_attention(*parts, p, generator_for(1, "masks"))
    expected = step_by_step(*parts, p, generator_for(1, "masks"))
    torch.testing.assert_close(measured, expected)
    outer = torch.randn(SHAPE, generator=generator_for(2, "outer"), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(measured, parts, outer), torch.autograd.grad(expected, parts, outer)
    )


def test_no_output_reads_a_later_input() -> None:
    q, k, v = inputs()
    a = causal_attention(q, k, v, 0.5, generator_for(1, "masks"))
    (gradient,) = torch.autograd.grad(a[:, :, 2].sum(), v)
    assert gradient[:, :, 3:].abs().max() == 0 < gradient[:, :, :3].abs().max()


def test_autocast_computes_in_the_inputs_type() -> None:
    q, k, v = (part.detach().bfloat16().requires_grad_() for part in inputs())
    with torch.autocast("cpu", torch.bfloat16):
        a = causal_attention(q, k, v, 0.5, generator_for(1, "masks"))
    assert a.dtype is torch.bfloat16
    expected = step_by_step(*inputs(), 0.5, generator_for(1, "masks"))
    torch.testing.assert_close(a.double(), expected, rtol=0.05, atol=0.05)
    assert all(part is not None for part in torch.autograd.grad(a.float().sum(), (q, k, v)))

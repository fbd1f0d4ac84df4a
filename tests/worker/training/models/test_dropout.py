import pytest
import torch

from worker.training.models.dropout import dropout
from worker.training.seeding import generator_for


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_drops_with_probability_p_and_keeps_the_expectation(p: float) -> None:
    n = 400_003  # no multiple of the draws in a word
    y = dropout(torch.ones(n), p, generator_for(0, "masks"))
    dropped = (y == 0).float().mean().item()
    assert dropped == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5)
    assert y.unique().tolist() == [0.0, pytest.approx(1 / (1 - p), rel=2e-4)]
    assert y.mean().item() == pytest.approx(1.0, abs=5 * (p / (1 - p) / n) ** 0.5)


def test_neighbours_are_independent() -> None:
    y = dropout(torch.ones(400_000), 0.5, generator_for(0, "masks")).view(-1, 4) - 1
    correlation = (y.T @ y) / len(y)
    torch.testing.assert_close(correlation, torch.eye(4), rtol=0, atol=0.02)


def test_gradient_is_the_mask() -> None:
    x = torch.randn(3, 5, generator=generator_for(0, "x"), requires_grad=True)
    y = dropout(x, 0.5, generator_for(0, "masks"))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y)


def test_nothing_is_drawn_when_there_is_nothing_to_drop() -> None:
    generator = generator_for(0, "masks")
    before = generator.get_state()
    x = torch.ones(4)
    assert dropout(x, 0.0, generator) is x
    assert dropout(x, 0.5, None) is x
    assert torch.equal(generator.get_state(), before)


def test_the_largest_probability_below_one_still_gives_numbers() -> None:
    y = dropout(torch.ones(1000), 1 - 1e-12, generator_for(0, "masks"))
    assert torch.isfinite(y).all()

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


@pytest.mark.parametrize(("p", "in_a_word"), [(0.5, 64), (0.75, 4)])
def test_neighbours_are_independent(p: float, in_a_word: int) -> None:
    kept = dropout(torch.ones(6400, in_a_word), p, generator_for(0, "masks")) * (1 - p)
    y = (kept - (1 - p)) / (p * (1 - p)) ** 0.5
    torch.testing.assert_close((y.T @ y) / len(y), torch.eye(in_a_word), rtol=0, atol=0.08)


def test_the_usual_probability_drops_alike_in_every_type() -> None:
    fast = dropout(torch.ones(64_000), 0.5, generator_for(0, "masks"))
    slow = dropout(torch.ones(64_000, dtype=torch.float64), 0.5, generator_for(0, "masks"))
    assert fast.unique().tolist() == slow.unique().tolist() == [0.0, 2.0]


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

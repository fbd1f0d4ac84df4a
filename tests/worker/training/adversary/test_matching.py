import pytest
import torch

from worker.training.adversary.matching import rank_and_match
from worker.training.adversary.perturbation import perturb_points
from worker.training.losses.bce import BCE, Points
from worker.training.seeding import generator_for


def random_points(scale: float) -> Points[None]:
    values = torch.randn(3, 40, 8, generator=generator_for(0, "points"), dtype=torch.float64) * scale
    return Points(tuple(value.requires_grad_() for value in values), None)


@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0])
def test_the_single_node_equals_the_loss_called_at_moved_points(scale: float) -> None:
    points = random_points(scale)
    rank, match = rank_and_match(BCE, points, 0.2)
    expected_rank, slopes = BCE.with_gradient(points)
    expected_match = BCE(perturb_points(points, slopes, 0.2))
    torch.testing.assert_close((rank, match), (expected_rank, expected_match))
    measured = torch.autograd.grad(2 * rank + 3 * match, points.vectors)
    expected = torch.autograd.grad(2 * expected_rank + 3 * expected_match, points.vectors)
    torch.testing.assert_close(measured, expected)


def test_points_without_a_direction_stay_where_they_are() -> None:
    zero = torch.zeros(2, 3, requires_grad=True)
    saturated = torch.tensor([[1e3, 0.0, 0.0], [0.0, 1e3, 0.0]])
    for vectors in ((zero, zero, zero), (saturated, saturated, -saturated)):
        points: Points[None] = Points(tuple(v.detach().requires_grad_() for v in vectors), None)
        rank, match = rank_and_match(BCE, points, 0.2)
        assert match.item() == rank.item()
        for gradient in torch.autograd.grad(rank + match, points.vectors):
            assert torch.isfinite(gradient).all()

import math

import pytest
import torch

from worker.training.losses.bce import BCE, Points
from worker.training.losses.lookup import look_up
from worker.training.models.build import build_model
from worker.training.seeding import generator_for
from worker.training.spec import TrainSpec


def random_points(n: int = 7, width: int = 4) -> Points[None]:
    h, target, negative = torch.randn(3, n, width, generator=generator_for(0, "points"), dtype=torch.float64)
    return Points((h, target, negative), None)


def test_bce_by_hand() -> None:
    vectors = (
        torch.tensor([[1.0, 2.0], [0.0, 1.0]]),
        torch.tensor([[1.0, 0.0], [3.0, 2.0]]),  # scores 1 and 2
        torch.tensor([[0.0, 0.5], [1.0, -1.0]]),  # scores 1 and -1
    )

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    first = -math.log(sigmoid(1)) - math.log(1 - sigmoid(1))
    second = -math.log(sigmoid(2)) - math.log(1 - sigmoid(-1))
    assert BCE(Points(vectors, None)).item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_bce_stays_finite_on_hopeless_scores() -> None:
    h = torch.tensor([[1e4]])
    assert BCE(Points((h, -h, h), None)).item() == pytest.approx(2e8, rel=1e-6)


def test_closed_form_gradient_equals_autograd() -> None:
    points = random_points()
    vectors = [vector.requires_grad_() for vector in points.vectors]
    loss, gradients = BCE.with_gradient(points)
    assert torch.equal(loss, BCE(points))
    by_autograd = torch.autograd.grad(loss * 7, vectors)
    for closed_form, expected in zip(gradients, by_autograd, strict=True):
        torch.testing.assert_close(closed_form, expected)
        assert not closed_form.requires_grad


def test_points_are_gathered_from_real_positions() -> None:
    model = build_model(TrainSpec(hidden_size=4, max_length=3), 9)
    h_BLD = torch.arange(24.0).view(2, 3, 4)
    table_VD = model.item_embedding.weight
    targets, negatives = (look_up(table_VD, torch.tensor(items)) for items in ([5, 6, 7], [1, 2, 3]))
    points = BCE.points(table_VD, h_BLD, torch.tensor([0, 1, 3]), targets, negatives)
    h_ND, target_ND, negative_ND = points.vectors
    assert torch.equal(h_ND, torch.stack([h_BLD[0, 0], h_BLD[0, 1], h_BLD[1, 0]]))
    assert torch.equal(target_ND, model.item_embedding.weight[5:8])
    assert torch.equal(negative_ND, model.item_embedding.weight[1:4])

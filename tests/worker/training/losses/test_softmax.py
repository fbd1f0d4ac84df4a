"""The full softmax: blocks change nothing, padding has no share, large scores stay finite, memory bounded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from worker.training.losses import softmax
from worker.training.losses.bce import Points
from worker.training.losses.softmax import Catalogue, FullSoftmax
from worker.training.seeding import generator_for

N, D, ITEMS = 23, 6, 40


def points_of(scale: float = 1.0) -> tuple[Points[Catalogue], list[Tensor]]:
    """Points, and the leaves that gradients are asked for: h, the targets' embeddings, the table."""
    generator = generator_for(0, "points")
    h_ND = torch.randn(N, D, generator=generator, dtype=torch.float64) * scale
    table_VD = torch.randn(ITEMS + 1, D, generator=generator, dtype=torch.float64)
    target_N = torch.randint(1, ITEMS + 1, (N,), generator=generator)
    moved_ND = table_VD[target_N] + 0.1 * torch.randn(N, D, generator=generator, dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (h_ND, moved_ND, table_VD)]
    return Points((h_ND, moved_ND), Catalogue(table_VD, target_N)), leaves


def naive(points: Points[Catalogue]) -> Tensor:
    h_ND, moved_ND = points.vectors
    score_NV = h_ND @ points.rivals.table_VD[1:].T
    own_N = (h_ND * moved_ND).sum(-1)
    score_NV = score_NV.scatter(1, points.rivals.target_N[:, None] - 1, own_N[:, None])
    return functional.cross_entropy(score_NV, points.rivals.target_N - 1)


@pytest.mark.parametrize("rows", [1, 4, N, 1000])
def test_blocks_of_any_size_equal_the_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "MIN_ROWS", rows)
    monkeypatch.setattr(softmax, "BLOCK_SCORES", 1)
    points, leaves = points_of()
    loss, closed_form = FullSoftmax().with_gradient(points)
    expected = naive(points)
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(3 * loss, leaves)
    for gradient, wanted in zip(gradients, torch.autograd.grad(3 * expected, leaves), strict=True):
        torch.testing.assert_close(gradient, wanted)
    for own, wanted in zip(closed_form, gradients, strict=False):
        torch.testing.assert_close(own, wanted * N / 3)
        assert not own.requires_grad
    assert not gradients[2][0].any()


def test_scores_that_overflow_an_exponential_are_no_trouble() -> None:
    points, leaves = points_of(scale=1e4)
    loss = FullSoftmax()(points)
    torch.testing.assert_close(loss, naive(points))
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, leaves))


def test_without_gradients_none_is_made() -> None:
    points, _ = points_of()
    with torch.no_grad():
        assert FullSoftmax()(points).item() == pytest.approx(naive(points).item())


def test_no_block_holds_more_scores_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 positions over 50,000 items are 60 MB of scores."""
    largest = 0
    real_mm = torch.mm

    def watched(a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
        nonlocal largest
        result = real_mm(a, b) if out is None else real_mm(a, b, out=out)
        largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(torch, "mm", watched)
    generator = generator_for(0, "points")
    h_ND = torch.randn(300, 8, generator=generator).requires_grad_()
    table_VD = torch.randn(50_001, 8, generator=generator).requires_grad_()
    target_N = torch.randint(1, 50_001, (300,), generator=generator)
    loss = FullSoftmax()(Points((h_ND, table_VD[target_N]), Catalogue(table_VD, target_N)))
    loss.backward()  # type: ignore[no-untyped-call]
    assert 0 < largest <= max(softmax.BLOCK_SCORES, softmax.MIN_ROWS * 50_001)

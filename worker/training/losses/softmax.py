"""The ranking loss over the whole catalogue: −log softmax of the target's score among all items'.

Shape letters: N real positions, D embedding width, V items, n positions of a block.

N · V scores do not fit in memory at 100,000 items, so positions go by in blocks. A block's gradient is made
in the forward pass, while its scores are there, and is all that is kept of it: three products of matrices in
all, none computed twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from worker.training.losses.bce import Points, RankingLoss, real_states
from worker.training.losses.lookup import Lookup

BLOCK_SCORES = 2**22
"""Scores that are in memory at once (16 MB), unless `MIN_ROWS` positions have more."""
MIN_ROWS = 64
"""Positions of a block at least: every block adds to a [V + 1, D] gradient."""


class Catalogue(NamedTuple):
    """table_VD: all items' embeddings, [V + 1, D], row 0 padding; target_N: the positions' own items."""

    table_VD: Tensor
    target_N: Tensor


class FullSoftmax(RankingLoss[Catalogue]):
    """Softmax over items 1 … V. The target's embedding is a point of its own, which level 1 may move."""

    reads_table = True

    def points(
        self, table_VD: Tensor, h_BLD: Tensor, real_N: Tensor, targets: Lookup, negatives: Lookup
    ) -> Points[Catalogue]:
        """See `RankingLoss.points`; negatives are not used."""
        rivals = Catalogue(table_VD, targets.items)
        return Points((real_states(h_BLD, real_N), targets.rows), rivals)

    def __call__(self, points: Points[Catalogue]) -> Tensor:
        """See `RankingLoss`."""
        return self.with_gradient(points)[0]

    def with_gradient(self, points: Points[Catalogue]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `RankingLoss`. With p the softmax: Σ_j p_j·E[j] − E[y] at h, (p_y − 1)·h at E[y]."""
        h_ND, target_ND = points.vectors
        with torch.autocast(h_ND.device.type, enabled=False):
            loss, at_h, at_target = _BlockedSoftmax.apply(h_ND, target_ND, *points.rivals)  # type: ignore[no-untyped-call]
        return loss, (at_h, at_target)


class _BlockedSoftmax(torch.autograd.Function):
    """(h_ND, target_ND, table_VD, target_N) → the mean loss, and N times its gradient at h and at target."""

    @staticmethod
    def forward(
        ctx: Any, h_ND: Tensor, target_ND: Tensor, table_VD: Tensor, target_N: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        loss = h_ND.new_zeros(())
        at_h, at_target = torch.empty_like(h_ND), torch.empty_like(target_ND)
        at_table = torch.zeros_like(table_VD) if ctx.needs_input_grad[2] else None
        rows = max(MIN_ROWS, BLOCK_SCORES // len(table_VD))
        scores = h_ND.new_empty(min(rows, len(h_ND)), len(table_VD))
        for start in range(0, len(h_ND), rows):
            part = slice(start, start + rows)
            h_nD, target_nD = h_ND[part], target_ND[part]
            p_nV, slope_n1, block_loss = _probabilities(
                h_nD, target_nD, table_VD, target_N[part, None], scores[: len(h_nD)]
            )
            loss += block_loss
            torch.addcmul(torch.mm(p_nV, table_VD), slope_n1, target_nD, out=at_h[part])
            torch.mul(slope_n1, h_nD, out=at_target[part])
            if at_table is not None:
                at_table.addmm_(p_nV.T, h_nD)
        ctx.save_for_backward(at_h, at_target, at_table)
        ctx.mark_non_differentiable(at_h, at_target)
        return loss / len(h_ND), at_h, at_target

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        at_h, at_target, at_table = ctx.saved_tensors
        scale = by_loss / len(at_h)
        return at_h * scale, at_target * scale, None if at_table is None else at_table * scale, None


def _probabilities(
    h_nD: Tensor, target_nD: Tensor, table_VD: Tensor, target_n1: Tensor, out_nV: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return p_nV in `out_nV`, 0 at padding and the target; the target's p − 1, [n, 1]; the summed loss."""
    score_nV = torch.mm(h_nD, table_VD.T, out=out_nV)
    own_n1 = (h_nD * target_nD).sum(-1, keepdim=True)
    score_nV[:, 0] = -torch.inf
    score_nV.scatter_(1, target_n1, own_n1)
    highest_n1 = score_nV.amax(1, keepdim=True)
    p_nV = score_nV.sub_(highest_n1).exp_()
    sum_n1 = p_nV.sum(1, keepdim=True)
    p_nV.div_(sum_n1)
    slope_n1 = p_nV.gather(1, target_n1) - 1
    p_nV.scatter_(1, target_n1, 0.0)
    return p_nV, slope_n1, (sum_n1.log() + highest_n1 - own_n1).sum()

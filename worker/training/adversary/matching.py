"""The ranking loss and level 1's, L_match, of one clean pass; for `bce` both as a single node of the graph.

In general L_match is the loss called again at moved points (`perturb_points`). With one negative a position
all that moves is known in closed form. With slopes a = −σ(−h·y), b = σ(h·n) and mean lengths s of each kind::

    h' = h + ε·s_h·g/‖g‖, g = a·y + b·n        y' = y − ε·s_y·h/‖h‖        n' = n + ε·s_n·h/‖h‖

so y' and n' are never made: their scores need one number a row, and so do all gradients.

Shape letters: N real positions, D embedding width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from worker.training.adversary.perturbation import perturb_points
from worker.training.losses.bce import BinaryCrossEntropy, Points, RankingLoss


def rank_and_match(loss: RankingLoss[Any], points: Points[Any], epsilon: float) -> tuple[Tensor, Tensor]:
    """Return L_rank and L_match of a batch's points, differentiable; ε1 as in `perturb_points`."""
    if isinstance(loss, BinaryCrossEntropy):
        rank, match = _BinaryCrossEntropies.apply(*points.vectors, epsilon)  # type: ignore[no-untyped-call]
        return rank, match
    rank, gradients = loss.with_gradient(points)
    return rank, loss(perturb_points(points, gradients, epsilon))


class _BinaryCrossEntropies(torch.autograd.Function):
    """(h_ND, target_ND, negative_ND, ε1) → L_rank, L_match, with perturbations as constants."""

    @staticmethod
    def forward(ctx: Any, h_ND: Tensor, y_ND: Tensor, n_ND: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
        positive_N, negative_N = (h_ND * y_ND).sum(-1), (h_ND * n_ND).sum(-1)
        a_N, b_N = -torch.sigmoid(-positive_N), torch.sigmoid(negative_N)
        rank = (functional.softplus(-positive_N) + functional.softplus(negative_N)).mean()

        # A gradient too short to have a direction counts as zero, as in `ascent`.
        shortest = math.sqrt(torch.finfo(h_ND.dtype).tiny)
        length_N = h_ND.norm(dim=-1)
        along_N = epsilon / length_N
        down_N = torch.where(-a_N * length_N > shortest, -along_N * y_ND.norm(dim=-1).mean(), 0.0)
        up_N = torch.where(b_N * length_N > shortest, along_N * n_ND.norm(dim=-1).mean(), 0.0)
        slope_ND = (a_N[:, None] * y_ND).addcmul_(b_N[:, None], n_ND)
        norm_N = slope_ND.norm(dim=-1)
        step_N = torch.where(norm_N > shortest, epsilon * length_N.mean() / norm_N, 0.0)
        moved_ND = slope_ND.mul_(step_N[:, None]).add_(h_ND)

        across_N = (moved_ND * h_ND).sum(-1)
        positive_N = (moved_ND * y_ND).sum(-1).addcmul_(down_N, across_N)
        negative_N = (moved_ND * n_ND).sum(-1).addcmul_(up_N, across_N)
        match = (functional.softplus(-positive_N) + functional.softplus(negative_N)).mean()
        slopes = torch.stack([a_N, b_N, -torch.sigmoid(-positive_N), torch.sigmoid(negative_N)])
        ctx.save_for_backward(h_ND, y_ND, n_ND, moved_ND, slopes, down_N, up_N)
        return rank, match

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_rank: Tensor, by_match: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        h_ND, y_ND, n_ND, moved_ND, slopes, down_N, up_N = ctx.saved_tensors
        share = torch.stack([by_rank, by_match]) / len(h_ND)
        a_N1, b_N1 = (slopes[:2] * share[0])[:, :, None]
        a2_N1, b2_N1 = (slopes[2:] * share[1])[:, :, None]
        h_by_ND = ((a_N1 + a2_N1) * y_ND).addcmul_(b_N1 + b2_N1, n_ND)
        h_by_ND.addcmul_(a2_N1 * down_N[:, None] + b2_N1 * up_N[:, None], h_ND)
        y_by_ND = (a_N1 * h_ND).addcmul_(a2_N1, moved_ND)
        n_by_ND = (b_N1 * h_ND).addcmul_(b2_N1, moved_ND)
        return h_by_ND, y_by_ND, n_by_ND, None

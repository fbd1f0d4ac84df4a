"""Ranking losses: how badly a position's target is ranked against its negatives.

Shape letters: N real positions (padding is gone before anything is scored), D embedding width.

A loss is a pair of functions of the *points* that scores are made of: the loss itself, and its gradient at
each point in closed form, which the adversary's matching level needs. Other losses come as further pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from worker.training.models.base import SequenceModel


class Points(NamedTuple):
    """What N scores are made of: hidden states, targets' and negatives' embeddings, each [N, D]."""

    h_ND: Tensor
    target_ND: Tensor
    negative_ND: Tensor


def gather_points(
    model: SequenceModel, h_BLD: Tensor, real_N: Tensor, target_N: Tensor, negative_N: Tensor
) -> Points:
    """Gather the real positions; `real_N` holds their indices into the flattened [B·L]."""
    h_ND = h_BLD.flatten(0, 1).index_select(0, real_N).float()
    # One lookup for both, for its backward pass fills a dense [V + 1, D] gradient.
    items = model.embed(torch.cat([target_N, negative_N]))
    target_ND, negative_ND = items.chunk(2)
    return Points(h_ND, target_ND, negative_ND)


def bce(points: Points) -> Tensor:
    """Binary cross-entropy with one sampled negative a position, as in SASRec's paper.

    Σ_N [−log σ(h·E[y]) − log(1 − σ(h·E[neg]))], divided by N: a mean over targets (not over the 2N terms).
    """
    h_ND, target_ND, negative_ND = points
    positive_N = (h_ND * target_ND).sum(-1)
    negative_N = (h_ND * negative_ND).sum(-1)
    return (functional.softplus(-positive_N) + functional.softplus(negative_N)).mean()


@torch.no_grad()
def bce_gradient(points: Points) -> Points:
    """Gradient of N · `bce` at each of its points, in closed form.

    With a = −σ(−h·E[y]) and b = σ(h·E[neg]): a·E[y] + b·E[neg] at h, a·h at E[y], b·h at E[neg].
    """
    h_ND, target_ND, negative_ND = points
    a_N1 = -torch.sigmoid(-(h_ND * target_ND).sum(-1, keepdim=True))
    b_N1 = torch.sigmoid((h_ND * negative_ND).sum(-1, keepdim=True))
    return Points(a_N1 * target_ND + b_N1 * negative_ND, a_N1 * h_ND, b_N1 * h_ND)

"""Ranking losses: how badly a position's target is ranked against its rivals.

Shape letters: N real positions (padding is gone before anything is scored), D embedding width.

A loss gathers the *points* that its scores are made of, and gives its value at them and, in closed form, its
gradient there, which the adversary's matching level needs. `bce` stands here; those with several negatives in
`sampled.py`, the one over the whole catalogue in `softmax.py`, the choice between them in `build.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from worker.training.losses.lookup import Lookup

RivalsT = TypeVar("RivalsT")


class Points(NamedTuple, Generic[RivalsT]):
    """What N scores are made of.

    vectors: each [N, D]: hidden states, targets' embeddings, and for `bce` negatives' embeddings. Level 1
    moves these. rivals: what targets are ranked against and no level moves (a copy of every negative's
    embedding a position would be too large); None for `bce`.
    """

    vectors: tuple[Tensor, ...]
    rivals: RivalsT


class RankingLoss(ABC, Generic[RivalsT]):
    """A ranking loss; the same object serves the clean pass, the matching level and the second pass.

    reads_table: whether its points take in the whole table of items.
    """

    reads_table = False

    @abstractmethod
    def points(
        self, table_VD: Tensor, h_BLD: Tensor, real_N: Tensor, targets: Lookup, negatives: Lookup
    ) -> Points[RivalsT]:
        """Gather the real positions; `real_N` holds their indices into the flattened [B·L].

        table_VD: all items' embeddings. targets: [N]. negatives: what `NegativeSampler` drew, [N] or [B, k];
        empty where a loss needs none.
        """

    @abstractmethod
    def __call__(self, points: Points[RivalsT]) -> Tensor:
        """Return the mean over the N targets, differentiable in all that the scores are made of."""

    @abstractmethod
    def with_gradient(self, points: Points[RivalsT]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the loss, and the gradient of N times it at each of `points.vectors`, detached."""


class BinaryCrossEntropy(RankingLoss[None]):
    """One sampled negative a position, as in SASRec's paper.

    Σ_N [−log σ(h·E[y]) − log(1 − σ(h·E[neg]))], divided by N: a mean over targets (not over the 2N terms).
    """

    def points(
        self, table_VD: Tensor, h_BLD: Tensor, real_N: Tensor, targets: Lookup, negatives: Lookup
    ) -> Points[None]:
        """See `RankingLoss.points`; negatives: [N]."""
        return Points((real_states(h_BLD, real_N), targets.rows, negatives.rows), None)

    def __call__(self, points: Points[None]) -> Tensor:
        """See `RankingLoss`."""
        h_ND, target_ND, negative_ND = points.vectors
        positive_N = (h_ND * target_ND).sum(-1)
        negative_N = (h_ND * negative_ND).sum(-1)
        return (functional.softplus(-positive_N) + functional.softplus(negative_N)).mean()

    def with_gradient(self, points: Points[None]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `RankingLoss`.

        With a = −σ(−h·E[y]) and b = σ(h·E[neg]): a·E[y] + b·E[neg] at h, a·h at E[y], b·h at E[neg].
        """
        with torch.no_grad():
            h_ND, target_ND, negative_ND = points.vectors
            a_N1 = -torch.sigmoid(-(h_ND * target_ND).sum(-1, keepdim=True))
            b_N1 = torch.sigmoid((h_ND * negative_ND).sum(-1, keepdim=True))
            gradients = (a_N1 * target_ND + b_N1 * negative_ND, a_N1 * h_ND, b_N1 * h_ND)
        return self(points), gradients


def real_states(h_BLD: Tensor, real_N: Tensor) -> Tensor:
    """Gather the hidden states of the real positions, [N, D], in float32 whatever the encoder ran in."""
    return h_BLD.flatten(0, 1).index_select(0, real_N).float()


BCE = BinaryCrossEntropy()

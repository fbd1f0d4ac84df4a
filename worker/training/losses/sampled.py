"""Ranking losses against k sampled negatives: softmax over them, and gSASRec's calibrated cross-entropy.

Shape letters: N real positions, D embedding width, B windows, L padded width, k negatives.

The k negatives are drawn for a window, and all its positions share them (ours; gSASRec draws them for each
position): scoring is then one product of matrices a window and gathers B·k embeddings instead of N·k.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from worker.training.losses.bce import Points, RankingLoss, real_states
from worker.training.losses.lookup import Lookup


class WindowNegatives(NamedTuple):
    """embedding_BkD of the items negative_Bk; target_N; real_N, the positions' indices into [B·L]; L."""

    embedding_BkD: Tensor
    negative_Bk: Tensor
    target_N: Tensor
    real_N: Tensor
    width: int


class _Sampled(RankingLoss[WindowNegatives]):
    """What both losses share: gathering, scores, and the chain from scores back to points."""

    def points(
        self, table_VD: Tensor, h_BLD: Tensor, real_N: Tensor, targets: Lookup, negatives: Lookup
    ) -> Points[WindowNegatives]:
        """See `RankingLoss.points`; negatives: [B, k]."""
        rivals = WindowNegatives(negatives.rows, negatives.items, targets.items, real_N, h_BLD.shape[1])
        return Points((real_states(h_BLD, real_N), targets.rows), rivals)

    def __call__(self, points: Points[WindowNegatives]) -> Tensor:
        """See `RankingLoss`."""
        with torch.autocast(points.vectors[0].device.type, enabled=False):
            return self._loss(*_scores(points), points.rivals).mean()

    def with_gradient(self, points: Points[WindowNegatives]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `RankingLoss`. With the slopes a at h·E[y] and b_j at h·E[j]: a·E[y] + Σ b_j·E[j], and a·h."""
        with torch.autocast(points.vectors[0].device.type, enabled=False):
            positive_N, negative_Nk = _scores(points)
            loss = self._loss(positive_N, negative_Nk, points.rivals).mean()
            with torch.no_grad():
                a_N, b_Nk = self._slopes(positive_N, negative_Nk, points.rivals)
                h_ND, target_ND = points.vectors
                drawn_BLD = torch.bmm(_padded(b_Nk, points.rivals), points.rivals.embedding_BkD)
                drawn_ND = drawn_BLD.flatten(0, 1).index_select(0, points.rivals.real_N)
                a_N1 = a_N[:, None]
                return loss, (a_N1 * target_ND + drawn_ND, a_N1 * h_ND)

    @abstractmethod
    def _loss(self, positive_N: Tensor, negative_Nk: Tensor, rivals: WindowNegatives) -> Tensor:
        """Return the loss of each position, [N]."""

    @abstractmethod
    def _slopes(
        self, positive_N: Tensor, negative_Nk: Tensor, rivals: WindowNegatives
    ) -> tuple[Tensor, Tensor]:
        """Return the derivatives of `_loss` by each score, [N] and [N, k]."""


class SampledSoftmax(_Sampled):
    """−log softmax of the target's score among its own and those of k negatives.

    log_q_V: float[V + 1], the log of the share of draws that each item gets, which is taken off every score
    (the target's as well: Jean et al. 2015), so that items drawn often are not pushed down for that. None for
    uniform draws, where it would change nothing.
    """

    def __init__(self, log_q_V: Tensor | None = None) -> None:
        self._log_q_V = log_q_V

    def _loss(self, positive_N: Tensor, negative_Nk: Tensor, rivals: WindowNegatives) -> Tensor:
        logits = self._logits(positive_N, negative_Nk, rivals)
        return logits.logsumexp(1) - logits[:, 0]

    def _slopes(
        self, positive_N: Tensor, negative_Nk: Tensor, rivals: WindowNegatives
    ) -> tuple[Tensor, Tensor]:
        p = self._logits(positive_N, negative_Nk, rivals).softmax(1)
        return p[:, 0] - 1, p[:, 1:]

    def _logits(self, positive_N: Tensor, negative_Nk: Tensor, rivals: WindowNegatives) -> Tensor:
        logits = torch.cat([positive_N[:, None], negative_Nk], 1)
        if self._log_q_V is None:
            return logits
        window_N = rivals.real_N.div(rivals.width, rounding_mode="floor")
        drawn = torch.cat([rivals.target_N[:, None], rivals.negative_Bk[window_N]], 1)
        return logits - self._log_q_V[drawn]


class CalibratedBinaryCrossEntropy(_Sampled):
    """gBCE of gSASRec (Petrov and Macdonald, RecSys 2023): cross-entropy with an exponent on the positive.

    [−β log σ(h·E[y]) − Σ_j log(1 − σ(h·E[j]))] / (k + 1), β = α·(t·(1 − 1/α) + 1/α) = 1 − t·(1 − α) with the
    sampling rate α = k / (V − 1). t = 0 is plain cross-entropy; t = 1 undoes its overconfidence entirely.
    """

    def __init__(self, n_items: int, negatives: int, t: float) -> None:
        rate = min(1.0, negatives / max(1, n_items - 1))
        self.beta = 1 - t * (1 - rate)

    def _loss(self, positive_N: Tensor, negative_Nk: Tensor, rivals: WindowNegatives) -> Tensor:
        total_N = self.beta * functional.softplus(-positive_N) + functional.softplus(negative_Nk).sum(1)
        return total_N / (negative_Nk.shape[1] + 1)

    def _slopes(
        self, positive_N: Tensor, negative_Nk: Tensor, rivals: WindowNegatives
    ) -> tuple[Tensor, Tensor]:
        terms = negative_Nk.shape[1] + 1
        return -self.beta * torch.sigmoid(-positive_N) / terms, torch.sigmoid(negative_Nk) / terms


def _scores(points: Points[WindowNegatives]) -> tuple[Tensor, Tensor]:
    """h·E[y], [N], and h·E[j] for the window's negatives j, [N, k]."""
    h_ND, target_ND = points.vectors
    rivals = points.rivals
    score_BLk = torch.bmm(_padded(h_ND, rivals), rivals.embedding_BkD.transpose(1, 2))
    return (h_ND * target_ND).sum(-1), score_BLk.flatten(0, 1).index_select(0, rivals.real_N)


def _padded(rows_Nx: Tensor, rivals: WindowNegatives) -> Tensor:
    """Put the rows of real positions back into their windows, [B, L, x], 0 on padding."""
    windows, width = len(rivals.negative_Bk), rivals.width
    empty = rows_Nx.new_zeros(windows * width, rows_Nx.shape[1])
    return empty.index_copy(0, rivals.real_N, rows_Nx).view(windows, width, -1)

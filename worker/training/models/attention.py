"""Causal attention with dropout on its weights, as one node of the graph.

torch's fused attention draws its dropout from the global generator, which will not do here (`dropout.py`).
Written out in single operations, attention goes over its [L, L] weights eleven times in both passes besides
the products; here six times: the mask of the future is added with the scaling, and needs no gradient, for a
weight that is 0 passes none on.

Shape letters: B sequences, H heads, n = B · H, L padded width, d width of a head.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from worker.training.draws import Draws
from worker.training.models.dropout import dropout_mask


def causal_attention(
    q_BHLd: Tensor, k_BHLd: Tensor, v_BHLd: Tensor, p: float, generator: Draws | None
) -> Tensor:
    """Return softmax(q kᵀ / √d) v over keys s ≤ t, with dropout on the weights, [B, H, L, d].

    Right padding needs no key mask: it stands after every real query.
    """
    length = q_BHLd.shape[2]
    # In the type of the queries: under autocast too, where the products would be made in it anyhow.
    mask_BHLL = dropout_mask(q_BHLd.new_empty(()).expand(*q_BHLd.shape[:3], length), p, generator)
    if mask_BHLL is None:
        return functional.scaled_dot_product_attention(q_BHLd, k_BHLd, v_BHLd, is_causal=True)
    parts = (part.flatten(0, 1) for part in (q_BHLd, k_BHLd, v_BHLd, mask_BHLL))
    with torch.autocast(q_BHLd.device.type, enabled=False):
        a_nLd = cast(Tensor, _Attention.apply(*parts))  # type: ignore[no-untyped-call]
    return a_nLd.view(q_BHLd.shape)


class _Attention(torch.autograd.Function):
    """(q, k, v, each [n, L, d], and the dropout mask [n, L, L]) → [n, L, d]."""

    @staticmethod
    def forward(ctx: Any, q_nLd: Tensor, k_nLd: Tensor, v_nLd: Tensor, mask_nLL: Tensor) -> Tensor:
        future_LL = q_nLd.new_full((q_nLd.shape[1],) * 2, -math.inf).triu_(1)
        scores_nLL = torch.bmm(q_nLd, k_nLd.transpose(1, 2))
        torch.add(future_LL, scores_nLL, alpha=1 / math.sqrt(q_nLd.shape[2]), out=scores_nLL)
        weights_nLL = scores_nLL.softmax(-1)
        kept_nLL = torch.mul(weights_nLL, mask_nLL, out=scores_nLL)
        ctx.save_for_backward(q_nLd, k_nLd, v_nLd, mask_nLL, weights_nLL, kept_nLL)
        return torch.bmm(kept_nLL, v_nLd)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_nLd: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_nLd, k_nLd, v_nLd, mask_nLL, weights_nLL, kept_nLL = ctx.saved_tensors
        by_weights_nLL = torch.bmm(by_nLd, v_nLd.transpose(1, 2)).mul_(mask_nLL)
        by_scores_nLL = torch._softmax_backward_data(by_weights_nLL, weights_nLL, -1, weights_nLL.dtype)
        by_scores_nLL.mul_(1 / math.sqrt(q_nLd.shape[2]))
        return (
            torch.bmm(by_scores_nLL, k_nLd),
            torch.bmm(by_scores_nLL.transpose(1, 2), q_nLd),
            torch.bmm(kept_nLL.transpose(1, 2), by_nLd),
            None,
        )

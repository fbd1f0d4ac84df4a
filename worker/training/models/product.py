"""Scores of many states against all items, without a gradient: a long product in pieces that fit a cache.

One product of [N, D] and [D, V + 1] with a small D spends as long on moving its rows as on multiplying
them. A few hundred items at a time, written where they belong, it takes about half as long.

Shape letters: N states, D embedding width, V items.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ITEMS = 512


def all_products(states_ND: Tensor, vectors_VD: Tensor) -> Tensor:
    """Return states · vectorsᵀ, [N, V + 1], in a fresh tensor; differentiable where gradients are on."""
    if torch.is_grad_enabled() or states_ND.device.type != "cpu" or states_ND.dtype is not vectors_VD.dtype:
        return functional.linear(states_ND, vectors_VD)
    products_NV = states_ND.new_empty(len(states_ND), len(vectors_VD))
    for start in range(0, len(vectors_VD), _ITEMS):
        part = slice(start, start + _ITEMS)
        torch.mm(states_ND, vectors_VD[part].T, out=products_NV[:, part])
    return products_NV

"""Dropout whose masks come from a generator that the caller owns.

torch's own dropout draws from a global generator, so a second, perturbed pass would shift every later draw of
the clean one. Its CPU kernel also draws one Bernoulli variable at a time, which took a third of a training
step; here one 64-bit draw decides four activations.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from worker.training.draws import CountedDraws, Draws

_LEVELS = 2**16


def dropout(x: Tensor, p: float, generator: Draws | None) -> Tensor:
    """Zero each element of `x` (any shape) with probability p and scale the others by 1 / (1 − p).

    A torch generator must live on the device of `x`; None, like p = 0, returns `x` and draws nothing.
    p is taken to the nearest 1/65536, and the scale is that of the p taken, so the expectation is exact.
    """
    threshold = min(round(p * _LEVELS), _LEVELS - 1)
    if generator is None or threshold == 0:
        return x
    draws = _draws(x, generator)
    limit, scale = threshold - _LEVELS // 2, _LEVELS / (_LEVELS - threshold)
    if x.device.type == "cpu" and x.dtype is torch.float32:
        # The same mask, made by numpy, whose comparison is vectorised: four times as fast.
        kept = np.greater_equal(draws.numpy(), np.int16(limit))
        return x * torch.from_numpy(np.multiply(kept, np.float32(scale)))
    return x * (draws >= limit).to(x.dtype).mul_(scale)


def _draws(x: Tensor, generator: Draws) -> Tensor:
    """16 random bits for each element of `x`, int16, on its device."""
    if isinstance(generator, CountedDraws):
        return torch.from_numpy(generator.lanes(tuple(x.shape))).to(x.device)
    n = x.numel()
    words = torch.empty(-(-n // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.int16)[:n].view(x.shape)

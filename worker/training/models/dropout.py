"""Dropout whose masks come from a generator that the caller owns.

torch's own dropout draws from a global generator, so a second, perturbed pass would shift every later draw of
the clean one. Its CPU kernel also draws one Bernoulli variable at a time, which took a third of a training
step; here one 64-bit draw decides four activations, or 64 where a half of them is dropped.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from worker.training.draws import CountedDraws, Draws

_LEVELS = 2**16
_EIGHT_KEPT = (2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)).astype(np.float32)
"""float32[256, 8]: what each byte makes of eight activations at p = 1/2."""


def dropout(x: Tensor, p: float, generator: Draws | None) -> Tensor:
    """Zero each element of `x` (any shape) with probability p and scale the others by 1 / (1 − p).

    A torch generator must live on the device of `x`; None, like p = 0, returns `x` and draws nothing.
    p is taken to the nearest 1/65536, and the scale is that of the p taken, so the expectation is exact.
    """
    mask = dropout_mask(x, p, generator)
    return x if mask is None else x * mask


def dropout_mask(like: Tensor, p: float, generator: Draws | None) -> Tensor | None:
    """Return what `dropout` multiplies a tensor of `like`'s shape and type by; None where it returns it."""
    threshold = min(round(p * _LEVELS), _LEVELS - 1)
    if generator is None or threshold == 0:
        return None
    on_cpu = like.device.type == "cpu" and like.dtype is torch.float32
    if on_cpu and 2 * threshold == _LEVELS and isinstance(generator, torch.Generator):
        return _half(like, generator)
    draws = _draws(like, generator)
    limit, scale = threshold - _LEVELS // 2, _LEVELS / (_LEVELS - threshold)
    if on_cpu:
        # The same mask, made by numpy, whose comparison is vectorised: four times as fast.
        kept = np.greater_equal(draws.numpy(), np.int16(limit))
        return torch.from_numpy(np.multiply(kept, np.float32(scale)))
    return (draws >= limit).to(like.dtype).mul_(scale)


def _half(like: Tensor, generator: torch.Generator) -> Tensor:
    # The usual p needs one bit an element. Its bytes look their eight factors up: six times as fast.
    n = like.numel()
    words = _words(-(-n // 64), generator)
    kept = np.take(_EIGHT_KEPT, words.numpy().view(np.uint8), axis=0)
    return torch.from_numpy(kept).view(-1)[:n].view(like.shape)


def _draws(x: Tensor, generator: Draws) -> Tensor:
    """16 random bits for each element of `x`, int16, on its device."""
    if isinstance(generator, CountedDraws):
        return torch.from_numpy(generator.lanes(tuple(x.shape))).to(x.device)
    n = x.numel()
    return _words(-(-n // 4), generator).view(torch.int16)[:n].view(x.shape)


def _words(n: int, generator: torch.Generator) -> Tensor:
    """64 random bits each, int64[n], on the generator's device."""
    words = torch.empty(n, dtype=torch.int64, device=generator.device)
    return words.random_(-(2**63), None, generator=generator)

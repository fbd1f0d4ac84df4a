"""Cascade effects: how many later predictions of training read an interaction, and the weights made of them.

That the perturbation is re-scaled by each interaction's cascade effect is the paper's (arXiv 2304.05492); the
formulas are this project's (docs/method.md). Arrays are flat over the P input positions of all windows,
aligned with `Windows.offsets`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from worker.training.data.batching import Windows

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]


def cascade_effects(windows: Windows, n_items: int, kappa: float) -> Float64:
    """Return C = own + κ · shared, float64[P], each ≥ 1, in two group-by passes.

    own(u, t) = n_u − t for the t-th of a window's n_u − 1 inputs: the later predictions of the same user that
    read it. shared(u, t) = Σ own over every other input position, of any user, that holds the same item.
    """
    lengths = windows.lengths.astype(np.int64)
    ends = np.repeat(windows.offsets[1:], lengths)
    own = (ends - np.arange(windows.n_targets)).astype(np.float64)
    if kappa == 0:
        return own
    items = windows.flat_inputs()
    of_item = np.bincount(items, weights=own, minlength=n_items + 1)
    return own + kappa * (of_item[items] - own)


def cascade_weights(windows: Windows, effects: Float64, gamma: float, clip: float) -> Float32:
    """Return w = clip((C / gm)^(−γ), 1/c, c), scaled to a root mean square of 1 in each window, float32[P].

    gm is the geometric mean of C over the window's inputs. γ = 0 gives exactly 1 everywhere; γ > 0 gives more
    to what training touches seldom. The scaling may push a weight past the clip; ratios stay within c².
    """
    if gamma == 0:
        return np.ones(windows.n_targets, dtype=np.float32)
    lengths = windows.lengths.astype(np.int64)
    window = np.repeat(np.arange(len(windows)), lengths)

    def mean(values: Float64) -> Float64:
        total = np.bincount(window, weights=values, minlength=len(windows))
        return np.asarray(np.repeat(total / lengths, lengths), dtype=np.float64)

    log_effects = np.log(effects)
    log_weights = -gamma * (log_effects - mean(log_effects))
    weights = np.exp(np.clip(log_weights, -np.log(clip), np.log(clip)))
    return (weights / np.sqrt(mean(weights**2))).astype(np.float32)

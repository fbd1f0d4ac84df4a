"""Cascade effects as the report shows them: their spread over positions, and one example sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.training.adversary.cascade import cascade_effects, cascade_weights
from worker.training.data.batching import Windows
from worker.training.spec import TrainSpec

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_EXAMPLE_INPUTS = (5, 20)


def cascade_facts(windows: Windows, item_ids: Sequence[str], spec: TrainSpec) -> dict[str, Any]:
    """Return {kappa, gamma, weight_clip, by_position[], example} of the training windows.

    by_position: a row a place counted from the window's end (1 is the last input), {from_end, inputs, effect,
    effect_kappa_1, weight}, the last three lists of the QUANTILES over the inputs there; weights are the
    cascade arm's. example: {items, effects, weights} of one window, oldest first: the first of those whose
    length is nearest to the median (5 to 20 inputs where there are such). It names no user.
    """
    effects = cascade_effects(windows, len(item_ids), spec.kappa)
    weights = cascade_weights(windows, effects, spec.gamma, spec.weight_clip)
    # With κ = 1 the other sequences that hold the item count, too: shown beside whatever κ was trained with.
    shared = cascade_effects(windows, len(item_ids), 1.0)
    lengths = windows.lengths.astype(np.int64)
    from_end = np.repeat(windows.offsets[1:], lengths) - np.arange(windows.n_targets)
    order = np.argsort(from_end, kind="stable")
    ends = np.cumsum(np.bincount(from_end)[1:])
    rows = []
    for place, (start, stop) in enumerate(zip([0, *ends[:-1]], ends, strict=True), 1):
        there = order[start:stop]
        rows.append(
            {
                "from_end": place,
                "inputs": len(there),
                "effect": _quantiles(effects[there]),
                "effect_kappa_1": _quantiles(shared[there]),
                "weight": _quantiles(weights[there].astype(np.float64)),
            }
        )
    return {
        "kappa": spec.kappa,
        "gamma": spec.gamma,
        "weight_clip": spec.weight_clip,
        "by_position": rows,
        "example": _example(windows, item_ids, effects, weights),
    }


def _example(
    windows: Windows,
    item_ids: Sequence[str],
    effects: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float32],
) -> dict[str, Any]:
    wanted = np.clip(np.median(windows.lengths), *_EXAMPLE_INPUTS)
    chosen = int(np.argmin(np.abs(windows.lengths - wanted)))
    inputs = slice(int(windows.offsets[chosen]), int(windows.offsets[chosen + 1]))
    start = int(windows.starts[chosen])
    items = windows.items[start : start + int(windows.lengths[chosen])]
    return {
        "items": [item_ids[item - 1] for item in items],
        "effects": effects[inputs].tolist(),
        "weights": weights[inputs].astype(np.float64).tolist(),
    }


def _quantiles(values: npt.NDArray[np.float64]) -> list[float]:
    found: list[float] = np.quantile(values, QUANTILES).tolist()
    return found

"""Synthetic logs of any size: short histories, items by a power law."""

from __future__ import annotations

import numpy as np

from worker.training.data.sequences import Sequences

MEAN_LENGTH = 9
"""Interactions of a user, about what Amazon's reviews have."""


def power_law_log(interactions: int, items: int, seed: int = 0) -> Sequences:
    """A log of exactly `interactions`, in histories of 5 to about 50 items (mean MEAN_LENGTH)."""
    rng = np.random.default_rng(seed)
    users = interactions // MEAN_LENGTH
    lengths = np.minimum(4 + rng.geometric(1 / (MEAN_LENGTH - 4), users), 50)
    ends = np.cumsum(lengths)
    users = int(np.searchsorted(ends, interactions))
    offsets = np.concatenate([[0], ends[:users], [interactions]]).astype(np.int64)
    offsets = np.unique(offsets)
    drawn = ((rng.pareto(1.0, interactions) * 20).astype(np.int64) % items + 1).astype(np.int32)
    names = [str(number) for number in range(max(len(offsets) - 1, items))]
    return Sequences(names[: len(offsets) - 1], names[:items], offsets, drawn)

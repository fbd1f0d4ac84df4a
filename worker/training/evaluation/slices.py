"""Figures of parts of the users: by history length, by activity, by how popular the target is.

The bins are ours (docs/method.md). Those of length and popularity are fixed, so that data sets can be put
side by side; those of activity are quarters of the evaluated users, as far as ties allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.training.data.sequences import Int64
from worker.training.data.split import Split

Float32 = npt.NDArray[np.float32]

LENGTH_BINS = (1, 6, 11, 21, 51)
"""First history length (items read at test time) of each bin."""
POPULARITY_BINS = (0, 1, 6, 21, 101)
"""First number of training interactions of the target's in each bin; 0 is a cold target."""


def slices_of(split: Split, max_length: int, figures: Mapping[str, Float32 | None]) -> list[dict[str, Any]]:
    """Return rows {by, from, to, users, **figures}, the figures' means over the users of each bin.

    by: "history_length" (items of the test history within the model's window), "activity" (the user's
    training interactions) or "target_popularity" (the test target's). from and to are the bin's bounds, both
    inclusive; the last `to` is None. Bins without users are left out. figures: float32[E] arrays, NaN for who
    takes no part; None stays None, and so does a mean over nobody.
    """
    train_lengths = split.train.lengths[split.users("test")]
    history_lengths = np.minimum(np.diff(split.histories("test")[0]), max_length)
    parts = {
        "history_length": (history_lengths, LENGTH_BINS),
        "activity": (train_lengths, quarters(train_lengths)),
        "target_popularity": (split.item_counts[split.targets("test")], POPULARITY_BINS),
    }
    return [row for by, (values, starts) in parts.items() for row in _rows(by, values, starts, figures)]


def quarters(values: Int64) -> tuple[int, ...]:
    """First value of each of at most four bins of about equally many; equal values stay together."""
    firsts = np.sort(values)[np.arange(4) * len(values) // 4]
    return tuple(int(first) for first in np.unique(firsts))


def _rows(
    by: str, values: Int64, starts: tuple[int, ...], figures: Mapping[str, Float32 | None]
) -> list[dict[str, Any]]:
    of_user = np.searchsorted(starts, values, side="right") - 1
    return [
        {
            "by": by,
            "from": start,
            "to": starts[at + 1] - 1 if at + 1 < len(starts) else None,
            "users": int(inside.sum()),
            **{name: _mean(array, inside) for name, array in figures.items()},
        }
        for at, start in enumerate(starts)
        if (inside := of_user == at).any()
    ]


def _mean(array: Float32 | None, inside: npt.NDArray[np.bool_]) -> float | None:
    if array is None:
        return None
    values = array[inside].astype(np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else None

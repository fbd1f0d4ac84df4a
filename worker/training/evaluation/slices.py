"""Figures of parts of the users: by history length, by activity, by how popular the target is.

The bins are ours (docs/method.md). Those of length and popularity are fixed, so that data sets can be put
side by side; those of activity are quarters of the evaluated users, as far as ties allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Part:
    """Users told apart by one thing: those of whom it lies between first and last, both inclusive.

    by: "history_length" (items of the test history within the model's window), "activity" (the user's
    training interactions) or "target_popularity" (the test target's). last: None without an upper bound.
    inside: bool[E], whether each evaluated user is one of them.
    """

    by: str
    first: int
    last: int | None
    inside: npt.NDArray[np.bool_]


def slice_name(by: str, first: int) -> str:
    """`slices.<by>.<first>`, what figures of a part are kept under."""
    return f"slices.{by}.{first}"


def parts_of(split: Split, max_length: int) -> list[Part]:
    """Return the parts of the test users, each user in one of every kind; without those that are empty."""
    train_lengths = split.train.lengths[split.users("test")]
    history_lengths = np.minimum(np.diff(split.histories("test")[0]), max_length)
    told_apart = {
        "history_length": (history_lengths, LENGTH_BINS),
        "activity": (train_lengths, quarters(train_lengths)),
        "target_popularity": (split.item_counts[split.targets("test")], POPULARITY_BINS),
    }
    return [part for by, (values, starts) in told_apart.items() for part in _parts(by, values, starts)]


def slices_of(parts: Sequence[Part], figures: Mapping[str, Float32 | None]) -> list[dict[str, Any]]:
    """Return rows {by, from, to, users, **figures}, the figures' means over the users of each part.

    figures: float32[E] arrays, NaN for who takes no part; None stays None, and so does a mean over nobody.
    """
    return [
        {
            "by": part.by,
            "from": part.first,
            "to": part.last,
            "users": int(part.inside.sum()),
            **{name: _mean(array, part.inside) for name, array in figures.items()},
        }
        for part in parts
    ]


def figures_by_part(parts: Sequence[Part], figures: Mapping[str, Float32 | None]) -> dict[str, Float32]:
    """Return float32[E] arrays "slices.<by>.<from>.<figure>": a figure in a part, NaN outside of it."""
    return {
        f"{slice_name(part.by, part.first)}.{name}": np.where(part.inside, array, np.float32(np.nan))
        for part in parts
        for name, array in figures.items()
        if array is not None
    }


def quarters(values: Int64) -> tuple[int, ...]:
    """First value of each of at most four bins of about equally many; equal values stay together."""
    firsts = np.sort(values)[np.arange(4) * len(values) // 4]
    return tuple(int(first) for first in np.unique(firsts))


def _parts(by: str, values: Int64, starts: tuple[int, ...]) -> list[Part]:
    of_user = np.searchsorted(starts, values, side="right") - 1
    lasts = [*(start - 1 for start in starts[1:]), None]
    return [
        Part(by, first, last, inside)
        for at, (first, last) in enumerate(zip(starts, lasts, strict=True))
        if (inside := of_user == at).any()
    ]


def _mean(array: Float32 | None, inside: npt.NDArray[np.bool_]) -> float | None:
    if array is None:
        return None
    values = array[inside].astype(np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else None

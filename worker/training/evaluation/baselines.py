"""Two rankings that every model has to beat: popularity, and the last item's followers.

Both count **training** interactions only, in the test phase too, and all of them: also those that are too old
for any of a model's windows (`cut_interactions` of the report). Scores are whole numbers, kept in float32
where that holds them exactly and in float64 elsewhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from worker.training.data.histories import Histories
from worker.training.data.sequences import Int64, ragged_positions
from worker.training.data.split import Split


class Popularity:
    """Scores an item by how often it stands in the training sequences, for everybody alike."""

    def __init__(self, split: Split) -> None:
        self._scores = torch.from_numpy(exact(split.item_counts))

    @property
    def reads(self) -> int:
        """Nothing of a history."""
        return 0

    def __call__(self, histories: Histories) -> torch.Tensor:
        """Return the counts, a row a history: [n, V+1]."""
        return self._scores.repeat(len(histories), 1)


class Markov:
    """Scores an item by how often it directly followed the history's last item in training.

    Backs off to popularity, worth less than one transition: it orders what never followed, and equal counts.
    Memory is O(distinct transitions), never V².
    """

    def __init__(self, split: Split) -> None:
        items, width = split.train.items.astype(np.int64), split.n_items + 1
        follows = np.ones(max(len(items) - 1, 0), dtype=bool)
        inner = split.train.offsets[1:-1]
        follows[inner[(inner > 0) & (inner < len(items))] - 1] = False  # two users' items do not follow
        pairs, times = np.unique(items[:-1][follows] * width + items[1:][follows], return_counts=True)
        self._next: Int64 = pairs % width
        # One transition is worth more than every step of popularity together.
        levels, popularity = np.unique(split.item_counts, return_inverse=True)
        both = exact(np.append(popularity, times * len(levels)))
        self._backoff = torch.from_numpy(both[:width])
        self._gains = torch.from_numpy(both[width:])
        self._begin = np.searchsorted(pairs // width, np.arange(width + 1))

    @property
    def reads(self) -> int:
        """The last item."""
        return 1

    def __call__(self, histories: Histories) -> torch.Tensor:
        """Return transition counts times popularity levels, plus the popularity level: [n, V+1]."""
        last = histories.items[histories.offsets[1:] - 1].astype(np.int64)
        begin, end = self._begin[last], self._begin[last + 1]
        at = ragged_positions(begin, end - begin)
        rows = np.repeat(np.arange(len(histories)), end - begin)
        scores = self._backoff.repeat(len(histories), 1)
        followers = torch.from_numpy(rows), torch.from_numpy(self._next[at])
        scores[followers] += self._gains[at]
        return scores


def exact(whole: Int64) -> npt.NDArray[np.floating]:
    """Return whole numbers as the narrowest float type in which sums of two of them are exact."""
    return whole.astype(np.float32 if whole.max(initial=0) < 2**23 else np.float64)

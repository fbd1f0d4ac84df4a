"""A fixed reference model of which items are near each other: the same for every model that is attacked.

Ours (docs/method.md): items are near when they stand within a few places of each other in training sequences,
more often than their popularity explains. near(i, j) = c(i, j) / √(n_i · n_j), with c the times that i and j
stand at most 5 places apart in a user's training sequence, and n an item's training interactions: the cosine
of item-based collaborative filtering, on short stretches so that it costs O(interactions).
"""

from __future__ import annotations

import numpy as np

from worker.training.data.histories import Histories
from worker.training.data.sequences import Int64, ragged_positions
from worker.training.data.split import Split

REACH = 5
"""Places apart at which two interactions still count as together."""
KEPT = 50
"""Neighbours that are kept of an item."""


class Neighbours:
    """Each item's nearest items, nearest first; of equally near ones the lower item number first."""

    def __init__(self, split: Split) -> None:
        self._width = split.n_items + 1
        first, second, times = _together(split, self._width)
        counts = split.item_counts
        near = times / np.sqrt(counts[first].astype(np.float64) * counts[second])
        order = np.lexsort((second, -near, first))
        first, second = first[order], second[order]
        nth = np.arange(len(first)) - np.searchsorted(first, first)
        first, self._items = first[nth < KEPT], second[nth < KEPT]
        self._begin = np.searchsorted(first, np.arange(self._width + 1))

    def of(self, item: int) -> Int64:
        """Return the item's neighbours, at most 50, nearest first."""
        return self._items[self._begin[item] : self._begin[item + 1]]

    def nearest(self, histories: Histories, originals: Int64, targets: Int64) -> Int64:
        """int64[n, C]: for each of originals[n, C] the nearest item that is new to the user, 0 where none is.

        Neither the target (int64[n]) nor an item of the history is taken: an interaction's neighbours are
        first of all those that the same user's own sequence put beside it.
        """
        begin, end = self._begin[originals].ravel(), self._begin[originals + 1].ravel()
        candidates = self._items[ragged_positions(begin, end - begin)]
        asked = np.repeat(np.arange(originals.size), end - begin)
        rows = asked // originals.shape[1]
        taken = np.isin(
            rows * self._width + candidates, histories.row_of_item * self._width + histories.items
        )
        free = np.flatnonzero(~taken & (candidates != targets[rows]))
        found = np.zeros(originals.size, dtype=np.int64)
        served, at = np.unique(asked[free], return_index=True)
        found[served] = candidates[free[at]]
        return found.reshape(originals.shape)


def _together(split: Split, width: int) -> tuple[Int64, Int64, Int64]:
    """Pairs of different items (each in both orders) and how often they stand within REACH of each other."""
    items = split.train.items.astype(np.int64)
    user = np.repeat(np.arange(split.train.n_users), split.train.lengths)
    keys = []
    for apart in range(1, REACH + 1):
        one, other = items[:-apart], items[apart:]
        pair = (user[:-apart] == user[apart:]) & (one != other)
        one, other = one[pair], other[pair]
        keys.append(np.minimum(one, other) * width + np.maximum(one, other))
    pairs, times = np.unique(np.concatenate(keys), return_counts=True)
    low, high = pairs // width, pairs % width
    return np.append(low, high), np.append(high, low), np.append(times, times).astype(np.int64)

"""Histories of many users in one flat array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worker.training.data.sequences import Int32, Int64, ragged_positions


@dataclass(frozen=True)
class Histories:
    """Ragged rows of item numbers, oldest first. offsets int64[n+1], items int32[offsets[-1]], each >= 1."""

    offsets: Int64
    items: Int32

    def __len__(self) -> int:
        """Return n."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        """int64[n]: items in each row."""
        return np.diff(self.offsets)

    @property
    def row_of_item(self) -> Int64:
        """int64[number of items]: the row that each flat item belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: Int64) -> Histories:
        """Return these rows, in this order."""
        lengths = self.lengths[rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return Histories(offsets, self.items[ragged_positions(self.offsets[rows], lengths)])

    def replaced(self, from_end: Int64, replacements: Int64) -> Histories:
        """Put other items at some places: from_end [n, C] counts from the end, 0 is the last item."""
        items = self.items.copy()
        items[self.offsets[1:, None] - 1 - from_end] = replacements
        return Histories(self.offsets, items)

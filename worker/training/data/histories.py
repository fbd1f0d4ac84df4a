"""Histories of many users in one flat array, and what turns histories into scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

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

    def last(self, max_length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Right-padded windows of the last max_length items: x_BL int64 (0 = padding), length_B int64.

        L is the longest window among these rows. Raises ValueError for an empty row: there is nothing to
        read in it.
        """
        lengths = np.minimum(self.lengths, max_length)
        if len(self) and not lengths.min():
            raise ValueError("a history without items cannot be scored")
        filled = np.arange(lengths.max(initial=0))[None, :] < lengths[:, None]
        x_BL = np.zeros(filled.shape, dtype=np.int64)
        x_BL[filled] = self.items[ragged_positions(self.offsets[1:] - lengths, lengths)]
        return torch.from_numpy(x_BL), torch.from_numpy(lengths)


class Scorer(Protocol):
    """Scores every item for every history.

    Calling it returns a fresh floating-point tensor [n, V+1] on the scorer's device, which the caller may
    overwrite; column 0 (padding) is ignored. Evaluation and attacks know models only through this.
    """

    @property
    def reads(self) -> int:
        """How many of a history's last items a score can depend on; 0 for none of them."""

    def __call__(self, histories: Histories) -> torch.Tensor:
        """Score all items for these histories."""


@runtime_checkable
class DifferentiableScorer(Scorer, Protocol):
    """A Scorer whose scores have gradients at the embeddings of a history's items (a model, no baseline)."""

    def loss_gradients(self, histories: Histories, targets: Int64) -> torch.Tensor:
        """Return g [n, longest window, D]: each target's loss differentiated at each input's embedding.

        The second axis counts from the end, 0 is the last item; 0 past a row's first. The loss is the
        cross-entropy of the target int64[n] among all items.
        """

    def item_vectors(self) -> torch.Tensor:
        """Return E [V+1, D], what an item is where it is an input; row 0 is padding."""

"""What turns histories into scores, and the windows that a model reads of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch

from worker.training.data.histories import Histories
from worker.training.data.sequences import Int64, ragged_positions


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


def last_windows(histories: Histories, max_length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded windows of the last max_length items: x_BL int64 (0 = padding), length_B int64.

    L is the longest window among these rows. Raises ValueError for an empty row: there is nothing to read in
    it.
    """
    lengths = np.minimum(histories.lengths, max_length)
    if len(histories) and not lengths.min():
        raise ValueError("a history without items cannot be scored")
    filled = np.arange(lengths.max(initial=0))[None, :] < lengths[:, None]
    x_BL = np.zeros(filled.shape, dtype=np.int64)
    x_BL[filled] = histories.items[ragged_positions(histories.offsets[1:] - lengths, lengths)]
    return torch.from_numpy(x_BL), torch.from_numpy(lengths)

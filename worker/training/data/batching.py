"""Training windows and length-bucketed, right-padded batches.

Shape letters: B windows of a batch, L its longest window, W windows, N training interactions.

A window of n inputs holds n + 1 consecutive interactions of one user: input t is followed by target t.
Batches hold windows of similar length and about equal numbers of *targets*, so that the mean loss over a
batch's targets weighs a target alike in a batch of many short windows and in one of few long ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from worker.training.data.sequences import Int32, Int64, Sequences, ragged_positions

LENGTH_JITTER = 0.1
"""Lengths are blurred by up to this fraction before sorting, so that bucket borders differ between epochs."""


@dataclass(frozen=True)
class Windows:
    """Slices of the training sequences.

    items: int32[N], the training items flat. Window w reads items[starts[w] : starts[w] + lengths[w]]; its
    targets are the same slice one further. starts: int64[W]; lengths: int32[W], 1 … max_length;
    user: int64[W]. cut_interactions: interactions of longer sequences, too old for any window.
    """

    items: Int32
    starts: Int64
    lengths: Int32
    user: Int64
    cut_interactions: int = 0

    def __len__(self) -> int:
        """W."""
        return len(self.starts)

    @cached_property
    def offsets(self) -> Int64:
        """int64[W+1]: where each window's inputs begin in an array that is flat over all input positions."""
        offsets = np.zeros(len(self) + 1, dtype=np.int64)
        np.cumsum(self.lengths, out=offsets[1:])
        return offsets

    @property
    def n_targets(self) -> int:
        """Input positions of all windows, which is as many targets."""
        return int(self.offsets[-1])

    def flat_inputs(self) -> Int32:
        """int32[n_targets]: the input items of all windows one after another (`offsets` separates them)."""
        return self.items[ragged_positions(self.starts, self.lengths)]

    def flat_targets(self) -> Int32:
        """int32[n_targets]: the targets, aligned with `flat_inputs`."""
        return self.items[ragged_positions(self.starts + 1, self.lengths)]


def cut_windows(train: Sequences, max_length: int, windows_per_user: int = 1) -> Windows:
    """Cut up to `windows_per_user` windows of at most `max_length` inputs from each user, the last first.

    An earlier window's last target is the next one's first input: they share no target. Users with fewer
    than two training interactions give no window.
    """
    n_targets = np.maximum(train.lengths - 1, 0)
    count = np.minimum(-(-n_targets // max_length), windows_per_user)
    user = np.repeat(np.arange(train.n_users, dtype=np.int64), count)
    nth_from_end = ragged_positions(np.zeros(train.n_users, dtype=np.int64), count)
    end = n_targets[user] - nth_from_end * max_length
    start = np.maximum(end - max_length, 0)
    reach = count * max_length
    return Windows(
        items=train.items,
        starts=train.offsets[user] + start,
        lengths=(end - start).astype(np.int32),
        user=user,
        cut_interactions=int(np.maximum(n_targets - reach, 0).sum()),
    )


@dataclass(frozen=True)
class Batch:
    """One batch, right-padded to its longest window.

    x_BL: int64 input items, 0 = padding; y_BL: int64, the next item at each position, 0 = padding;
    m_BL: bool, true where y is real; w_BL: float32 weight of each input's perturbation, 0 on padding (1
    elsewhere where no weights were given); length_B: int64, inputs of each row; window_B: int64, window
    numbers.
    """

    x_BL: Tensor
    y_BL: Tensor
    m_BL: Tensor
    w_BL: Tensor
    length_B: Tensor
    window_B: Tensor


class BucketedBatches:
    """Cuts every epoch into the same number of batches, differently composed each time.

    `batch_size` is the mean number of windows in a batch. `weights_flat` (float32[n_targets], aligned with
    `Windows.offsets`) fills `Batch.w_BL`. Each window is in exactly one batch of an epoch. `bucket_lengths`
    (int32[W]) are the lengths that batches are composed by, where they are not the windows' own: those of the
    unchanged data, whose batches the changed ones are to keep.
    """

    def __init__(
        self,
        windows: Windows,
        batch_size: int,
        weights_flat: npt.NDArray[np.floating] | None = None,
        *,
        bucket_lengths: Int32 | None = None,
    ) -> None:
        if not len(windows):
            raise ValueError("there is no window to batch: no training sequence has two interactions")
        if weights_flat is not None and len(weights_flat) != windows.n_targets:
            raise ValueError(f"{len(weights_flat)} weights for {windows.n_targets} input positions")
        self.windows = windows
        self.n_batches = -(-len(windows) // batch_size)
        self._lengths = windows.lengths.astype(np.int64)
        self._buckets = self._lengths if bucket_lengths is None else bucket_lengths.astype(np.int64)
        if len(self._buckets) != len(windows):
            raise ValueError(f"{len(self._buckets)} lengths for {len(windows)} windows")
        # A tail of zeros lets every row read a full L values past its start without a bounds check.
        tail = int(self._lengths.max()) + 1
        self._items = np.concatenate([windows.items.astype(np.int64), np.zeros(tail, dtype=np.int64)])
        self._weights = None
        if weights_flat is not None:
            self._weights = np.concatenate([weights_flat.astype(np.float32), np.zeros(tail, np.float32)])

    def epoch(self, seed: int, epoch: int) -> list[Int64]:
        """Return the window numbers of each batch: a function of (seed, epoch) alone.

        So a run that stopped after k batches of an epoch goes on with ``epoch(seed, epoch)[k:]``.
        """
        rng = np.random.default_rng([seed, epoch])
        n = len(self.windows)
        blurred = self._buckets * rng.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER, n) + rng.random(n)
        order = np.argsort(blurred, kind="stable")
        targets = np.cumsum(self._buckets[order])
        quantiles = np.arange(1, self.n_batches) * (targets[-1] / self.n_batches)
        middles = targets - self._buckets[order] / 2
        cuts = np.searchsorted(middles, quantiles)
        # Windows much longer than the mean may span several quantiles; no batch may be empty.
        nth = np.arange(self.n_batches - 1)
        cuts = np.maximum.accumulate(np.maximum(cuts, 1) - nth) + nth
        cuts = np.minimum(cuts, n - self.n_batches + 1 + nth)
        batches = np.split(order.astype(np.int64), cuts)
        return [batches[i] for i in rng.permutation(self.n_batches)]

    def load(self, indices: Int64) -> Batch:
        """Gather the windows `indices` into tensors."""
        indices = np.array(indices, dtype=np.int64)
        length_B = self._lengths[indices]
        position_L = np.arange(length_B.max())
        m_BL = position_L < length_B[:, None]
        at_BL = self.windows.starts[indices][:, None] + position_L
        x_BL = self._items[at_BL] * m_BL
        y_BL = self._items[at_BL + 1] * m_BL
        if self._weights is None:
            w_BL = m_BL.astype(np.float32)
        else:
            w_BL = self._weights[self.windows.offsets[indices][:, None] + position_L] * m_BL
        arrays = (x_BL, y_BL, m_BL, w_BL, length_B, indices)
        return Batch(*(torch.from_numpy(array) for array in arrays))

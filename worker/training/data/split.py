"""Leave-one-out: a user's last interaction is the test target, the last but one the validation target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from worker.training.data.sequences import Int32, Int64, Sequences, ragged_positions
from worker.training.progress import DataError

MIN_INTERACTIONS = 3
"""Users with fewer train only: nothing would be left to learn from beside the two targets."""

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class LeaveOneOut:
    """The split.

    train: the same users and item numbers as the whole, without the evaluation users' last two items.
    eval_users: int64[E], ascending user numbers; validation_target, test_target: int32[E], item numbers.
    item_counts: int64[V+1], how often each item stands in `train` (index 0, the padding, is 0).
    tied_last_two_share: share of evaluation users whose two targets have the same time, so that which one
    is the last is a matter of the file's order; None where there are no times.
    """

    train: Sequences
    eval_users: Int64
    validation_target: Int32
    test_target: Int32
    item_counts: Int64
    tied_last_two_share: float | None

    @property
    def n_items(self) -> int:
        """V."""
        return self.train.n_items

    def targets(self, phase: Split) -> Int32:
        """int32[E]: the item to be ranked for each evaluation user."""
        return self.validation_target if phase == "validation" else self.test_target

    def cold_targets(self, phase: Split) -> int:
        """Count the targets that never occur in training; each is a miss, and is counted as one."""
        return int((self.item_counts[self.targets(phase)] == 0).sum())

    def histories(self, phase: Split) -> tuple[Int64, Int32]:
        """Return all of each evaluation user's earlier items: offsets int64[E+1], items int32[…].

        Row e belongs to eval_users[e], oldest item first. The test history ends with the validation item.
        """
        starts = self.train.offsets[self.eval_users]
        lengths = self.train.lengths[self.eval_users]
        extra = 1 if phase == "test" else 0
        offsets = np.zeros(len(starts) + 1, dtype=np.int64)
        np.cumsum(lengths + extra, out=offsets[1:])
        items = np.empty(offsets[-1], dtype=np.int32)
        items[ragged_positions(offsets[:-1], lengths)] = self.train.items[ragged_positions(starts, lengths)]
        if extra:
            items[offsets[1:] - 1] = self.validation_target
        return offsets, items


def leave_one_out(sequences: Sequences) -> LeaveOneOut:
    """Split off the last two interactions of every user with at least three.

    Raises DataError when no user has as many.
    """
    lengths = sequences.lengths
    evaluated = lengths >= MIN_INTERACTIONS
    if not evaluated.any():
        raise DataError(
            "no user has 3 interactions, so nothing can be held out for evaluation",
            hint="Lower k_core or min_rating, or use a data set with longer histories.",
        )
    eval_users = np.flatnonzero(evaluated).astype(np.int64)
    last = sequences.offsets[eval_users + 1] - 1
    tied = None
    if sequences.times is not None:
        tied = float((sequences.times[last] == sequences.times[last - 1]).mean())
    train_lengths = lengths - 2 * evaluated
    rows = ragged_positions(sequences.offsets[:-1], train_lengths)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(train_lengths, out=offsets[1:])
    train = Sequences(
        user_ids=sequences.user_ids,
        item_ids=sequences.item_ids,
        offsets=offsets,
        items=sequences.items[rows],
        times=sequences.times[rows] if sequences.times is not None else None,
    )
    return LeaveOneOut(
        train=train,
        eval_users=eval_users,
        validation_target=sequences.items[last - 1],
        test_target=sequences.items[last],
        item_counts=np.bincount(train.items, minlength=train.n_items + 1).astype(np.int64),
        tied_last_two_share=tied,
    )

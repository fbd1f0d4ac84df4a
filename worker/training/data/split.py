"""What every way of splitting a log has in common, and leave-one-out.

Leave-one-out: a user's last interaction is the test target, the last but one the validation target.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from worker.training.data.histories import Histories
from worker.training.data.sequences import Int32, Int64, Sequences, ragged_positions
from worker.training.progress import DataError

MIN_INTERACTIONS = 3
"""Users with fewer train only: nothing would be left to learn from beside the two targets."""

EvaluationPhase = Literal["validation", "test"]
Bool = npt.NDArray[np.bool_]


class Split(Protocol):
    """A log cut into what is learnt from, what a model is chosen by, and what it is tested on.

    Evaluation users have one target in a phase; rows of all arrays of a phase are those of `users(phase)`.
    """

    @property
    def train(self) -> Sequences:
        """What is learnt from, with the same user and item numbers as the whole log."""

    @property
    def item_counts(self) -> Int64:
        """int64[V+1]: how often each item stands in `train` (index 0, the padding, is 0)."""

    @property
    def n_items(self) -> int:
        """V."""

    def users(self, phase: EvaluationPhase) -> Int64:
        """int64[E]: the users evaluated in this phase, ascending user numbers."""

    def targets(self, phase: EvaluationPhase) -> Int32:
        """int32[E]: the item to be ranked for each of them."""

    def histories(self, phase: EvaluationPhase) -> tuple[Int64, Int32]:
        """All earlier items of each, oldest first, at least one: offsets int64[E+1], items int32[…]."""

    def held_out(self, phase: EvaluationPhase) -> Int64:
        """int64[E]: how many of each history's newest items are not in `train`."""

    def misses(self, phase: EvaluationPhase) -> Bool:
        """bool[E]: whose target is a miss whatever the ranking, since it was never seen in training."""

    def facts(self) -> dict[str, Any]:
        """What the report says of the split, as JSON values; "name" is that of the spec's `split`."""


def cold(split: Split, phase: EvaluationPhase) -> Bool:
    """bool[E]: whose target never occurs in `train`."""
    never: Bool = split.item_counts[split.targets(phase)] == 0
    return never


def cold_targets(split: Split, phase: EvaluationPhase) -> int:
    """Count the targets that never occur in training; each is a miss, and is counted as one."""
    return int(split.misses(phase).sum())


def repeated_targets(split: Split, phase: EvaluationPhase) -> int:
    """Count the targets that their user had before: candidates, though all else that the user had is not."""
    histories = Histories(*split.histories(phase))
    row_of_item = histories.row_of_item
    had = row_of_item[histories.items == split.targets(phase)[row_of_item]]
    return len(np.unique(had))


def digest_of(split: Split, phase: EvaluationPhase) -> str:
    """Return a digest of all that a phase measures on: whose histories, and their targets."""
    digest = hashlib.sha256()
    for numbers in (split.users(phase), split.targets(phase), *split.histories(phase), split.misses(phase)):
        digest.update(numbers.tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class LeaveOneOut:
    """The split.

    train: the same users and item numbers as the whole, without the evaluation users' last two items.
    eval_users: int64[E], ascending user numbers; validation_target, test_target: int32[E], item numbers.
    item_counts: int64[V+1], how often each item stands in `train` (index 0, the padding, is 0).
    tied_last_two_share: share of evaluation users whose two targets have the same time, so that which one
    is the last is a matter of the file's order. leakage_share: share of training interactions that are later
    than a test target, mean over test targets. Both are None where there are no times.
    """

    train: Sequences
    eval_users: Int64
    validation_target: Int32
    test_target: Int32
    item_counts: Int64
    tied_last_two_share: float | None
    leakage_share: float | None

    @property
    def n_items(self) -> int:
        """V."""
        return self.train.n_items

    def users(self, phase: EvaluationPhase) -> Int64:
        """See `Split.users`: the same in both phases."""
        return self.eval_users

    def targets(self, phase: EvaluationPhase) -> Int32:
        """See `Split.targets`."""
        return self.validation_target if phase == "validation" else self.test_target

    def histories(self, phase: EvaluationPhase) -> tuple[Int64, Int32]:
        """See `Split.histories`. The test history ends with the validation item."""
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

    def held_out(self, phase: EvaluationPhase) -> Int64:
        """See `Split.held_out`: the validation item, in the test phase."""
        return np.full(len(self.eval_users), 1 if phase == "test" else 0, dtype=np.int64)

    def misses(self, phase: EvaluationPhase) -> Bool:
        """See `Split.misses`."""
        return cold(self, phase)

    def facts(self) -> dict[str, Any]:
        """See `Split.facts`."""
        return {
            "name": "leave_one_out",
            "train_interactions": self.train.n_interactions,
            "validation_users": len(self.eval_users),
            "test_users": len(self.eval_users),
            "leakage_share": self.leakage_share,
        }


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
    train = first_of_each(sequences, lengths - 2 * evaluated)
    tied = leakage = None
    if sequences.times is not None and train.times is not None:
        tied = float((sequences.times[last] == sequences.times[last - 1]).mean())
        later = np.searchsorted(np.sort(train.times), sequences.times[last], side="right")
        leakage = float(1 - later.mean() / train.n_interactions)
    return LeaveOneOut(
        train=train,
        eval_users=eval_users,
        validation_target=sequences.items[last - 1],
        test_target=sequences.items[last],
        item_counts=np.bincount(train.items, minlength=train.n_items + 1).astype(np.int64),
        tied_last_two_share=tied,
        leakage_share=leakage,
    )


def first_of_each(sequences: Sequences, lengths: Int64) -> Sequences:
    """Keep the first lengths[u] interactions of each user u; users and items keep their numbers."""
    rows = ragged_positions(sequences.offsets[:-1], lengths)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return Sequences(
        user_ids=sequences.user_ids,
        item_ids=sequences.item_ids,
        offsets=offsets,
        items=sequences.items[rows],
        times=sequences.times[rows] if sequences.times is not None else None,
    )

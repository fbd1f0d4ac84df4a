"""A global split in time: what came before one moment is learnt from, what came after it is predicted.

Ours (docs/method.md). Unlike leave-one-out nothing that is learnt from is later than anything predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from worker.training.data.sequences import Int32, Int64, Sequences, ragged_positions
from worker.training.data.split import Bool, EvaluationPhase, Split, cold, first_of_each, leave_one_out
from worker.training.progress import DataError
from worker.training.spec import TrainSpec

_LONGER = "Choose larger validation_share and test_share, use a longer log, or split: leave_one_out."


@dataclass(frozen=True)
class TemporalSplit:
    """The split at two moments.

    train: interactions before `validation_from`, by the same user and item numbers as the whole.
    validation_from, test_from: microseconds since 1970 UTC; what happened at one of them comes after it.
    validation_users, test_users: int64[…], who has a first interaction in that period and something before
    it; *_at: that interaction's row in `whole`. without_history: users of each phase who have nothing before.
    """

    whole: Sequences
    train: Sequences
    validation_from: int
    test_from: int
    validation_users: Int64
    validation_at: Int64
    test_users: Int64
    test_at: Int64
    item_counts: Int64
    without_history: dict[EvaluationPhase, int]

    @property
    def n_items(self) -> int:
        """V."""
        return self.train.n_items

    def users(self, phase: EvaluationPhase) -> Int64:
        """See `Split.users`."""
        return self.validation_users if phase == "validation" else self.test_users

    def targets(self, phase: EvaluationPhase) -> Int32:
        """See `Split.targets`: a user's first interaction of the period."""
        return self.whole.items[self._at(phase)]

    def histories(self, phase: EvaluationPhase) -> tuple[Int64, Int32]:
        """See `Split.histories`: all that the user did before the target, the validation period included."""
        starts = self.whole.offsets[self.users(phase)]
        lengths = self._at(phase) - starts
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return offsets, self.whole.items[ragged_positions(starts, lengths)]

    def held_out(self, phase: EvaluationPhase) -> Int64:
        """See `Split.held_out`: the user's interactions of the validation period, in the test phase."""
        users = self.users(phase)
        return self._at(phase) - self.whole.offsets[users] - self.train.lengths[users]

    def misses(self, phase: EvaluationPhase) -> Bool:
        """See `Split.misses`."""
        return cold(self, phase)

    def facts(self) -> dict[str, Any]:
        """See `Split.facts`."""
        return {
            "name": "temporal",
            "validation_from": moment_text(self.validation_from),
            "test_from": moment_text(self.test_from),
            "train_interactions": self.train.n_interactions,
            "validation_users": len(self.validation_users),
            "test_users": len(self.test_users),
            "validation_users_without_history": self.without_history["validation"],
            "test_users_without_history": self.without_history["test"],
            "leakage_share": 0.0,
            "tied_targets_share": self.tied_targets_share,
        }

    @property
    def tied_targets_share(self) -> float:
        """Share of test users whose next interaction has the target's time.

        Which of the two is the target is then a matter of the file's order.
        """
        times, at = self.whole.times, self.test_at
        assert times is not None  # noqa: S101 - there is no such split without
        followed = at + 1 < self.whole.offsets[self.test_users + 1]
        return float((times[at[followed]] == times[at[followed] + 1]).sum() / len(at))

    def _at(self, phase: EvaluationPhase) -> Int64:
        return self.validation_at if phase == "validation" else self.test_at


def split_of(sequences: Sequences, spec: TrainSpec) -> Split:
    """Split as the spec says. Raises DataError where the data does not allow it."""
    if spec.split == "temporal":
        return temporal_split(sequences, spec.validation_share, spec.test_share)
    return leave_one_out(sequences)


def temporal_split(sequences: Sequences, validation_share: float, test_share: float) -> TemporalSplit:
    """Cut at the moments after which about these shares of all interactions lie.

    Interactions of one moment stay together, on the later side. Raises DataError without times, and where a
    part would be empty.
    """
    times = sequences.times
    if times is None:
        raise DataError(
            "a temporal split needs the time of every interaction, and the data set has no times",
            hint="Name the column that holds them, or set split to leave_one_out.",
        )
    in_time, n = np.sort(times), len(times)
    validation_from = int(in_time[min(int(n * (1 - validation_share - test_share)), n - 1)])
    test_from = int(in_time[min(int(n * (1 - test_share)), n - 1)])
    before_validation = _count_before(sequences, validation_from)
    before_test = _count_before(sequences, test_from)
    train = first_of_each(sequences, before_validation)
    if not train.n_interactions:
        raise DataError("no interaction lies before the validation period", hint=_LONGER)
    begin = sequences.offsets[:-1]
    without_history: dict[EvaluationPhase, int] = {}

    def first_of(phase: EvaluationPhase, before: Int64, end: Int64) -> tuple[Int64, Int64]:
        active = end > before
        without_history[phase] = int((active & (before == 0)).sum())
        users = np.flatnonzero(active & (before > 0)).astype(np.int64)
        if not len(users):
            raise DataError(f"no user with a history has an interaction in the {phase} period", hint=_LONGER)
        return users, (begin + before)[users]

    validation_users, validation_at = first_of("validation", before_validation, before_test)
    test_users, test_at = first_of("test", before_test, sequences.lengths)
    return TemporalSplit(
        whole=sequences,
        train=train,
        validation_from=validation_from,
        test_from=test_from,
        validation_users=validation_users,
        validation_at=validation_at,
        test_users=test_users,
        test_at=test_at,
        item_counts=np.bincount(train.items, minlength=train.n_items + 1).astype(np.int64),
        without_history=without_history,
    )


def _count_before(sequences: Sequences, moment: int) -> Int64:
    """int64[U]: each user's interactions before the moment, which are the first of the sequence."""
    assert sequences.times is not None  # noqa: S101 - the caller has looked
    cumulative = np.append(0, np.cumsum(sequences.times < moment))
    return np.diff(cumulative[sequences.offsets])


def moment_text(microseconds: int) -> str:
    """RFC 3339, in UTC, of microseconds since 1970."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return moment.isoformat().replace("+00:00", "Z")

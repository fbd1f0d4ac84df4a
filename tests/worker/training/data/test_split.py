"""Leave-one-out against a plain Python one."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.data.sequences import Sequences
from worker.training.data.split import cold_targets, leave_one_out, repeated_targets
from worker.training.progress import DataError

rows_of_items = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=8)


def sequences_of(rows: list[list[int]], times: list[list[int]] | None = None) -> Sequences:
    return Sequences(
        user_ids=[f"u{n}" for n in range(len(rows))],
        item_ids=[f"i{n}" for n in range(1, 10)],
        offsets=np.cumsum([0, *map(len, rows)]),
        items=np.array([item for row in rows for item in row], dtype=np.int32),
        times=None if times is None else np.array([time for row in times for time in row], dtype=np.int64),
    )


@settings(deadline=None, max_examples=50)
@given(rows=rows_of_items)
def test_last_is_test_last_but_one_is_validation_the_rest_is_training(rows: list[list[int]]) -> None:
    evaluated = [user for user, row in enumerate(rows) if len(row) >= 3]
    if not evaluated:
        with pytest.raises(DataError, match="3 interactions"):
            leave_one_out(sequences_of(rows))
        return
    split = leave_one_out(sequences_of(rows))
    assert split.eval_users.tolist() == evaluated
    assert split.test_target.tolist() == [rows[user][-1] for user in evaluated]
    assert split.validation_target.tolist() == [rows[user][-2] for user in evaluated]
    training = [row[:-2] if len(row) >= 3 else row for row in rows]
    assert [split.train.of(user).tolist() for user in range(len(rows))] == training
    assert (split.train.user_ids, split.n_items) == ([f"u{n}" for n in range(len(rows))], 9)
    for phase, cut in (("validation", -2), ("test", -1)):
        offsets, items = split.histories(phase)  # type: ignore[arg-type]
        histories = [items[a:b].tolist() for a, b in pairwise(offsets)]
        assert histories == [rows[user][:cut] for user in evaluated]
        targets = split.targets(phase).tolist()  # type: ignore[arg-type]
        cold = sum(target not in {item for row in training for item in row} for target in targets)
        assert cold_targets(split, phase) == cold  # type: ignore[arg-type]
    counts = [0] + [sum(row.count(item) for row in training) for item in range(1, 10)]
    assert split.item_counts.tolist() == counts


def test_targets_that_their_user_had_before_are_counted() -> None:
    split = leave_one_out(sequences_of([[1, 2, 1, 1], [3, 4, 5, 3], [3, 4, 4, 5], [6, 7]]))
    assert (repeated_targets(split, "validation"), repeated_targets(split, "test")) == (2, 2)


def test_times_go_along_and_ties_of_the_last_two_are_counted() -> None:
    rows = [[1, 2, 3, 4], [5, 6, 7], [8, 9]]
    split = leave_one_out(sequences_of(rows, [[10, 20, 30, 30], [1, 1, 2], [5, 5]]))
    assert split.tied_last_two_share == 0.5
    assert split.train.times is not None
    assert split.train.times.tolist() == [10, 20, 1, 5, 5]
    assert leave_one_out(sequences_of(rows)).tied_last_two_share is None

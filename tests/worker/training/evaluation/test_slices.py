"""Parts of the users by hand: bounds, members, means, and who is left out."""

import numpy as np
import pytest

from tests.worker.training.synthetic import markov_sequences, sequences_of
from worker.training.data.split import leave_one_out
from worker.training.evaluation.slices import figures_by_part, parts_of, quarters, slices_of


def test_by_hand() -> None:
    rows = [[1, 2, 3], [1, 2, 3, 1, 2, 3, 1, 2, 3], [2, 1, 2, 4]]
    figures = {"x": np.array([1.0, 2.0, np.nan], dtype=np.float32), "none": None}
    parts = parts_of(leave_one_out(sequences_of(rows)), 6)
    found = slices_of(parts, figures)
    by_length = [row for row in found if row["by"] == "history_length"]
    # Histories of 2, 8 and 3 items, of which six are read.
    assert by_length == [
        {"by": "history_length", "from": 1, "to": 5, "users": 2, "x": 1.0, "none": None},
        {"by": "history_length", "from": 6, "to": 10, "users": 1, "x": 2.0, "none": None},
    ]
    by_activity = [
        (row["from"], row["to"], row["users"], row["x"]) for row in found if row["by"] == "activity"
    ]
    assert by_activity == [(1, 1, 1, 1.0), (2, 6, 1, None), (7, None, 1, 2.0)]
    # Targets 3 (twice in training), 3, and 4, which training never saw.
    by_target = [row for row in found if row["by"] == "target_popularity"]
    assert [(row["from"], row["to"], row["users"], row["x"]) for row in by_target] == [
        (0, 0, 1, None),
        (1, 5, 2, 1.5),
    ]
    masked = figures_by_part(parts, figures)
    assert len(masked) == len(found)
    np.testing.assert_array_equal(masked["slices.history_length.1.x"], [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(masked["slices.target_popularity.1.x"], [1.0, 2.0, np.nan])


def test_every_user_is_in_one_bin_of_each_kind() -> None:
    split = leave_one_out(markov_sequences(70))
    ones = np.ones(len(split.eval_users), dtype=np.float32)
    found = slices_of(parts_of(split, 50), {"x": ones})
    for by in ("history_length", "activity", "target_popularity"):
        rows = [row for row in found if row["by"] == by]
        assert sum(row["users"] for row in rows) == len(ones)
        assert {row["x"] for row in rows} == {1.0}


@pytest.mark.parametrize(
    ("values", "starts"),
    [([1] * 9, (1,)), (list(range(1, 9)), (1, 3, 5, 7)), ([3] * 6 + [4, 9], (3, 4))],
)
def test_quarters(values: list[int], starts: tuple[int, ...]) -> None:
    assert quarters(np.array(values)) == starts

"""The temporal split against a plain Python one, by hand, and where the data does not allow it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.data.histories import Histories
from worker.training.data.sequences import Sequences
from worker.training.data.split import EvaluationPhase, cold_targets
from worker.training.data.temporal import TemporalSplit, split_of, temporal_split
from worker.training.progress import DataError
from worker.training.spec import TrainSpec

Log = list[list[tuple[int, int]]]
"""For each user (moment, item), oldest first."""

logs = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), min_size=1, max_size=8).map(
        lambda row: sorted(row, key=lambda each: each[0])
    ),
    min_size=1,
    max_size=8,
)


def sequences_of(log: Log, *, times: bool = True) -> Sequences:
    return Sequences(
        user_ids=[f"u{n}" for n in range(len(log))],
        item_ids=[f"i{n}" for n in range(1, 10)],
        offsets=np.cumsum([0, *map(len, log)]),
        items=np.array([item for row in log for _, item in row], dtype=np.int32),
        times=np.array([time for row in log for time, _ in row], dtype=np.int64) if times else None,
    )


def rows_of(split: TemporalSplit, phase: EvaluationPhase) -> list[tuple[int, list[int], int, int]]:
    """(user, history, target, newest items of the history that are not trained on)."""
    offsets, items = split.histories(phase)
    histories = [items[a:b].tolist() for a, b in pairwise(offsets)]
    parts = (split.users(phase), histories, split.targets(phase), split.held_out(phase))
    return [(int(u), h, int(t), int(out)) for u, h, t, out in zip(*parts, strict=True)]


def test_by_hand() -> None:
    log: Log = [
        [(1, 1), (2, 2), (7, 3), (8, 4), (9, 5)],  # in every period
        [(3, 1), (9, 2)],  # nothing in the validation period
        [(7, 4), (9, 1)],  # new in the validation period: its history at test time was never trained on
        [(9, 1), (9, 2)],  # new in the test period
        [(4, 2), (5, 3)],  # trains only
    ]
    split = temporal_split(sequences_of(log), 0.2, 0.35)
    assert (split.validation_from, split.test_from) == (7, 9)
    assert [split.train.of(user).tolist() for user in range(5)] == [[1, 2], [1], [], [], [2, 3]]
    assert rows_of(split, "validation") == [(0, [1, 2], 3, 0)]
    assert rows_of(split, "test") == [(0, [1, 2, 3, 4], 5, 2), (1, [1], 2, 0), (2, [4], 1, 1)]
    assert cold_targets(split, "validation") == 0
    assert cold_targets(split, "test") == 1
    facts = split.facts()
    assert facts["validation_from"] == "1970-01-01T00:00:00.000007Z"
    assert (facts["validation_users_without_history"], facts["test_users_without_history"]) == (1, 1)
    assert (facts["train_interactions"], facts["test_users"], facts["leakage_share"]) == (5, 3, 0.0)
    assert facts["tied_targets_share"] == 0.0


def test_targets_whose_order_is_the_files_are_counted() -> None:
    log: Log = [
        [(1, 1), (5, 2), (9, 3), (9, 4)],  # which of the last two comes first, no time says
        [(2, 1), (9, 4), (10, 3)],
        [(3, 1), (9, 2)],  # the same moment as that of the next user's first
        [(9, 2), (9, 4)],  # not evaluated: no history
        [(4, 1), (6, 2), (8, 3), (11, 1), (12, 2), (12, 3)],  # tied after the target only
    ]
    split = temporal_split(sequences_of(log), 0.2, 0.5)
    assert (split.validation_from, split.test_from) == (6, 9)
    assert split.users("test").tolist() == [0, 1, 2, 4]
    assert split.facts()["tied_targets_share"] == 0.25


@settings(deadline=None, max_examples=100)
@given(log=logs, shares=st.sampled_from([(0.1, 0.1), (0.3, 0.2), (0.45, 0.45)]))
def test_against_plain_python(log: Log, shares: tuple[float, float]) -> None:
    times = sorted(time for row in log for time, _ in row)
    try:
        split = temporal_split(sequences_of(log), *shares)
    except DataError:
        return
    cuts = {"validation": split.validation_from, "test": split.test_from}
    assert cuts["test"] in times
    assert cuts["validation"] in times
    assert sum(time >= cuts["test"] for time in times) >= int(shares[1] * len(times))
    for user, row in enumerate(log):
        assert split.train.of(user).tolist() == [item for time, item in row if time < cuts["validation"]]
    assert split.train.times is not None
    assert split.train.times.max() < cuts["validation"]
    for phase, end in (("validation", cuts["test"]), ("test", 10**9)):
        expected = []
        for user, row in enumerate(log):
            before = [(time, item) for time, item in row if time < cuts[phase]]
            inside = [item for time, item in row if cuts[phase] <= time < end]
            if before and inside:
                out = sum(time >= cuts["validation"] for time, _ in before)
                expected.append((user, [item for _, item in before], inside[0], out))
        assert rows_of(split, phase) == expected  # type: ignore[arg-type]
        assert Histories(*split.histories(phase)).lengths.min() > 0  # type: ignore[arg-type]
    assert split.item_counts.sum() == split.train.n_interactions


def test_data_that_does_not_allow_it() -> None:
    spec = TrainSpec(split="temporal")
    log: Log = [[(1, 1), (2, 2), (3, 3), (4, 4)]]
    with pytest.raises(DataError, match="needs the time") as raised:
        split_of(sequences_of(log, times=False), spec)
    assert "leave_one_out" in (raised.value.hint or "")
    with pytest.raises(DataError, match="before the validation period"):
        temporal_split(sequences_of([[(5, 1), (5, 2), (5, 3), (5, 4)]]), 0.1, 0.1)
    with pytest.raises(DataError, match="validation period"):
        temporal_split(sequences_of([[(1, 1), (2, 2)], [(8, 3), (9, 4)]]), 0.25, 0.25)
    with pytest.raises(DataError, match="test period"):
        temporal_split(sequences_of([[(1, 1), (2, 2), (3, 1)], [(9, 4)]]), 0.25, 0.25)

"""The reference model of nearness, against a slow count, and what it never gives."""

import numpy as np

from tests.worker.training.synthetic import markov_sequences, sequences_of
from worker.training.attacks.neighbours import KEPT, REACH, Neighbours
from worker.training.data.histories import Histories
from worker.training.data.split import LeaveOneOut, leave_one_out


def slow_nearness(split: LeaveOneOut) -> np.ndarray:
    near = np.zeros((split.n_items + 1,) * 2)
    for user in range(split.train.n_users):
        row = split.train.of(user)
        for a in range(len(row)):
            for b in range(a + 1, min(a + REACH + 1, len(row))):
                if row[a] != row[b]:
                    near[row[a], row[b]] += 1
                    near[row[b], row[a]] += 1
    counts = np.maximum(split.item_counts, 1)
    return near / np.sqrt(counts[:, None] * counts[None, :])


def test_nearest_first_against_a_slow_count() -> None:
    split = leave_one_out(markov_sequences(80, 20))
    near, found = slow_nearness(split), Neighbours(split)
    for item in range(1, split.n_items + 1):
        neighbours = found.of(item).tolist()
        expected = [other for other in range(1, split.n_items + 1) if near[item, other] > 0]
        assert sorted(neighbours) == expected[:KEPT]
        assert neighbours == sorted(neighbours, key=lambda other: (-round(near[item, other], 12), other))


def test_the_nearest_that_is_new_to_the_user_and_not_the_target() -> None:
    split = leave_one_out(markov_sequences(80, 20))
    near, neighbours = slow_nearness(split), Neighbours(split)
    histories = Histories(*split.histories("test"))
    targets = split.test_target.astype(np.int64)
    originals = histories.items[histories.offsets[1:, None] - 1 - np.array([0, 1])].astype(np.int64)
    chosen = neighbours.nearest(histories, originals, targets)
    assert (chosen > 0).mean() > 0.5
    for row, (items, target) in enumerate(zip(chosen, targets, strict=True)):
        history = histories.items[histories.offsets[row] : histories.offsets[row + 1]].tolist()
        for original, item in zip(originals[row], items, strict=True):
            scores = near[original].copy()
            scores[[*history, target]] = 0.0
            if item == 0:
                assert scores.max() == 0.0
            else:
                assert scores[item] == scores.max() > 0
    # A block asks as a whole or user by user alike.
    some = np.array([5, 2])
    alone = neighbours.nearest(histories.take(some), originals[some], targets[some])
    assert np.array_equal(alone, chosen[some])


def test_users_are_not_neighbours_and_nobody_is_their_own() -> None:
    split = leave_one_out(sequences_of([[1, 2, 9, 9], [3, 3, 4, 9, 9], [5, 9, 9]]))
    neighbours = Neighbours(split)
    assert [neighbours.of(item).tolist() for item in (1, 2, 3, 4, 5)] == [[2], [1], [4], [3], []]


def test_only_the_nearest_are_kept() -> None:
    rows = [[1, item, 70, 70] for item in range(2, 2 + KEPT + 10)]
    assert Neighbours(leave_one_out(sequences_of(rows))).of(1).tolist() == list(range(2, 2 + KEPT))

"""Popularity and last-item Markov against counts made by hand and by loops."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch

from worker.training.data.histories import Histories
from worker.training.data.sequences import Sequences
from worker.training.data.split import LeaveOneOut, leave_one_out
from worker.training.evaluation.baselines import Markov, Popularity, exact


def split_of(rows: list[list[int]], n_items: int) -> LeaveOneOut:
    offsets = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    return leave_one_out(
        Sequences([str(u) for u in range(len(rows))], [str(i) for i in range(n_items)], offsets, items)
    )


def one(*items: int) -> Histories:
    return Histories(np.array([0, len(items)]), np.array(items, dtype=np.int32))


def test_popularity_counts_training_alone() -> None:
    split = split_of([[1, 2, 3, 4], [1, 3, 4, 4], [2]], n_items=5)
    assert Popularity(split)(one(5)).tolist() == [[0, 2, 2, 1, 0, 0]]


def test_scores_may_be_overwritten() -> None:
    split = split_of([[1, 2, 3, 4]], n_items=4)
    for scorer in (Popularity(split), Markov(split)):
        first = scorer(one(1))
        kept = first.clone()
        first.fill_(-torch.inf)
        assert torch.equal(scorer(one(1)), kept)


def test_markov_orders_by_transitions_then_popularity() -> None:
    # Training: 1 2 1 3, 1 2, 4 3 3. From 1: twice to 2, once to 3. Popularity: 1, 3 thrice, 2 twice, 4 once.
    split = split_of([[1, 2, 1, 3, 5, 5], [1, 2, 5, 5], [4, 3, 3, 5, 5]], n_items=5)
    order = Markov(split)(one(4, 1))[0, 1:].argsort(descending=True, stable=True) + 1
    assert order.tolist() == [2, 3, 1, 4, 5]
    assert Markov(split)(one(5))[0].argsort(descending=True, stable=True).tolist()[:4] == [1, 3, 2, 4]


@pytest.mark.parametrize("seed", [0, 1])
def test_markov_against_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    split = split_of([rng.integers(1, 7, rng.integers(1, 9)).tolist() for _ in range(30)], n_items=6)
    pairs: Counter[tuple[int, int]] = Counter()
    for user in range(split.train.n_users):
        row = split.train.of(user).tolist()
        pairs.update(pairwise(row))
    markov = Markov(split)
    together = markov(Histories(np.arange(7), np.arange(1, 7, dtype=np.int32)))
    for last in range(1, 7):
        scores = markov(one(3, last))[0].tolist()
        expected = [(pairs[last, item], split.item_counts[item]) for item in range(7)]
        for a in range(7):
            for b in range(7):
                assert (scores[a] < scores[b]) == (expected[a] < expected[b])
        assert together[last - 1].tolist() == scores


def test_large_counts_stay_exact() -> None:
    assert exact(np.array([3, 5])).dtype == np.float32
    large = np.array([2**30, 2**30 + 1])
    assert exact(large).tolist() == large.tolist()

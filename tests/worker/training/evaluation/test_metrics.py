"""Metrics against figures worked out by hand, and against slow definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.training.evaluation.metrics import coverage, list_agreement, rank_metrics


def test_by_hand() -> None:
    metrics = rank_metrics(np.array([0, 2, 7, 30]))
    assert metrics["hr@5"] == pytest.approx(2 / 4)
    assert metrics["hr@10"] == pytest.approx(3 / 4)
    assert metrics["ndcg@5"] == pytest.approx((1 + 1 / 2) / 4)
    assert metrics["ndcg@10"] == pytest.approx((1 + 1 / 2 + 1 / math.log2(9)) / 4)
    assert metrics["mrr@20"] == pytest.approx((1 + 1 / 3 + 1 / 8) / 4)
    assert set(metrics) == {f"{name}@{k}" for name in ("hr", "ndcg", "mrr") for k in (5, 10, 20)}


def test_the_kth_place_counts_and_the_next_does_not() -> None:
    assert rank_metrics(np.array([9]))["hr@10"] == 1
    assert rank_metrics(np.array([10]))["hr@10"] == 0
    assert rank_metrics(np.array([10]))["ndcg@10"] == 0


def test_no_users_is_an_error() -> None:
    with pytest.raises(ValueError, match="no users"):
        rank_metrics(np.array([], dtype=np.int64))


def test_coverage_ignores_empty_places() -> None:
    assert coverage(np.array([[1, 2, 0], [2, 3, 0]]), n_items=6) == pytest.approx(3 / 6)


def test_agreement_by_hand() -> None:
    result = list_agreement(np.array([[1, 2, 3, 4]]), np.array([[2, 1, 5, 6]]))
    assert result["overlap"][0] == pytest.approx(2 / 4)
    assert result["jaccard"][0] == pytest.approx(2 / 6)
    assert result["top1_changed"][0] == 1
    p = 0.9
    by_depth = [0 / 1, 2 / 2, 2 / 3, 2 / 4]
    expected = sum(p**d * share for d, share in enumerate(by_depth)) / sum(p**d for d in range(4))
    assert result["rbo"][0] == pytest.approx(expected)


def test_lists_over_different_candidate_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="different size"):
        list_agreement(np.array([[1, 2]]), np.array([[1, 0]]))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=20),
)
def test_rank_metrics_against_the_definition(ranks: list[int]) -> None:
    metrics = rank_metrics(np.array(ranks))
    for k in (5, 10, 20):
        inside = [rank for rank in ranks if rank < k]
        assert metrics[f"hr@{k}"] == pytest.approx(len(inside) / len(ranks))
        assert metrics[f"ndcg@{k}"] == pytest.approx(sum(1 / math.log2(r + 2) for r in inside) / len(ranks))
        assert metrics[f"mrr@{k}"] == pytest.approx(sum(1 / (r + 1) for r in inside) / len(ranks))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 10), st.permutations(range(1, 13)), st.permutations(range(1, 13)))
def test_agreement_against_the_definition(length: int, a: list[int], b: list[int]) -> None:
    a, b = a[:length], b[:length]
    padding = [0] * (10 - length)
    result = list_agreement(np.array([a + padding, a + padding]), np.array([b + padding, a + padding]))
    assert result["overlap"][0] == pytest.approx(len(set(a) & set(b)) / length)
    assert result["jaccard"][0] == pytest.approx(len(set(a) & set(b)) / len(set(a) | set(b)))
    shares = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, length + 1)]
    expected = sum(0.9**d * s for d, s in enumerate(shares)) / sum(0.9**d for d in range(length))
    assert result["rbo"][0] == pytest.approx(expected)
    assert [result[name][1] for name in ("overlap", "jaccard", "rbo", "top1_changed")] == [
        pytest.approx(v) for v in (1, 1, 1, 0)
    ]

"""Cascade effects and weights against the definition, pair by pair."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.training.synthetic import sequences_of
from worker.training.adversary.cascade import cascade_effects, cascade_weights
from worker.training.data.batching import Windows, cut_windows

rows_strategy = st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=9), min_size=1, max_size=6)


def windows_of(rows: list[list[int]], max_length: int = 50, windows_per_user: int = 1) -> Windows:
    return cut_windows(sequences_of(rows, 6), max_length, windows_per_user)


def brute_force(windows: Windows, kappa: float) -> list[float]:
    """Loop over every pair of input positions of all windows."""
    positions = []
    for start, length in zip(windows.starts, windows.lengths, strict=True):
        n = int(length) + 1
        positions += [(int(windows.items[start + t - 1]), n - t) for t in range(1, n)]
    return [
        own + kappa * sum(theirs for j, (other, theirs) in enumerate(positions) if j != i and other == item)
        for i, (item, own) in enumerate(positions)
    ]


def test_hand_case() -> None:
    # Inputs of the first user: 1 (3 later predictions), 2 (2), 1 (1); of the second: 2 (1).
    windows = windows_of([[1, 2, 1, 3], [2, 4]])
    assert cascade_effects(windows, 6, 0.0).tolist() == [3, 2, 1, 1]
    assert cascade_effects(windows, 6, 1.0).tolist() == [4, 3, 4, 3]
    assert cascade_effects(windows, 6, 0.5).tolist() == [3.5, 2.5, 2.5, 2.0]


@settings(deadline=None, max_examples=50)
@given(
    rows=rows_strategy,
    kappa=st.sampled_from([0.0, 0.3, 1.0, 7.0]),
    max_length=st.integers(2, 9),
    per_user=st.integers(1, 3),
)
def test_effects_equal_the_sum_over_pairs(
    rows: list[list[int]], kappa: float, max_length: int, per_user: int
) -> None:
    windows = windows_of(rows, max_length, per_user)
    effects = cascade_effects(windows, 6, kappa)
    np.testing.assert_allclose(effects, brute_force(windows, kappa), rtol=1e-12)
    assert effects.min() >= 1


@settings(deadline=None, max_examples=50)
@given(
    rows=rows_strategy,
    kappa=st.sampled_from([0.0, 1.0]),
    gamma=st.floats(-4, 4),
    clip=st.sampled_from([1.0, 2.0, 5.0, 1000.0]),
)
def test_weights_equal_the_formula_window_by_window(
    rows: list[list[int]], kappa: float, gamma: float, clip: float
) -> None:
    windows = windows_of(rows)
    effects = cascade_effects(windows, 6, kappa)
    weights = cascade_weights(windows, effects, gamma, clip)
    assert weights.dtype == np.float32
    for begin, end in zip(windows.offsets[:-1], windows.offsets[1:], strict=True):
        own = [float(c) for c in effects[begin:end]]
        mean = math.prod(own) ** (1 / len(own))
        raw = [min(max((c / mean) ** -gamma, 1 / clip), clip) for c in own]
        size = math.sqrt(sum(w * w for w in raw) / len(raw))
        np.testing.assert_allclose(weights[begin:end], [w / size for w in raw], rtol=1e-5)
        assert math.sqrt(float((weights[begin:end].astype(float) ** 2).mean())) == pytest.approx(1, rel=1e-5)
        assert weights[begin:end].max() / weights[begin:end].min() <= clip**2 * (1 + 1e-5)


def test_no_exponent_weighs_everything_exactly_alike() -> None:
    windows = windows_of([[1, 2, 3, 4], [5, 6, 1]])
    assert (cascade_weights(windows, cascade_effects(windows, 6, 1.0), 0.0, 5.0) == 1).all()


def test_a_positive_exponent_pushes_the_end_harder_and_a_negative_one_the_start() -> None:
    windows = windows_of([[1, 2, 3, 4, 5]])
    effects = cascade_effects(windows, 6, 0.0)
    assert (np.diff(cascade_weights(windows, effects, 1.0, 5.0)) > 0).all()
    assert (np.diff(cascade_weights(windows, effects, -1.0, 5.0)) < 0).all()


def test_with_shared_effects_rare_items_are_pushed_harder() -> None:
    windows = windows_of([[6, 1, 6, 3], *[[1, 1, 1, 1, 2, 4]] * 5])
    rare, common, _ = cascade_weights(windows, cascade_effects(windows, 6, 1.0), 1.0, 1000.0)[:3]
    assert rare > 3 * common

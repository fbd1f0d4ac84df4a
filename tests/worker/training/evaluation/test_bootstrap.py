"""Resampled means against the plain bootstrap, shared resamples, and figures that are not defined."""

import math

import numpy as np
import pytest

from tests.plain_bootstrap import bootstrap_interval
from worker.training.evaluation import bootstrap as bootstrap_module
from worker.training.evaluation.bootstrap import (
    RESAMPLES,
    SEED,
    interval_of,
    ratio,
    resampled_means,
)


def test_against_the_plain_bootstrap() -> None:
    values = np.random.default_rng(0).exponential(1.0, 300).astype(np.float32)
    means = resampled_means({"a": values, "b": -2 * values})
    assert means["a"].shape == (RESAMPLES,)
    assert interval_of(means["a"]) == pytest.approx(bootstrap_interval(values.astype(np.float64)), rel=1e-4)
    # One draw of users for all figures.
    np.testing.assert_allclose(means["b"], -2 * means["a"], rtol=1e-5)


def test_absent_users_count_neither_above_nor_below_the_line() -> None:
    values = np.random.default_rng(1).normal(5.0, 1.0, 400).astype(np.float32)
    absent = values.copy()
    absent[::2] = np.nan
    means = resampled_means({"all": values, "some": absent, "ones": np.where(np.isnan(absent), absent, 1)})
    assert (means["ones"] == 1.0).all()
    low, high = interval_of(means["some"]) or (0, 0)
    assert low < np.nanmean(absent) < high
    assert 1.2 < (high - low) / np.subtract(*reversed(interval_of(means["all"]) or [0, 0])) < 1.7


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"a": np.random.default_rng(2).random(50).astype(np.float32)}
    whole = resampled_means(values)["a"]
    monkeypatch.setattr(bootstrap_module, "_COUNTS", 350)
    monkeypatch.setattr(bootstrap_module, "_TOGETHER", 1)
    monkeypatch.setattr(bootstrap_module, "_USERS", 7)
    ticks: list[int] = []
    np.testing.assert_array_equal(resampled_means(values, tick=lambda: ticks.append(1))["a"], whole)
    assert len(ticks) > RESAMPLES  # at each draw, and besides while it adds up


def test_many_figures_with_several_sets_of_users_are_each_as_if_alone() -> None:
    rng = np.random.default_rng(5)
    figures = {}
    for at in range(70):
        values = rng.normal(size=60).astype(np.float32)
        values[: at % 3 * 10] = np.nan
        figures[f"f{at}"] = values
    together = resampled_means(figures)
    assert list(together) == list(figures)
    for name in ("f0", "f31", "f32", "f65", "f69"):
        np.testing.assert_allclose(together[name], resampled_means({name: figures[name]})[name], atol=1e-6)


def test_what_is_undefined_in_a_resample_has_no_interval() -> None:
    rare = np.zeros(40, dtype=np.float32)
    rare[0] = 1.0
    means = resampled_means({"rare": rare, "nobody": np.full(40, np.nan, dtype=np.float32)})
    assert interval_of(means["nobody"]) is None
    assert interval_of(ratio(means["rare"], means["rare"])) is None
    assert interval_of(means["rare"]) is not None
    assert resampled_means({}) == {}


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(3).normal(1.0, 2.0, 400)
    low, high = bootstrap_interval(values)
    error = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == (
        pytest.approx(values.mean() - error, abs=0.04),
        pytest.approx(values.mean() + error, abs=0.04),
    )
    assert bootstrap_interval(values) == (low, high)


def test_sums_are_exact_so_that_no_order_of_adding_up_shows() -> None:
    n = 700
    values = np.random.default_rng(5).uniform(1e-3, 1.0, n).astype(np.float32)
    rng = np.random.default_rng(SEED)
    drawn = (values[rng.integers(0, n, n, dtype=np.int64)].tolist() for _ in range(RESAMPLES))
    expected = np.array([math.fsum(one) / n for one in drawn], dtype=np.float32)
    assert np.array_equal(resampled_means({"a": values})["a"], expected)

"""Arms against each other: pairs, paired intervals, and what one costs more than another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.training.reporting.invented import N, arm, measured, report_of
from worker.training.evaluation.bootstrap import RESAMPLES
from worker.training.reporting.comparisons import compare_arms
from worker.training.reporting.markdown import render_markdown
from worker.training.reporting.results import (
    ATTACKED,
    CLEAN,
    OVERLAP,
)


def test_comparisons_are_paired_by_user() -> None:
    # The users differ by far more than the arms, but in the same way in each: a paired interval is narrow.
    standard, cascade = measured(0.05, 0.3, noise=0.5), measured(0.06, 0.4, noise=0.5)
    report = report_of(arm("standard", 0, standard), arm("cascade", 0, cascade))
    rows = {row["metric"]: row for row in report["comparisons"]}
    assert {(row["arm"], row["against"]) for row in report["comparisons"]} == {("cascade", "standard")}
    assert rows[CLEAN]["difference"] == pytest.approx(0.01, abs=1e-6)
    assert rows[CLEAN]["interval"] == pytest.approx([0.01, 0.01], abs=1e-6)
    assert (rows[CLEAN]["n"], rows[OVERLAP]["n"]) == (N, 150)
    assert rows[OVERLAP]["difference"] == pytest.approx(0.1, abs=1e-6)
    assert rows[ATTACKED]["difference"] == 0.0


def test_comparing_many_users_shows_that_it_moves() -> None:
    results = [arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.06))]
    ticks: list[int] = []
    assert compare_arms(results, tick=lambda: ticks.append(1)) == compare_arms(results)
    assert len(ticks) >= RESAMPLES


def test_what_an_arm_costs() -> None:
    standard, cascade = arm("standard", 0, measured(0.05)), arm("cascade", 0, measured(0.06))
    report = report_of(standard, replace(cascade, seconds=25.0, epochs=10))
    (row,) = report["costs"]
    assert (row["arm"], row["against"]) == ("cascade", "standard")
    assert row["clean_ndcg@10_ratio"] == pytest.approx(1.2)
    ratios = {"ratio": 2.5, "epoch_ratio": 2.5 * 9 / 10}
    assert row["seconds"] == pytest.approx({"arm": 25.0, "against": 10.0, "extra": 15.0} | ratios)
    assert "It has 120.0% of standard's clean NDCG@10." in report["verdict"]
    page = render_markdown(report)
    assert "Cascade trained 15 s more than standard (2.50 times as long)." in page
    assert "| cascade | 1.200 | 25 | +15 | 2.50 | 2.25 |" in page
    instant = report_of(replace(standard, seconds=0.0), replace(cascade, seconds=0.0))
    assert instant["costs"][0]["seconds"]["ratio"] is None
    assert "Cascade trained 0 s more than standard." in render_markdown(instant)
    assert report_of(arm("cascade", 0, measured(0.06)))["costs"] == []
    assert "no standard arm" in render_markdown(report_of(arm("cascade", 0, measured(0.06))))


def test_costs_are_over_the_seeds_that_both_arms_have() -> None:
    # A run that was cut short: the second seed of standard alone was trained, and went well.
    seeds = [arm("standard", 0, measured(0.05)), arm("standard", 1, measured(0.15))]
    report = report_of(*seeds, arm("cascade", 0, measured(0.06)))
    (row,) = report["costs"]
    assert row["clean_ndcg@10_ratio"] == pytest.approx(1.2)
    assert (row["seconds"]["arm"], row["seconds"]["against"]) == (10.0, 10.0)
    assert "higher by 0.0100" in report["verdict"]
    assert "It has 120.0% of standard's clean NDCG@10." in report["verdict"]
    assert report_of(*seeds, arm("cascade", 2, measured(0.06)))["costs"] == []


def test_which_arms_are_compared() -> None:
    arms = [
        arm(name, seed, measured(0.05)) for name in ("standard", "adversarial", "cascade") for seed in (0, 1)
    ]
    pairs = [(row["arm"], row["against"]) for row in report_of(*arms)["comparisons"][::3]]
    assert pairs == [("adversarial", "standard"), ("cascade", "standard"), ("cascade", "adversarial")]
    own = [arm(name, 0, measured(0.05)) for name in ("cascade_replacement", "adversarial")]
    alone = report_of(*own)
    pairs = {(row["arm"], row["against"]) for row in alone["comparisons"]}
    assert pairs == {("cascade_replacement", "adversarial")}
    assert "Cascade_replacement against adversarial: " in alone["verdict"]
    apart = report_of(own[0], replace(own[1], seed=1))
    for said in (apart["verdict"], render_markdown(apart)):
        assert "Nothing to compare: no two arms have a seed in common." in said
    without = replace(measured(0.05), per_user={CLEAN: measured(0.05).per_user[CLEAN]})
    few = report_of(arm("adversarial", 0, without), arm("cascade", 0, measured(0.05)))["comparisons"]
    assert [(row["arm"], row["against"], row["metric"]) for row in few] == [("cascade", "adversarial", CLEAN)]

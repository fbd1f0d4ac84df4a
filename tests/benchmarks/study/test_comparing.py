"""Means, intervals and targets, on outcomes whose differences are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.study.cells import CELLS, Cell
from benchmarks.study.comparing import KEPT, CellFigures, figures_of
from benchmarks.study.records import ATTACKED, CLEAN, CLEAN_THERE, OVERLAP, Record, Results
from benchmarks.study.rules import ARMS
from benchmarks.study.targets import targets_in_words

Make = Callable[..., Record]
Draw = Callable[..., dict[str, Any]]
BEAUTY = Cell("beauty", "sasrec")
SHIFTS = {"standard": 0.0, "adversarial": 0.1, "cascade": 0.2, "cascade_replacement": 0.0}
KEYS = {f"test-{arm}-{seed}" for arm in ARMS for seed in (0, 1, 2)}


def filled(folder: Path, record: Make, outcomes: Draw, cells: tuple[Cell, ...] = (BEAUTY,)) -> Results:
    """Two seeds; every user has SHIFTS more than in `standard`, in all figures. One arm has a third seed."""
    results = Results(folder)
    for cell in cells:
        for arm in ARMS:
            for seed in (0, 1, 2) if arm == "standard" else (0, 1):
                drawn = outcomes(seed, clean=SHIFTS[arm], attacked=SHIFTS[arm], overlap=SHIFTS[arm])
                made = record(f"test-{arm}-{seed}", arm=arm, seed=seed, cell=cell.name)
                results.add(cell, made, drawn)
    return results


@pytest.fixture
def figures(tmp_path: Path, record: Make, outcomes: Draw) -> CellFigures:
    found = figures_of(BEAUTY, filled(tmp_path, record, outcomes), KEYS)
    assert found is not None
    return found


def test_only_seeds_that_all_arms_have_are_compared(figures: CellFigures) -> None:
    assert figures.seeds == [0, 1]
    assert figures.users == 200


def test_means_are_over_users_who_take_part_and_over_seeds(figures: CellFigures, outcomes: Draw) -> None:
    drawn = [outcomes(seed) for seed in (0, 1)]
    standard = figures.arms["standard"]
    for name in (CLEAN, ATTACKED, OVERLAP):
        each = [float(np.nanmean(one[name])) for one in drawn]
        assert standard.means[name] == pytest.approx(np.mean(each), abs=1e-3)
        assert standard.seeds[name] == pytest.approx((min(each), max(each)), abs=1e-3)
    assert standard.means[KEPT] == pytest.approx(standard.means[ATTACKED] / standard.means[CLEAN_THERE])


def test_a_difference_alike_for_all_users_has_an_interval_of_no_width(figures: CellFigures) -> None:
    for figure in (CLEAN, ATTACKED, OVERLAP):
        found = figures.differences["cascade", "standard", figure]
        assert found.value == pytest.approx(0.2, abs=1e-3)
        assert found.interval == pytest.approx((0.2, 0.2), abs=2e-3)
        assert found.is_above(0.19)
        same = figures.differences["cascade_replacement", "cascade", figure]
        assert same.value == pytest.approx(-0.2, abs=1e-3)
        assert not same.is_above(0)


def test_kept_is_a_ratio_of_ratios(figures: CellFigures) -> None:
    found = figures.differences["cascade", "standard", KEPT]
    standard, cascade = figures.arms["standard"].means, figures.arms["cascade"].means
    expected = (cascade[ATTACKED] / cascade[CLEAN_THERE]) / (standard[ATTACKED] / standard[CLEAN_THERE])
    assert found.value == pytest.approx(expected)
    assert found.interval is not None
    low, high = found.interval
    assert low < expected < high


def test_only_the_runs_that_are_asked_for_count(tmp_path: Path, record: Make, outcomes: Draw) -> None:
    results = filled(tmp_path, record, outcomes)
    results.add(BEAUTY, record("test-cascade-of-other-settings", arm="cascade"), outcomes(0, clean=0.4))
    found = figures_of(BEAUTY, results, KEYS)
    assert found is not None
    assert [run.key for run in found.arms["cascade"].runs] == ["test-cascade-0", "test-cascade-1"]
    assert figures_of(BEAUTY, results, KEYS - {"test-cascade-0", "test-cascade-1"}) is None


def test_a_cell_without_a_whole_seed_has_no_figures(tmp_path: Path, record: Make, outcomes: Draw) -> None:
    results = Results(tmp_path)
    assert figures_of(BEAUTY, results, KEYS) is None
    results.add(BEAUTY, record("test-cascade-0", arm="cascade"), outcomes(0))
    assert figures_of(BEAUTY, results, KEYS) is None


def test_our_own_arm_is_told_once_it_has_the_seeds_of_the_others(
    tmp_path: Path, record: Make, outcomes: Draw
) -> None:
    results = filled(tmp_path, record, outcomes)
    without = KEYS - {"test-cascade_replacement-1"}
    found = figures_of(BEAUTY, results, without)
    assert found is not None
    assert (found.seeds, list(found.arms)) == ([0, 1], list(ARMS[:-1]))
    assert not any("cascade_replacement" in pair for pair in found.differences)
    assert len(targets_in_words([found])) == 3


def test_targets_are_decided_when_all_their_cells_are_there(
    tmp_path: Path, record: Make, outcomes: Draw
) -> None:
    paper = tuple(cell for cell in CELLS if cell.preset == "paper")
    results = filled(tmp_path, record, outcomes, paper)
    found = [one for cell in paper if (one := figures_of(cell, results, KEYS)) is not None]
    accuracy, generic, kept = targets_in_words(found)
    assert "**Met.**" in accuracy
    assert "6 of 6 cells" in accuracy
    assert "**Met.**" in generic
    assert "**Missed.**" in kept
    accuracy, generic, kept = targets_in_words(found[:3])
    for undecided in (accuracy, generic):
        assert "**Not decided yet.**" in undecided
    assert "**Missed.**" in kept  # which no other cell can make good
    assert "2 of 2 finished cells (of 6)" in targets_in_words(found[:3])[0]

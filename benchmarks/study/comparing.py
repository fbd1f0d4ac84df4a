"""A cell's test figures: means over seeds, and paired differences with intervals over users."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.study.cells import Cell
from benchmarks.study.records import ATTACKED, CLEAN, CLEAN_THERE, OUTCOMES, OVERLAP, Float32, Record, Results
from benchmarks.study.rules import ARMS, COMPARED_ARMS
from worker.training.evaluation.bootstrap import interval_of, ratio, resampled_means

KEPT = "kept"
COMPARISONS = (
    ("adversarial", "standard"),
    ("cascade", "standard"),
    ("cascade_replacement", "standard"),
    ("cascade", "adversarial"),
    ("cascade_replacement", "adversarial"),
    ("cascade_replacement", "cascade"),
)


@dataclass(frozen=True)
class ArmFigures:
    """One arm's means over seeds, with the lowest and highest seed, and its runs in order of seeds."""

    runs: list[Record]
    means: Mapping[str, float]
    seeds: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Difference:
    """An arm less another one (`kept`: divided by it), with its 95 % interval over users."""

    value: float
    interval: tuple[float, float] | None

    def is_above(self, limit: float) -> bool:
        """Whether the whole interval is."""
        return self.interval is not None and self.interval[0] > limit


@dataclass(frozen=True)
class CellFigures:
    """A cell's arms, over the seeds that those which the targets are about have all finished.

    arms, differences: with our own arm once it has finished them too.
    """

    cell: Cell
    seeds: list[int]
    users: int
    arms: Mapping[str, ArmFigures]
    differences: Mapping[tuple[str, str, str], Difference]
    """By (arm, against, figure)."""

    def share(self, arm: str, against: str) -> float:
        """Clean NDCG@10 of one arm as a part of the other's."""
        return self.arms[arm].means[CLEAN] / self.arms[against].means[CLEAN]


def figures_of(cell: Cell, results: Results, keys: Container[str]) -> CellFigures | None:
    """Return the figures of the cell's test runs `keys`; None as long as no seed has all compared arms."""
    tests = [r for r in results.of(cell).values() if r.key in keys and r.error is None]
    runs = {(record.arm, record.seed): record for record in tests}
    seeds = sorted({seed for _, seed in runs if all((arm, seed) in runs for arm in COMPARED_ARMS)})
    if not seeds:
        return None
    told = [arm for arm in ARMS if all((arm, seed) in runs for seed in seeds)]
    outcomes = {(arm, seed): results.outcomes(cell, runs[arm, seed].key) for arm in told for seed in seeds}
    by_user = {
        f"{arm}.{name}": np.stack([outcomes[arm, seed][name] for seed in seeds]).mean(axis=0)
        for arm in told
        for name in OUTCOMES
    }
    resampled = resampled_means(by_user)
    arms: dict[str, ArmFigures] = {
        arm: _arm([runs[arm, seed] for seed in seeds], [outcomes[arm, seed] for seed in seeds])
        for arm in told
    }
    differences = {
        (arm, against, figure): _difference(figure, (arm, against), arms, resampled)
        for arm, against in COMPARISONS
        if arm in told
        for figure in (CLEAN, ATTACKED, OVERLAP, KEPT)
    }
    users = len(outcomes["standard", seeds[0]][CLEAN])
    return CellFigures(cell, seeds, users, arms, differences)


def _arm(runs: list[Record], outcomes: list[dict[str, Float32]]) -> ArmFigures:
    of_seeds = [
        {name: float(np.nanmean(one[name], dtype=np.float64)) for name in OUTCOMES} for one in outcomes
    ]
    for one in of_seeds:
        one[KEPT] = one[ATTACKED] / one[CLEAN_THERE]
    means = {name: float(np.mean([one[name] for one in of_seeds])) for name in OUTCOMES}
    means[KEPT] = means[ATTACKED] / means[CLEAN_THERE]
    names = (*OUTCOMES, KEPT)
    spread = {name: (min(o[name] for o in of_seeds), max(o[name] for o in of_seeds)) for name in names}
    return ArmFigures(runs, means, spread)


def _difference(
    figure: str, pair: tuple[str, str], arms: Mapping[str, ArmFigures], resampled: Mapping[str, Float32]
) -> Difference:
    mine, its = (arms[arm].means[figure] for arm in pair)
    if figure == KEPT:
        kept = [ratio(resampled[f"{arm}.{ATTACKED}"], resampled[f"{arm}.{CLEAN_THERE}"]) for arm in pair]
        return Difference(mine / its, _bounds(ratio(*kept)))
    above, below = (resampled[f"{arm}.{figure}"] for arm in pair)
    return Difference(mine - its, _bounds(above - below))


def _bounds(means: Float32) -> tuple[float, float] | None:
    interval = interval_of(means)
    return None if interval is None else (interval[0], interval[1])

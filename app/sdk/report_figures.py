"""Figures of a report as types: of each arm, seed and baseline, under each attack, and their differences.

Part of `app.sdk.reports`, which says how the types are held to the schema. Metrics are shares from 0 to 1,
`seconds` are wall seconds.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

Interval = list[float]
"""[low, high]: a 95 % bootstrap interval over users."""

RankingMetrics = TypedDict(
    "RankingMetrics",
    {
        "hr@5": float,
        "hr@10": float,
        "hr@20": float,
        "ndcg@5": float,
        "ndcg@10": float,
        "ndcg@20": float,
        "mrr@5": float,
        "mrr@10": float,
        "mrr@20": float,
    },
)
"""Ranking figures, means over the users evaluated."""

_Coverage = TypedDict("_Coverage", {"coverage@10": float})


class CleanMetrics(RankingMetrics, _Coverage):
    """Ranking figures on the test targets, and how much of the catalogue is ever recommended."""


CleanIntervals = TypedDict(
    "CleanIntervals", {"hr@10": Interval | None, "ndcg@10": Interval | None, "mrr@10": Interval | None}
)
"""Intervals of `CleanMetrics`; None where a resample leaves the figure undefined."""

AttackIntervals = TypedDict(
    "AttackIntervals",
    {
        "hr@10": Interval | None,
        "ndcg@10": Interval | None,
        "mrr@10": Interval | None,
        "clean_ndcg@10": Interval | None,
        "kept": Interval | None,
        "overlap": Interval | None,
        "jaccard": Interval | None,
        "rbo": Interval | None,
        "top1_changed": Interval | None,
        "rank_shift_mean": Interval | None,
    },
)
"""Intervals of an `AttackCell`."""

SliceIntervals = TypedDict(
    "SliceIntervals",
    {"ndcg@10": Interval | None, "attacked_ndcg@10": Interval | None, "overlap": Interval | None},
)
"""Intervals of a `UserSlice`."""

_AttackedRanking = TypedDict(
    "_AttackedRanking",
    {
        "hr@5": float | None,
        "hr@10": float | None,
        "hr@20": float | None,
        "ndcg@5": float | None,
        "ndcg@10": float | None,
        "ndcg@20": float | None,
        "mrr@5": float | None,
        "mrr@10": float | None,
        "mrr@20": float | None,
        "clean_ndcg@10": float | None,
    },
)


class AttackCell(_AttackedRanking):
    """Figures under one attack; each is None where no user takes part (`n` is 0)."""

    position: str
    count: int
    replacement: str
    n: int
    kept: float | None
    overlap: float | None
    jaccard: float | None
    rbo: float | None
    top1_changed: float | None
    rank_shift_mean: float | None
    rank_shift_median: float | None
    intervals: AttackIntervals


UserSlice = TypedDict(
    "UserSlice",
    {
        "by": str,
        "from": int,
        "to": int | None,
        "users": float,
        "ndcg@10": float | None,
        "attacked_ndcg@10": float | None,
        "overlap": float | None,
        "intervals": SliceIntervals,
    },
)
"""Figures of one part of the users."""


class MeasuredReport(TypedDict):
    """What was measured of a model or a baseline: clean, under each attack, by parts of the users."""

    test: CleanMetrics
    test_intervals: CleanIntervals
    validation: RankingMetrics
    attacks: list[AttackCell]
    slices: list[UserSlice]


_ValidationRanking = TypedDict("_ValidationRanking", {"ndcg@10": float | None})


class EpochHistory(_ValidationRanking):
    """One epoch: its losses, and NDCG@10 on validation."""

    epoch: int
    loss: float
    loss_match: float | None
    loss_history: float | None


class SeedReport(MeasuredReport):
    """One seed of an arm."""

    seed: int
    best_epoch: int
    epochs: int
    seconds: float
    stop_reason: str
    history: list[EpochHistory]


class ArmReport(MeasuredReport):
    """One arm: means over its seeds, then each seed."""

    seconds: float
    epochs: float
    seeds: list[SeedReport]


class PairedDifference(TypedDict):
    """`arm` less `against`: a mean over users, and its interval; with 0 inside there is no measurable one."""

    arm: str
    against: str
    metric: str
    difference: float
    interval: Interval
    n: int


class CostSeconds(TypedDict):
    """What an arm's training took beside standard's."""

    arm: float
    against: float
    extra: float
    ratio: float | None
    epoch_ratio: float | None


_CleanRatio = TypedDict("_CleanRatio", {"clean_ndcg@10_ratio": float | None})


class ArmCost(_CleanRatio):
    """What an arm costs against standard."""

    arm: str
    against: str
    seconds: CostSeconds


class ReportWarning(TypedDict):
    """What makes a figure hard to believe; branch on `code`. Without `seed` it is about the arm."""

    code: str
    arm: str
    seed: NotRequired[int]
    message: str

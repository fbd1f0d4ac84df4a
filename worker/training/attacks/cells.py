"""The cells of the attack grid, and what is kept of each while users and repeats go by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.training.data.sequences import Int64
from worker.training.evaluation.metrics import METRICS_AT, hit, list_agreement, ndcg, reciprocal_rank
from worker.training.evaluation.ranking import LIST_LENGTH
from worker.training.settings import AttackPosition, AttackReplacement, EvaluationSettings

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_RANK_METRICS = {"hr": hit, "ndcg": ndcg, "mrr": reciprocal_rank}
_AGREEMENT = ("overlap", "jaccard", "rbo", "top1_changed")
PER_USER = ("hr@10", "ndcg@10", "mrr@10", "clean_ndcg@10", *_AGREEMENT, "rank_shift")
"""What is kept of every user, for intervals and slices: 4 bytes each, for every user and cell."""


@dataclass(frozen=True)
class Cell:
    """One attack: where, how many, by what."""

    position: AttackPosition
    count: int
    replacement: AttackReplacement

    @property
    def label(self) -> str:
        """`<position>.<count>.<replacement>`."""
        return f"{self.position}.{self.count}.{self.replacement}"

    def repeats(self, settings: EvaluationSettings) -> int:
        """How many draws are made: one where nothing is drawn at random."""
        drawn = self.position == "random" or self.replacement in ("uniform", "popularity")
        return settings.attack_repeats if drawn else 1


def cells_of(settings: EvaluationSettings) -> list[Cell]:
    """All cells of the attack grid, in the order they are reported."""
    return [
        Cell(*cell)
        for cell in product(settings.attack_positions, settings.attack_counts, settings.attack_replacements)
    ]


@dataclass(frozen=True)
class Outcomes:
    """What one repeat of a cell did to m users: lists [m, K] and 0-based ranks [m], clean and attacked.

    cold bool[m]: the target was never seen in training, which makes it a miss in both.
    """

    clean_lists: Int64
    clean_ranks: Int64
    lists: Int64
    ranks: Int64
    cold: npt.NDArray[np.bool_]

    def figures(self) -> dict[str, Float64]:
        """Each user's figures [m]; `rank_shift` is NaN where the target is cold."""
        miss = max(METRICS_AT)
        ranks, clean = (np.where(self.cold, miss, ranks) for ranks in (self.ranks, self.clean_ranks))
        found = {
            f"{name}@{k}": metric(ranks, k) for name, metric in _RANK_METRICS.items() for k in METRICS_AT
        }
        found |= list_agreement(self.clean_lists, self.lists)
        found["clean_ndcg@10"] = ndcg(clean, LIST_LENGTH)
        found["rank_shift"] = np.where(self.cold, np.nan, self.ranks - self.clean_ranks)
        return found


class CellFigures:
    """Sums of one cell's figures over users and repeats; a few of them for each of the E users."""

    def __init__(self, cell: Cell, repeats: int, n_users: int) -> None:
        self.cell, self.repeats = cell, repeats
        self._totals: dict[str, float] = {}
        self._by_user: dict[str, Float32] = {
            name: np.full(n_users, np.nan, dtype=np.float32) for name in PER_USER
        }

    def add(self, rows: Int64, outcomes: Outcomes) -> None:
        """Add one repeat of the users of these rows."""
        for name, values in outcomes.figures().items():
            if name in self._by_user:
                sums = self._by_user[name]
                before = sums[rows]
                sums[rows] = np.where(np.isnan(before), 0.0, before) + values
            if name != "rank_shift":
                self._totals[name] = self._totals.get(name, 0.0) + float(values.sum())

    def finish(self) -> dict[str, Float32]:
        """Return float32[E] of PER_USER: each user's mean over repeats, NaN for who takes no part.

        To be called once, when all was added: sums become means in place, for there may be many.
        """
        for sums in self._by_user.values():
            np.divide(sums, np.float32(self.repeats), out=sums)
        return self._by_user

    def row(self) -> dict[str, Any]:
        """Return the finished cell's row of the report; None for every figure where nobody takes part."""
        n = int((~np.isnan(self._by_user["ndcg@10"])).sum())
        names = [f"{name}@{k}" for name in _RANK_METRICS for k in METRICS_AT]
        means = {
            name: self._totals[name] / (n * self.repeats) if n else None
            for name in (*names, *_AGREEMENT, "clean_ndcg@10")
        }
        attacked, clean = means["ndcg@10"], means["clean_ndcg@10"]
        shifts = self._by_user["rank_shift"].astype(np.float64)
        shifts = shifts[~np.isnan(shifts)]
        return {
            "position": self.cell.position,
            "count": self.cell.count,
            "replacement": self.cell.replacement,
            "n": n,
            **means,
            "kept": attacked / clean if attacked is not None and clean else None,
            "rank_shift_mean": float(shifts.mean()) if shifts.size else None,
            "rank_shift_median": float(np.median(shifts)) if shifts.size else None,
        }

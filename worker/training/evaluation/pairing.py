"""Differences of means over users between two rankings, with bootstrap intervals: paired, or not.

numpy only: the service's comparisons run this same file, and reports too, so that their intervals agree. The
resamples are drawn once for all differences over equally many users.

Shape letters: n users, R resamples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.training.evaluation.bootstrap import RESAMPLES, SEED, add_up, draws

Float64 = npt.NDArray[np.float64]

_COUNTS = 4_000_000
"""Users times resamples held at once: 32 MB of float64."""


@dataclass(frozen=True)
class Difference:
    """The mean difference over n users (the first less the second), and its 95 % bootstrap interval."""

    difference: float
    low: float
    high: float
    n: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def paired(
    pairs: Sequence[tuple[Float64, Float64]], *, tick: Callable[[], None] | None = None
) -> list[Difference | None]:
    """Compare figures of the same users: (mine[E], other[E]) each, NaN where a user takes no part.

    Users are resampled whole, with both of their figures. None where no user takes part in both. `tick` is
    called now and then: a million users take minutes.
    """
    differences = []
    for mine, other in pairs:
        difference = mine - other
        differences.append(difference[~np.isnan(difference)])
    means = _resampled(differences, SEED, tick)
    return [
        _difference(float(difference.mean()), resampled, len(difference)) if resampled is not None else None
        for difference, resampled in zip(differences, means, strict=True)
    ]


def unpaired(pairs: Sequence[tuple[Float64, Float64]]) -> list[Difference | None]:
    """Compare figures of different users: each side is resampled by itself, so intervals are wider.

    n is that of the side with fewer users. None where a side has nobody.
    """
    sides = [[side[~np.isnan(side)] for side in pair] for pair in pairs]
    resampled = [_resampled([pair[at] for pair in sides], SEED + at) for at in (0, 1)]
    found: list[Difference | None] = []
    for (mine, other), mine_R, other_R in zip(sides, *resampled, strict=True):
        if mine_R is None or other_R is None:
            found.append(None)
            continue
        difference = float(mine.mean() - other.mean())
        found.append(_difference(difference, mine_R - other_R, min(len(mine), len(other))))
    return found


def _difference(difference: float, means_R: Float64, n: int) -> Difference:
    low, high = np.quantile(means_R, [0.025, 0.975])
    return Difference(difference, float(low), float(high), n)


def _resampled(
    values: Sequence[Float64], seed: int, tick: Callable[[], None] | None = None
) -> list[Float64 | None]:
    """float64[R]: the mean of each array in each resample of its users; None for an empty one."""
    of_length: defaultdict[int, list[int]] = defaultdict(list)
    for at, array in enumerate(values):
        of_length[len(array)].append(at)
    means: list[Float64 | None] = [None] * len(values)
    for n, members in of_length.items():
        if not n:
            continue
        sums_MR = np.empty((len(members), RESAMPLES))
        for part, drawn_nR in draws(n, seed, max(1, _COUNTS // n), tick):
            add_up([values[at] for at in members], drawn_nR, sums_MR[:, part])
        for sums_R, at in zip(sums_MR, members, strict=True):
            means[at] = sums_R / n
    return means

"""Bootstrap over users: how far a mean could have come out otherwise, had other users been drawn.

Shape letters: E users, M figures, A sets of users who take part, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

RESAMPLES = 1000
SEED = 1979
_COUNTS = 1_000_000
"""Users times resamples held at once: 8 MB of float64."""
_TOGETHER = 8
"""Resamples held at once at least, 64 MB of a million users: every figure is read anew for each lot."""
_USERS = 65_536
"""Users whose figures are copied at once for a product with them: 16 MB of float64."""
_FIGURES = 32
"""Figures copied at once for a product with them."""


def resampled_means(
    per_user: Mapping[str, Float32], *, tick: Callable[[], None] | None = None
) -> dict[str, Float32]:
    """Return the mean of each figure in each resample of the users, float32[R].

    per_user: float32[E] arrays of one length, NaN where a user takes no part; such users count neither above
    nor below the line. All figures share the resamples, and so does every call with as many users: means of
    several seeds may be averaged resample by resample. NaN where a resample has nobody who takes part.
    Beside the figures themselves it holds 30 MB or so, however many there are, and of more than a hundred
    thousand users 8 numbers each. `tick` is called now and then: a million users take minutes.

    Products are taken in float64, where such sums are exact (of figures that are 0 or between a thousandth
    and 1, over a million users), so that neither the BLAS nor its threads can change a bit of them.
    """
    if not per_user:
        return {}
    figures = list(per_user.values())
    present_A, which_M = _who_takes_part(figures)
    n = len(figures[0])
    sums_MR = np.empty((len(figures), RESAMPLES))
    people_AR = np.empty((len(present_A), RESAMPLES))
    for part, drawn_ER in draws(n, SEED, max(_TOGETHER, _COUNTS // n), tick):
        for summed, sums in ((figures, sums_MR), (present_A, people_AR)):
            if tick is not None:
                tick()
            add_up(summed, drawn_ER, sums[:, part])
    people_MR = people_AR[which_M]
    means = np.divide(sums_MR, people_MR, out=np.full_like(people_MR, np.nan), where=people_MR > 0)
    return {name: of_one.astype(np.float32) for name, of_one in zip(per_user, means, strict=True)}


def draws(
    n: int, seed: int, at_once: int, tick: Callable[[], None] | None
) -> Iterator[tuple[slice, Float64]]:
    """Yield resamples of n users, at most so many at once: which, and float64[n, …] how often each is drawn.

    What was yielded is overwritten by the next. `tick` is called before each resample.
    """
    rng = np.random.default_rng(seed)
    counts_Rn = np.empty((min(RESAMPLES, at_once), n))
    for start in range(0, RESAMPLES, len(counts_Rn)):
        part = slice(start, min(start + len(counts_Rn), RESAMPLES))
        for counts_n in counts_Rn[: part.stop - start]:
            if tick is not None:
                tick()
            counts_n[:] = np.bincount(rng.integers(0, n, n, dtype=np.int64), minlength=n)
        yield part, counts_Rn[: part.stop - start].T


def _who_takes_part(figures: Sequence[Float32]) -> tuple[list[Bool], list[int]]:
    """Return the sets of users who take part in some figure, bool[E] each, and which is each figure's.

    There are few: those of a cell of the attack grid, or of a part of the users.
    """
    number_of: dict[bytes, int] = {}
    sets: list[Bool] = []
    which = []
    for figure in figures:
        present = ~np.isnan(figure)
        number = number_of.setdefault(np.packbits(present).tobytes(), len(sets))
        if number == len(sets):
            sets.append(present)
        which.append(number)
    return sets, which


def add_up(
    figures: Sequence[Float32] | Sequence[Float64] | Sequence[Bool], drawn_ER: Float64, sums: Float64
) -> None:
    """Write the sums [M, R] over users of each figure (0 for NaN), each user as often as drawn.

    A block of users and figures at a time, so that a product needs no table of all of them.
    """
    sums[:] = 0.0
    for first in range(0, len(figures), _FIGURES):
        some = figures[first : first + _FIGURES]
        for start in range(0, len(drawn_ER), _USERS):
            users = slice(start, start + _USERS)
            table = np.stack([figure[users] for figure in some], dtype=np.float64)
            np.nan_to_num(table, copy=False, nan=0.0)
            sums[first : first + len(some)] += table @ drawn_ER[users]


def ratio(above: Float32, below: Float32) -> Float32:
    """float32[R]: resampled means divided by each other, NaN where the lower one is 0."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def interval_of(means: Float32) -> list[float] | None:
    """95 % percentile interval of resampled means [R]; None where a resample leaves the figure undefined."""
    if not np.isfinite(means).all():
        return None
    return [float(bound) for bound in np.quantile(means.astype(np.float64), [0.025, 0.975])]

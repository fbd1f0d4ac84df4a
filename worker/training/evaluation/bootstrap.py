"""Bootstrap over users: how far a mean could have come out otherwise, had other users been drawn.

Shape letters: E users, M figures, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

RESAMPLES = 1000
SEED = 1979
_COUNTS = 2_000_000
"""Users times resamples held at once: 8 MB of float32."""


def bootstrap_interval(values: Float64) -> tuple[float, float]:
    """95 % percentile interval of the mean: values [n], resampled whole 1000 times with a fixed seed."""
    rng = np.random.default_rng(SEED)
    n = len(values)
    means = [values[rng.integers(0, n, n, dtype=np.int64)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def resampled_means(per_user: Mapping[str, Float32]) -> dict[str, Float32]:
    """Return the mean of each figure in each resample of the users, float32[R].

    per_user: float32[E] arrays of one length, NaN where a user takes no part; such users count neither above
    nor below the line. All figures share the resamples, and so does every call with as many users: means of
    several seeds may be averaged resample by resample. NaN where a resample has nobody who takes part.
    """
    if not per_user:
        return {}
    values_EM = np.stack(list(per_user.values()), axis=1)
    absent_EM = np.isnan(values_EM)
    # Few figures differ in who takes part; those that do not share a count.
    absent_EA, which_M = np.unique(absent_EM, axis=1, return_inverse=True)
    summed = np.concatenate([np.where(absent_EM, 0.0, values_EM), ~absent_EA], axis=1, dtype=np.float32)
    rng = np.random.default_rng(SEED)
    n, m = values_EM.shape
    sums = np.empty((RESAMPLES, summed.shape[1]), dtype=np.float64)
    chunk = max(1, _COUNTS // n)
    for start in range(0, RESAMPLES, chunk):
        rows = min(chunk, RESAMPLES - start)
        counts = [np.bincount(rng.integers(0, n, n, dtype=np.int64), minlength=n) for _ in range(rows)]
        sums[start : start + rows] = np.stack(counts).astype(np.float32) @ summed
    people = sums[:, m:][:, which_M.reshape(-1)]
    means = np.divide(sums[:, :m], people, out=np.full_like(people, np.nan), where=people > 0)
    return {name: means[:, at].astype(np.float32) for at, name in enumerate(per_user)}


def ratio(above: Float32, below: Float32) -> Float32:
    """float32[R]: resampled means divided by each other, NaN where the lower one is 0."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def interval_of(means: Float32) -> list[float] | None:
    """95 % percentile interval of resampled means [R]; None where a resample leaves the figure undefined."""
    if not np.isfinite(means).all():
        return None
    return [float(bound) for bound in np.quantile(means.astype(np.float64), [0.025, 0.975])]

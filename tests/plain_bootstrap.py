"""The bootstrap over users as a textbook has it: what the library's faster one is held against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from worker.training.evaluation.bootstrap import RESAMPLES, SEED


def bootstrap_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of the mean: values [n], resampled whole 1000 times with a fixed seed."""
    rng = np.random.default_rng(SEED)
    n = len(values)
    means = [values[rng.integers(0, n, n, dtype=np.int64)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)

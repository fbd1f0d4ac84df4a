"""Paired differences between arms, with bootstrap intervals over users, and what they amount to in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.training.results import ATTACKED, CLEAN, OVERLAP, ArmResult

Float64 = npt.NDArray[np.float64]

RESAMPLES = 1000
_BOOTSTRAP_SEED = 1979
_NAMES = {
    CLEAN: "clean NDCG@10",
    ATTACKED: "NDCG@10 with the last item replaced",
    OVERLAP: "top-10 overlap with the last item replaced",
}


def compare_arms(results: Sequence[ArmResult]) -> list[dict[str, Any]]:
    """Compare each arm with `standard`, and the guided ones with what they refine, as far as trained.

    Returns rows {arm, against, metric, difference, interval, n}: the difference (arm less against) of means
    over n users, each user's figure being its mean over seeds, and a 95 % bootstrap interval that resamples
    users. The interval says nothing about other seeds.
    """
    arms = list(dict.fromkeys(result.arm for result in results))
    pairs = [(arm, "standard") for arm in arms if arm != "standard"]
    pairs += [("cascade", "adversarial"), ("cascade_replacement", "cascade")]
    rows = []
    for arm, against in pairs:
        if arm not in arms or against not in arms:
            continue
        for metric in (CLEAN, ATTACKED, OVERLAP):
            mine, others = _by_user(results, arm, metric), _by_user(results, against, metric)
            if mine is None or others is None:
                continue
            differences = mine - others
            differences = differences[~np.isnan(differences)]
            if differences.size:
                rows.append(_row(arm, against, metric, differences))
    return rows


def _row(arm: str, against: str, metric: str, differences: Float64) -> dict[str, Any]:
    return {
        "arm": arm,
        "against": against,
        "metric": metric,
        "difference": float(differences.mean()),
        "interval": list(bootstrap_interval(differences)),
        "n": len(differences),
    }


def _by_user(results: Sequence[ArmResult], arm: str, metric: str) -> Float64 | None:
    """[E]: each user's figure, its mean over the arm's seeds; NaN for who takes no part."""
    arrays = [result.measured.per_user.get(metric) for result in results if result.arm == arm]
    present = [array.astype(np.float64) for array in arrays if array is not None]
    return np.mean(present, axis=0) if len(present) == len(arrays) else None


def bootstrap_interval(values: Float64) -> tuple[float, float]:
    """95 % percentile interval of the mean: values [n], resampled whole 1000 times with a fixed seed."""
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    n = len(values)
    means = [values[rng.integers(0, n, n, dtype=np.int64)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def warnings_of(arms: Mapping[str, Any], popularity: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return a row {code, arm, message} for every arm that ranks no better than popularity.

    arms and popularity: bodies of the report, with their `test` metrics.
    """
    if popularity is None:
        return []
    level = popularity["test"]["ndcg@10"]
    return [
        {
            "code": "nothing_learnt",
            "arm": name,
            "message": f"{name} ranks no better than popularity (NDCG@10 {body['test']['ndcg@10']:.4f} "
            f"against {level:.4f}): it has learnt too little for its steadiness to mean anything",
        }
        for name, body in arms.items()
        if body["test"]["ndcg@10"] <= level
    ]


def verdict(
    comparisons: Sequence[Mapping[str, Any]], warnings: Sequence[Mapping[str, str]], n_seeds: int
) -> str:
    """Say what was found in plain words, one sentence a line of thought."""
    sentences = [f"{warning['message']}." for warning in warnings]
    pairs = dict.fromkeys((row["arm"], row["against"]) for row in comparisons)
    for arm, against in pairs:
        rows = [row for row in comparisons if (row["arm"], row["against"]) == (arm, against)]
        moved = [_moved(row) for row in rows if _is_measurable(row)]
        same = [_NAMES[row["metric"]] for row in rows if not _is_measurable(row)]
        parts = [", ".join(moved)] if moved else []
        if same:
            parts.append(f"no measurable difference in {' and '.join(same)}")
        sentences.append(f"{arm} against {against}: {'; '.join(parts)}.")
    if not comparisons:
        sentences.append("Nothing to compare: one arm was trained.")
    else:
        trained = "One seed was" if n_seeds == 1 else f"{n_seeds} seeds were"
        sentences.append(
            f"{trained} trained. Intervals are over users, not over seeds, and seeds can differ by as much "
            "as arms do" + (": train several before believing a difference." if n_seeds < 3 else ".")
        )
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _is_measurable(row: Mapping[str, Any]) -> bool:
    low, high = row["interval"]
    return bool(low > 0 or high < 0)


def _moved(row: Mapping[str, Any]) -> str:
    direction = "higher" if row["difference"] > 0 else "lower"
    low, high = sorted(map(abs, row["interval"]))
    size = abs(row["difference"])
    return f"{_NAMES[row['metric']]} {direction} by {size:.4f} (95 % interval {low:.4f} to {high:.4f})"

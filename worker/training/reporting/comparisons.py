"""Paired differences between arms, with bootstrap intervals over users, and what they amount to in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.training.evaluation.pairing import Difference, paired
from worker.training.reporting.results import ATTACKED, CLEAN, OVERLAP, ArmResult

Float64 = npt.NDArray[np.float64]

_BASE = "standard"
_NAMES = {
    CLEAN: "clean NDCG@10",
    ATTACKED: "NDCG@10 with the last item replaced",
    OVERLAP: "top-10 overlap with the last item replaced",
}


def compare_arms(
    results: Sequence[ArmResult], *, tick: Callable[[], None] | None = None
) -> list[dict[str, Any]]:
    """Compare every two arms that were trained: each with `standard`, and the guided ones with each other.

    Returns rows {arm, against, metric, difference, interval, n}: the difference (arm less against) of means
    over n users, each user's figure being its mean over seeds, and a 95 % bootstrap interval that resamples
    users. The interval says nothing about other seeds. `tick` is called now and then.
    """
    arms = list(dict.fromkeys(result.arm for result in results))
    pairs = [(arm, _BASE) for arm in arms if arm != _BASE]
    pairs += [("cascade", "adversarial"), ("cascade_replacement", "cascade")]
    pairs += [("cascade_replacement", "adversarial")]
    keys, figures = [], []
    for arm, against in pairs:
        if arm not in arms or against not in arms:
            continue
        shared = _with_shared_seeds(results, arm, against)
        if not shared:
            continue
        for metric in (CLEAN, ATTACKED, OVERLAP):
            mine, others = _by_user(shared, arm, metric), _by_user(shared, against, metric)
            if mine is not None and others is not None:
                keys.append((arm, against, metric))
                figures.append((mine, others))
    return [
        comparison_row(arm, against, metric, found)
        for (arm, against, metric), found in zip(keys, paired(figures, tick=tick), strict=True)
        if found is not None
    ]


def comparison_row(arm: str, against: str, metric: str, found: Difference) -> dict[str, Any]:
    """One row of a report's `comparisons`."""
    return {
        "arm": arm,
        "against": against,
        "metric": metric,
        "difference": found.difference,
        "interval": [found.low, found.high],
        "n": found.n,
    }


def _with_shared_seeds(results: Sequence[ArmResult], arm: str, against: str) -> list[ArmResult]:
    """Results of the seeds that both arms have: a run whose time was over may lack some of one."""
    of = {name: {result.seed for result in results if result.arm == name} for name in (arm, against)}
    return [result for result in results if result.seed in of[arm] & of[against]]


def _by_user(results: Sequence[ArmResult], arm: str, metric: str) -> Float64 | None:
    """[E]: each user's figure, its mean over the arm's seeds; NaN for who takes no part."""
    arrays = [result.measured.per_user.get(metric) for result in results if result.arm == arm]
    present = [array.astype(np.float64) for array in arrays if array is not None]
    return np.mean(present, axis=0) if len(present) == len(arrays) else None


def costs_of(arms: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each arm costs against `standard`, in clean test NDCG@10 and in training time: means over seeds.

    They are over the seeds that both have, as differences are; an arm without one has no row. arms: bodies of
    the report. Returns rows {arm, against, "clean_ndcg@10_ratio", seconds {arm, against, extra, ratio,
    epoch_ratio}}; a ratio to 0 is None. Seconds and epochs are of whole runs, with the warm-up that arms
    share: of an arm that patience ended early, more of the epochs are the warm-up's.
    """
    rows = []
    for name, body in arms.items():
        base = {seed["seed"]: seed for seed in arms.get(_BASE, {}).get("seeds", ())}
        pairs = [(seed, base[seed["seed"]]) for seed in body["seeds"] if seed["seed"] in base]
        if name == _BASE or not pairs:
            continue
        mine, others = (list(side) for side in zip(*pairs, strict=True))
        seconds, against = _mean(mine, "seconds"), _mean(others, "seconds")
        ndcg = [_mean([seed["test"] for seed in side], "ndcg@10") for side in (mine, others)]
        epochs = [_mean(side, "epochs") for side in (mine, others)]
        rows.append(
            {
                "arm": name,
                "against": _BASE,
                "clean_ndcg@10_ratio": _ratio(*ndcg),
                "seconds": {
                    "arm": seconds,
                    "against": against,
                    "extra": seconds - against,
                    "ratio": _ratio(seconds, against),
                    "epoch_ratio": _ratio(_ratio(seconds, epochs[0]), _ratio(against, epochs[1])),
                },
            }
        )
    return rows


def _mean(rows: Sequence[Mapping[str, Any]], figure: str) -> float:
    return float(sum(row[figure] for row in rows) / len(rows))


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def verdict(
    comparisons: Sequence[Mapping[str, Any]],
    warnings: Sequence[Mapping[str, Any]],
    n_seeds: int,
    costs: Sequence[Mapping[str, Any]] = (),
    *,
    n_arms: int,
) -> str:
    """Say what was found in plain words, one sentence a line of thought; what is said of all arms, once."""
    sentences = [f"{message}." for message in dict.fromkeys(warning["message"] for warning in warnings)]
    pairs = dict.fromkeys((row["arm"], row["against"]) for row in comparisons)
    for arm, against in pairs:
        rows = [row for row in comparisons if (row["arm"], row["against"]) == (arm, against)]
        moved = [_moved(row) for row in rows if _is_measurable(row)]
        same = [_NAMES[row["metric"]] for row in rows if not _is_measurable(row)]
        parts = [", ".join(moved)] if moved else []
        if same:
            parts.append(f"no measurable difference in {' or '.join(same)}")
        share = [_share(cost) for cost in costs if (cost["arm"], cost["against"]) == (arm, against)]
        sentences.append(f"{arm} against {against}: {'; '.join(parts)}.{''.join(share)}")
    if not comparisons:
        sentences.append(nothing_to_compare(n_arms))
    else:
        trained = "One seed was" if n_seeds == 1 else f"{n_seeds} seeds were"
        sentences.append(
            f"{trained} trained. Intervals are over users, not over seeds, and seeds can differ by as much "
            "as arms do" + (": train several before believing a difference." if n_seeds < 3 else ".")
        )
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def nothing_to_compare(n_arms: int) -> str:
    """Say why `compare_arms` found no rows."""
    if n_arms == 1:
        return "Nothing to compare: one arm was trained."
    return "Nothing to compare: no two arms have a seed in common."


def price_in_words(cost: Mapping[str, Any]) -> str:
    """Say what a row of `costs_of` says of time; it differs from run to run, so no verdict holds it."""
    seconds = cost["seconds"]
    times = "" if seconds["ratio"] is None else f" ({seconds['ratio']:.2f} times as long)"
    more = "more" if seconds["extra"] >= 0 else "less"
    return f"{cost['arm']} trained {abs(seconds['extra']):.0f} s {more} than {cost['against']}{times}."


def _share(cost: Mapping[str, Any]) -> str:
    share = cost["clean_ndcg@10_ratio"]
    return "" if share is None else f" It has {share:.1%} of {cost['against']}'s clean NDCG@10."


def _is_measurable(row: Mapping[str, Any]) -> bool:
    low, high = row["interval"]
    return bool(low > 0 or high < 0)


def _moved(row: Mapping[str, Any]) -> str:
    direction = "higher" if row["difference"] > 0 else "lower"
    low, high = sorted(map(abs, row["interval"]))
    size = abs(row["difference"])
    return f"{_NAMES[row['metric']]} {direction} by {size:.4f} (95 % interval {low:.4f} to {high:.4f})"

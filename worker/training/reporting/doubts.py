"""What makes an arm's figures hard to believe, though nothing went wrong: rows of a report's `warnings`.

A row is {code, arm, seed, message}; without `seed` it is about the arm, whatever the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.training.reporting.results import ArmResult
from worker.training.spec import TrainSpec

_TO_BEAT = {
    "popularity": (
        "nothing_learnt",
        "popularity",
        "it has learnt too little for its steadiness to mean anything",
    ),
    "markov": (
        "below_markov",
        "the last-item Markov baseline",
        "a table of what follows each item in training does as well",
    ),
}
_KNOWN = 0.5
"""Share of the items that an earlier model should know."""


def baseline_warnings(arms: Mapping[str, Any], baselines: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each arm, and each seed of one, that ranks no better than a baseline.

    arms and baselines: bodies of the report, with their `test` metrics; an evaluation's arm has no `seeds`.
    Seeds that are all as low need no rows of their own.
    """
    found: list[dict[str, Any]] = []
    for baseline, (code, name, meaning) in _TO_BEAT.items():
        if baseline not in baselines:
            continue
        level = _ndcg(baselines[baseline])
        for arm, body in arms.items():
            seeds = body.get("seeds", ())
            low = [seed for seed in seeds if _ndcg(seed) <= level]
            mean = f"{arm}, mean over {len(seeds)} seeds," if len(seeds) > 1 else arm
            about = [({"arm": arm}, mean, body)] if _ndcg(body) <= level else []
            if len(low) < len(seeds):
                about += [
                    ({"arm": arm, "seed": seed["seed"]}, f"{arm}, seed {seed['seed']}", seed) for seed in low
                ]
            found += [
                {
                    "code": code,
                    **of,
                    "message": f"{who} ranks no better than {name} (NDCG@10 {_ndcg(one):.4f} against "
                    f"{level:.4f}): {meaning}",
                }
                for of, who, one in about
            ]
    return found


def epochs_limit_warnings(results: Sequence[ArmResult], spec: TrainSpec) -> list[dict[str, Any]]:
    """Return a row for each arm and seed that `epochs` ended before patience could have.

    Patience counts from `min_epochs` on; where that leaves it no epoch, from the best one alone. Where all
    seeds of an arm were ended so, one row stands for the arm. Beside arms that patience ended, the row says
    that the comparison is not fair to it.
    """
    counted_from = spec.min_epochs if spec.min_epochs < spec.epochs else 0
    cut = [
        result
        for result in results
        if result.stop_reason == "epochs"
        and _validations(max(result.best_epoch, counted_from), result.epochs, spec.validate_every)
        < spec.patience
    ]
    found: list[dict[str, Any]] = []
    for arm in dict.fromkeys(result.arm for result in cut):
        own = [result for result in cut if result.arm == arm]
        at_ease = dict.fromkeys(
            result.arm for result in results if result.arm != arm and result.stop_reason == "patience"
        )
        meaning = "more epochs might have made it better" + (
            f", so that it is compared unfairly with {' and '.join(at_ease)}, ended by patience"
            if at_ease
            else ""
        )
        limit = f"was ended by the limit of {spec.epochs} epochs before patience was over"
        if len(own) == sum(result.arm == arm for result in results):
            best = ", ".join(str(result.best_epoch) for result in own)
            seeds = f" in each of {len(own)} seeds" if len(own) > 1 else ""
            message = f"{arm} {limit} (best: epoch {best}){seeds}: {meaning}"
            found.append({"code": "epochs_limit", "arm": arm, "message": message})
            continue
        found += [
            {
                "code": "epochs_limit",
                "arm": arm,
                "seed": result.seed,
                "message": f"{arm}, seed {result.seed} {limit} (best: epoch {result.best_epoch}): {meaning}",
            }
            for result in own
        ]
    return found


def _validations(after: int, last: int, every: int) -> int:
    """How many there are in the epochs after one to the last, which always has one."""
    return last // every - after // every + bool(last % every) if after < last else 0


def warm_start_warnings(
    arms: Sequence[str], facts: Mapping[str, Any], *, same_training: bool
) -> list[dict[str, Any]]:
    """Return rows {code, arm, message} for each arm about the model whose weights training started from.

    facts: of `WarmStart.facts`. same_training: whether that model is known to have been trained from fresh
    weights on the training part of this very split, so that it has met no target. No message names an arm or
    the model: it is the same for all arms, and for the same weights by another name.
    """
    found = []
    if not same_training:
        found.append(
            (
                "warm_started",
                "training started from an earlier model that may have met these validation and test targets "
                "in its own training (it is not known to have been trained from fresh weights on the same "
                "split of the same data): figures of all arms may be too good, and only those of one job "
                "compare",
            )
        )
    known, items = facts["items_known"], facts["items_known"] + facts["items_new"]
    if known < _KNOWN * items:
        found.append(
            (
                "few_items_known",
                f"the earlier model that training started from knows {known:,} of {items:,} items; all "
                "others started from fresh vectors",
            )
        )
    return [{"code": code, "arm": arm, "message": message} for code, message in found for arm in arms]


def _ndcg(body: Mapping[str, Any]) -> float:
    return float(body["test"]["ndcg@10"])

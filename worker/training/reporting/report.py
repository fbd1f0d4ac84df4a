"""The report of an experiment: one JSON document with every figure and everything needed to judge it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.training.evaluation.bootstrap import interval_of, ratio
from worker.training.evaluation.metrics import METRICS_AT
from worker.training.evaluation.slices import slice_name
from worker.training.reporting.comparisons import compare_arms, costs_of, verdict
from worker.training.reporting.doubts import baseline_warnings
from worker.training.reporting.results import INTERVALS, ArmResult, Measured
from worker.training.spec import TrainSpec

Float32 = npt.NDArray[np.float32]

SCHEMA_VERSION = 1
DEFINITIONS = 1
"""By which meaning of its figures a report goes; raised whenever that of one changes and no setting says so:
list lengths, rank-biased overlap, how attacks draw, what the reference model of `nearest` reads, …"""


def build_report(
    spec: TrainSpec,
    facts: Mapping[str, Any],
    results: Sequence[ArmResult],
    baselines: Mapping[str, Measured],
    *,
    cascade: Mapping[str, Any],
    environment: Mapping[str, Any],
    warm_start: Mapping[str, Any] | None = None,
    stability: Mapping[str, Any] | None = None,
    search: Mapping[str, Any] | None = None,
    warnings: Sequence[Mapping[str, Any]] = (),
    tick: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Put the pieces together into plain JSON types (docs/report.md).

    facts: of `dataset_facts`. results: one an arm and seed. baselines: "popularity", "markov". cascade: of
    `cascade_facts`. An arm's own figures are means over its seeds; `seeds[]` holds each. Raises ValueError
    when a figure is not finite. warm_start: of `WarmStart.facts`; stability: of
    `Stability.run`; search: of `ShareSearch.found`. warnings: of those before the baselines' own.
    tick: called now and then, since comparing the arms of a million users takes minutes.
    """
    arms = {arm: _arm([result for result in results if result.arm == arm]) for arm in _names(results)}
    measured = {name: measured_body(baseline) for name, baseline in baselines.items()}
    comparisons = compare_arms(results, tick=tick)
    warnings = [*warnings, *baseline_warnings(arms, measured)]
    costs = costs_of(arms)
    protocol = protocol_of(spec)
    report = {
        "schema_version": SCHEMA_VERSION,
        "protocol": protocol,
        "protocol_hash": protocol_hash(protocol, facts["content_sha256"]),
        "dataset": dict(facts),
        "warm_start": dict(warm_start) if warm_start is not None else None,
        "arms": arms,
        "baselines": measured,
        "comparisons": comparisons,
        "costs": costs,
        "warnings": warnings,
        "verdict": verdict(
            comparisons, warnings, len({result.seed for result in results}), costs, n_arms=len(arms)
        ),
        "cascade": dict(cascade),
        "stability": dict(stability) if stability is not None else None,
        "search": dict(search) if search is not None else None,
        "spec": spec.model_dump(mode="json"),
        "environment": dict(environment),
    }
    plain: dict[str, Any] = json.loads(json.dumps(report, allow_nan=False))
    return plain


def protocol_of(spec: TrainSpec) -> dict[str, Any]:
    """How figures were measured: everything of a spec that two comparable figures have in common."""
    attack: dict[str, Any] = {
        "positions": sorted(spec.attack_positions),
        "counts": sorted(spec.attack_counts),
        "replacements": sorted(spec.attack_replacements),
        "repeats": spec.attack_repeats,
        "seed": spec.attack_seed,
    }
    if "highest_cascade" in spec.attack_positions:
        attack["cascade"] = {"kappa": spec.kappa, "windows_per_user": spec.windows_per_user}
    split: dict[str, Any] = {"split": spec.split}
    if spec.split == "temporal":
        split |= {"validation_share": spec.validation_share, "test_share": spec.test_share}
    return {
        **split,
        "ranking": "full",
        "ties": "fixed_shuffle",
        "exclude_seen": spec.exclude_seen,
        "metrics_at": list(METRICS_AT),
        "chosen_by": "validation ndcg@10",
        "max_length": spec.max_length,
        "definitions": DEFINITIONS,
        "attack": attack,
    }


def protocol_hash(protocol: Mapping[str, Any], content_sha256: str) -> str:
    """SHA-256 of the protocol and the filtered data set: figures compare where it is the same."""
    document = {"protocol": protocol, "content_sha256": content_sha256}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _names(results: Sequence[ArmResult]) -> list[str]:
    return list(dict.fromkeys(result.arm for result in results))


def _arm(results: Sequence[ArmResult]) -> dict[str, Any]:
    """Figures of one arm: means over its seeds, then each seed."""
    measured = [result.measured for result in results]
    resampled = [one.resampled for one in measured]
    # Resamples are the same in every seed, so their means are those of the mean over seeds.
    means = {
        name: np.mean([one[name] for one in resampled], axis=0)
        for name in resampled[0]
        if all(name in one for one in resampled)
    }
    attacks = [_with_kept(_mean(list(rows))) for rows in zip(*(one.attacks for one in measured), strict=True)]
    for row in attacks:
        cell = f"attacks.{row['position']}.{row['count']}.{row['replacement']}"
        if f"{cell}.kept" in means:
            means[f"{cell}.kept"] = ratio(means[f"{cell}.ndcg@10"], means[f"{cell}.clean_ndcg@10"])
    return {
        "test": _mean([one.test for one in measured]),
        "test_intervals": _intervals(means, "test", "test"),
        "validation": _mean([one.validation for one in measured]),
        "attacks": _attacks(attacks, means),
        "slices": _slices(
            [_mean(list(rows)) for rows in zip(*(one.slices for one in measured), strict=True)], means
        ),
        "seconds": _mean([{"seconds": result.seconds} for result in results])["seconds"],
        "epochs": _mean([{"epochs": result.epochs} for result in results])["epochs"],
        "seeds": [
            {
                "seed": result.seed,
                **measured_body(result.measured),
                "best_epoch": result.best_epoch,
                "epochs": result.epochs,
                "seconds": result.seconds,
                "stop_reason": result.stop_reason,
                "history": result.history,
            }
            for result in results
        ],
    }


def measured_body(one: Measured) -> dict[str, Any]:
    """Figures of one scorer as they stand in a report, with intervals."""
    return {
        "test": one.test,
        "test_intervals": _intervals(one.resampled, "test", "test"),
        "validation": one.validation,
        "attacks": _attacks(one.attacks, one.resampled),
        "slices": _slices(one.slices, one.resampled),
    }


def _attacks(rows: Sequence[Mapping[str, Any]], means: Mapping[str, Float32]) -> list[dict[str, Any]]:
    """Give each row of an attack the `intervals` of its figures."""
    return [
        {
            **row,
            "intervals": _intervals(
                means, "attacks", f"attacks.{row['position']}.{row['count']}.{row['replacement']}"
            ),
        }
        for row in rows
    ]


def _slices(rows: Sequence[Mapping[str, Any]], means: Mapping[str, Float32]) -> list[dict[str, Any]]:
    """Give each row of a part of the users the `intervals` of its figures."""
    return [
        {**row, "intervals": _intervals(means, "slices", slice_name(row["by"], row["from"]))} for row in rows
    ]


def _intervals(means: Mapping[str, Float32], kind: str, of: str) -> dict[str, list[float] | None]:
    """Intervals of the figures that a kind of row has, from their resampled means "<of>.<figure>"."""
    named = {figure: f"{of}.{figure}" for figure in INTERVALS[kind]}
    return {figure: interval_of(means[name]) if name in means else None for figure, name in named.items()}


def _with_kept(row: dict[str, Any]) -> dict[str, Any]:
    """Make `kept` what the figures beside it say: mean attacked over mean clean, not the seeds' mean."""
    attacked, clean = row["ndcg@10"], row["clean_ndcg@10"]
    return {**row, "kept": attacked / clean if attacked is not None and clean else None}


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean of every field over rows of the same kind; what all rows agree on (a name, n) stays as it is.

    A figure that one seed does not have (None) has no mean, and of unequal n the least counts: a seed that
    was not attacked leaves nobody of whom all seeds have figures.
    """
    means: dict[str, Any] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if all(value == first for value in values):
            means[name] = first
        elif name == "n":
            means[name] = min(values)
        else:
            means[name] = None if None in values else sum(values) / len(values)
    return means

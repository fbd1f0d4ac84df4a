"""The report of a stored model's evaluation: an arm's figures as in a training report, and their limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from worker.training.evaluation.pairing import paired
from worker.training.reporting import tables
from worker.training.reporting.comparisons import comparison_row
from worker.training.reporting.data_table import data_table
from worker.training.reporting.doubts import baseline_warnings
from worker.training.reporting.markdown import as_table
from worker.training.reporting.report import SCHEMA_VERSION, measured_body, protocol_hash, protocol_of
from worker.training.reporting.results import Measured
from worker.training.spec import TrainSpec

_UNCHECKED = {
    "training_unknown": "the data set that the model was trained on is no longer there, so it cannot be told "
    "whether test targets were in its training",
    "warm_started": "the model's training started from the weights of an earlier model, and whether test "
    "targets were in the training of that one was not checked",
}


def build_evaluation_report(
    spec: TrainSpec,
    facts: Mapping[str, Any],
    measured: Measured,
    baselines: Mapping[str, Measured],
    *,
    model: Mapping[str, Any],
    unknown: Mapping[str, Any],
    training: Mapping[str, Any],
    unchecked: Sequence[str],
    environment: Mapping[str, Any],
    tick: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Put the pieces together into plain JSON types.

    facts: of `dataset_facts`. model: needs "arm" and "seed"; "trained_on_this" says whether it was trained on
    this data set. unknown, training: of `stored_model`; unchecked: why training could not all be looked at.
    The protocol and its hash are a training report's, so that figures compare with those of jobs on the same
    data. `tick` is called now and then while users are resampled. Raises ValueError when one is not finite.
    """
    arm = str(model["arm"])
    arms = {arm: measured_body(measured)}
    bodies = {name: measured_body(baseline) for name, baseline in baselines.items()}
    comparisons = _against_baselines(arm, measured, baselines, tick)
    protocol = protocol_of(spec)
    warnings = [
        *({"code": code, "arm": arm, "message": _UNCHECKED[code]} for code in unchecked),
        *_warnings(arm, model, unknown, training, measured),
        *baseline_warnings(arms, bodies),
    ]
    report = {
        "schema_version": SCHEMA_VERSION,
        "kind": "evaluation",
        "protocol": protocol,
        "protocol_hash": protocol_hash(protocol, facts["content_sha256"]),
        "model": dict(model),
        "dataset": dict(facts),
        "unknown": dict(unknown),
        "training": dict(training),
        "arms": arms,
        "baselines": bodies,
        "comparisons": comparisons,
        "warnings": warnings,
        "verdict": _verdict(comparisons, warnings),
        "spec": spec.model_dump(mode="json"),
        "environment": dict(environment),
    }
    plain: dict[str, Any] = json.loads(json.dumps(report, allow_nan=False))
    return plain


def render_evaluation(report: Mapping[str, Any]) -> str:
    """Render a report of `build_evaluation_report` as Markdown."""
    model, unknown = report["model"], report["unknown"]
    parts = [
        f"# Evaluation of {model.get('name', 'a model')}, {model['arm']}, seed {model['seed']}",
        str(report["verdict"]),
        *(f"> **{warning['code']}**: {warning['message']}." for warning in report["warnings"]),
        "## Side by side",
        as_table(tables.side_by_side(report)),
        "## Differences from the baselines",
        as_table(tables.differences(report)),
        "## Every attack",
        *(f"### {name}\n\n{as_table(tables.attacks(body))}" for name, body in tables.bodies(report)),
        "## Parts of the users",
        *(f"### {name}\n\n{as_table(tables.slices(body))}" for name, body in tables.bodies(report)),
        "## What the model does not know",
        f"{unknown['items']:,} items of {unknown['interactions']:,} interactions"
        + (f", among them {', '.join(unknown['examples'])}" if unknown["examples"] else "")
        + ". They are left out of histories and stand behind all known items in the ranking. "
        f"{unknown['missed_targets']:,} test targets that the model never saw in training and "
        f"{unknown['users_without_known_history']:,} users without any known item are counted as misses.",
        "## Data",
        as_table(data_table(report)),
        "## Protocol",
        f"Figures of two reports compare where the protocol hash is the same: `{report['protocol_hash']}`.",
        f"```json\n{json.dumps(report['protocol'], indent=1)}\n```",
        "## Environment",
        as_table(tables.environment(report)),
    ]
    return "\n\n".join(parts) + "\n"


def _against_baselines(
    arm: str, measured: Measured, baselines: Mapping[str, Measured], tick: Callable[[], None] | None
) -> list[dict[str, Any]]:
    """Rows as of `compare_arms`: the model less each baseline, the same users."""
    keys = [
        (name, metric)
        for name, baseline in baselines.items()
        for metric in measured.per_user
        if metric in baseline.per_user
    ]
    found = paired(
        [
            (
                measured.per_user[metric].astype(np.float64),
                baselines[name].per_user[metric].astype(np.float64),
            )
            for name, metric in keys
        ],
        tick=tick,
    )
    return [
        comparison_row(arm, name, metric, one)
        for (name, metric), one in zip(keys, found, strict=True)
        if one is not None
    ]


def _warnings(
    arm: str,
    model: Mapping[str, Any],
    unknown: Mapping[str, Any],
    training: Mapping[str, Any],
    measured: Measured,
) -> list[dict[str, Any]]:
    leaked, found = training["targets_in_training"], []
    if leaked:
        found.append(
            (
                "targets_in_training",
                f"{leaked:,} test targets were in this user's part of the model's training: "
                "the figures flatter it",
            )
        )
    if model.get("trained_on_this"):
        found.append(
            (
                "trained_on_this",
                "the model was trained on this very data set: this says nothing of how it does on another",
            )
        )
    if unknown["items"]:
        found.append(("unknown_items", f"the model does not know {unknown['items']:,} items of the data set"))
    if unknown["items"] and any(row["replacement"] == "gradient" for row in measured.attacks):
        found.append(
            (
                "no_gradient_attack",
                "attacks by gradient are not made where the data set has items that the model does not know",
            )
        )
    return [{"code": code, "arm": arm, "message": message} for code, message in found]


def _verdict(comparisons: list[dict[str, Any]], warnings: list[dict[str, Any]]) -> str:
    sentences = []
    for row in comparisons:
        if row["metric"] != "test.ndcg@10":
            continue
        low, high = row["interval"]
        if low <= 0 <= high:
            said = "no measurable difference in clean NDCG@10"
        else:
            direction = "higher" if row["difference"] > 0 else "lower"
            interval = f"95 % interval {low:+z.4f} to {high:+z.4f}"
            said = f"clean NDCG@10 {direction} by {abs(row['difference']):.4f} ({interval})"
        sentences.append(f"{row['arm'].capitalize()} against {row['against']}: {said}.")
    sentences += [f"{warning['message'][0].upper()}{warning['message'][1:]}." for warning in warnings]
    return " ".join(sentences)

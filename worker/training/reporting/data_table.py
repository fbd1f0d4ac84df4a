"""The report's facts of the data as a table: the log, its split, and the model that training started from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.training.reporting.tables import Table


def data_table(report: Mapping[str, Any]) -> Table:
    """Return what was trained on, and what split and windows left out, a fact a row."""
    facts = report["dataset"]
    tied = facts["tied_last_two_share"]
    rows = [
        ("users, items, interactions", f"{facts['users']:,}, {facts['items']:,}, {facts['interactions']:,}"),
        *_split(facts["split"], facts["cut_interactions"]),
        ("test targets never seen in training (misses)", f"{facts['cold_targets']:,}"),
    ]
    if "repeated_targets" in facts:  # an earlier version's report has no count
        rows.append(("test targets that their user had before", f"{facts['repeated_targets']:,}"))
    warm_start = report.get("warm_start")
    if warm_start is not None:
        counts = [f"{warm_start[f'items_{name}']:,}" for name in ("known", "new", "dropped")]
        rows += [
            ("started from the weights of", warm_start["from"]),
            ("items that it knew, new ones, ones that it alone knew", ", ".join(counts)),
        ]
    if facts["split"]["name"] == "leave_one_out":
        known = "no times" if tied is None else f"{tied:.0%}"
        rows.append(("users whose last two interactions carry the same time", known))
    return Table(("", ""), rows)


def _split(split: Mapping[str, Any], cut: int) -> list[tuple[str, str]]:
    """How the log was split, and how much of what was learnt from is later than what was predicted."""
    leaked = split["leakage_share"]
    rows = [
        ("split", split["name"].replace("_", "-")),
        ("interactions of the training part", f"{split['train_interactions']:,}"),
        ("of these, too old for any training window", f"{cut:,}"),
    ]
    if split["name"] == "temporal":
        rows += [
            ("validation period begins", split["validation_from"]),
            ("test period begins", split["test_from"]),
            (
                "users evaluated on validation, without a history before it",
                f"{split['validation_users']:,}, {split['validation_users_without_history']:,}",
            ),
            (
                "users evaluated on test, without a history before it",
                f"{split['test_users']:,}, {split['test_users_without_history']:,}",
            ),
            (
                "users whose test target carries the same time as the interaction after it",
                f"{split['tied_targets_share']:.0%}",
            ),
        ]
    else:
        rows.append(("users evaluated (at least 3 interactions)", f"{split['test_users']:,}"))
    later = "no times" if leaked is None else f"{leaked:.0%}"
    return [*rows, ("training interactions later than a test target, on average", later)]

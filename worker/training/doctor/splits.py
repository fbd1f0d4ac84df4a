"""What the ways of splitting the log would do to a test."""

from __future__ import annotations

import numpy as np

from worker.training.data.split import LeaveOneOut, leave_one_out
from worker.training.data.temporal import temporal_split
from worker.training.doctor.findings import EXAMPLES, Finding, Fix, percent
from worker.training.doctor.log import Log
from worker.training.progress import DataError
from worker.training.spec import TrainSpec

MANY_COLD = 0.05
MUCH_LEAKAGE = 0.01
_K_CORE = Fix("setting", "k_core", "Train and test on users and items with at least 5 interactions.", 5)


def find_split_faults(log: Log) -> list[Finding]:
    """Cold test items under either split, and how far leave-one-out looks into the future."""
    try:
        split = leave_one_out(log.sequences)
    except DataError:
        return []  # nobody can be tested on, which `short_users` says
    found = _cold_last(log, split)
    if log.sequences.times is not None:
        facts, cold = _temporal(log)
        found += cold + _leakage(log, split, facts)
    return found


def _cold_last(log: Log, split: LeaveOneOut) -> list[Finding]:
    cold = split.item_counts[split.test_target] == 0
    if not cold.any():
        return []
    at = log.sequences.offsets[split.eval_users + 1][cold] - 1
    return [_cold("cold_test_items", "leave_one_out", log, at, len(cold))]


def _cold(code: str, name: str, log: Log, at: np.ndarray[tuple[int], np.dtype[np.int64]], of: int) -> Finding:
    items = np.unique(log.sequences.items[at])
    share = len(at) / of
    return Finding(
        code,
        "warning" if share >= MANY_COLD else "info",
        f"Under the split {name} {percent(share)} of test targets are items that never occur in training: no "
        "model can rank them, and each counts as a miss.",
        len(at),
        "targets",
        share,
        rows=log.first_rows(at),
        examples=[log.sequences.item_ids[item - 1] for item in items[:EXAMPLES]],
        facts={"split": name, "items": len(items)},
        fix=_K_CORE,
    )


def _temporal(log: Log) -> tuple[dict[str, object], list[Finding]]:
    """The facts of the temporal split with a job's default shares, or why there is none; cold items in it."""
    fields = TrainSpec.model_fields
    shares = float(fields["validation_share"].default), float(fields["test_share"].default)
    try:
        split = temporal_split(log.sequences, *shares)
    except DataError as error:
        return {"name": "temporal", "impossible": str(error)}, []
    cold = split.item_counts[split.targets("test")] == 0
    found = [_cold("cold_test_items_temporal", "temporal", log, split.test_at[cold], len(cold))]
    return split.facts(), found if cold.any() else []


def _leakage(log: Log, split: LeaveOneOut, temporal: dict[str, object]) -> list[Finding]:
    times = log.sequences.times
    if not split.leakage_share or times is None or split.train.times is None:
        return []
    targets = times[log.sequences.offsets[split.eval_users + 1] - 1]
    later = int((split.train.times > targets.min()).sum())
    possible = "impossible" not in temporal
    return [
        Finding(
            "future_leakage",
            "warning" if split.leakage_share >= MUCH_LEAKAGE else "info",
            f"Under leave-one-out {percent(split.leakage_share)} of training interactions are later than a "
            "test target, on average over targets: a model learns from other users' future."
            + (" The split in time has none of this." if possible else ""),
            later,
            "interactions",
            split.leakage_share,
            facts={"leave_one_out": split.facts(), "temporal": temporal},
            fix=Fix(
                "setting",
                "split",
                "Learn from what came before one moment, test on what came after it.",
                "temporal",
            )
            if possible
            else None,
        )
    ]

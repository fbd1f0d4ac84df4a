"""The benchmark runs, and compares what it says it compares."""

from __future__ import annotations

import runpy
from pathlib import Path

import torch

from worker.training.spec import TrainSpec

BENCHMARK = runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks/training.py"))


def test_every_variant_is_measured_against_standard_training() -> None:
    sequences = BENCHMARK["synthetic"](users=60, items=50)
    measured = BENCHMARK["measure"](sequences, TrainSpec(hidden_size=8, batch_size=16), rounds=2, steps=2)
    rows = {row["name"]: row for row in measured["variants"]}
    assert list(rows) == [
        "standard",
        "matching level",
        "history level",
        "both levels",
        "both, some towards items",
        "both, some replaced",
    ]
    assert rows["standard"]["cost_ratio"] == 1.0
    assert all(row["targets_per_cpu_second"] > 0 for row in rows.values())
    assert measured["users"] == 60
    assert 0 <= measured["padding_share"] < 1


def test_variants_differ_in_their_adversary_and_start_alike() -> None:
    variants = BENCHMARK["variants_of"](TrainSpec(hidden_size=8), BENCHMARK["synthetic"](60, 50), 1)
    levels = [(v.adversary.matches, v.adversary.rewrites_history) for v in variants]
    assert levels == [(False, False), (True, False), (False, True), (True, True), (True, True), (True, True)]
    forms = [(v.adversary.towards_items, v.adversary.replaces_history) for v in variants]
    assert forms == [(False, False)] * 4 + [(True, False), (False, True)]
    assert [v.replacer is not None for v in variants] == [False] * 4 + [True] * 2
    first, *others = [v.state.model.item_embedding.weight for v in variants]
    assert all(torch.equal(first, other) for other in others)

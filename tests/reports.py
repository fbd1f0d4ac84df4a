"""A real report, of a small run on data with something to learn; made once for all tests."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl

from worker.training.experiment import ExperimentResult, run_experiment
from worker.training.progress import MemoryCheckpoints, SilentProgress
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

SPEC = TrainSpec.model_validate(
    {
        "max_length": 8,
        "hidden_size": 8,
        "blocks": 1,
        "dropout": 0.1,
        "batch_size": 32,
        "learning_rate": 1e-2,
        "epochs": 4,
        "warmup_epochs": 2,
        "arms": ["standard", "cascade"],
        "seeds": [1, 0],
        "attack_counts": [1, 2],
        "attack_positions": ["end", "random"],
        "attack_repeats": 1,
        "stability_changes": 1,
        "stability_epochs": 3,
    }
)


def markov_log(users: int = 90, items: int = 25) -> pl.DataFrame:
    """Each item has one successor, followed nine times out of ten."""
    rng = np.random.default_rng(4)
    successor = rng.permutation(items)
    rows = []
    for user in range(users):
        item = int(rng.integers(items))
        for _ in range(int(rng.integers(4, 12))):
            rows.append((f"u{user}", f"i{item}"))
            item = int(successor[item]) if rng.random() < 0.9 else int(rng.integers(items))
    return pl.DataFrame(rows, schema=["user", "item"], orient="row")


def run(spec: TrainSpec = SPEC) -> ExperimentResult:
    """Run `spec` on `markov_log`, on one thread."""
    return run_experiment(
        spec,
        markov_log(),
        progress=SilentProgress(),
        checkpoints=MemoryCheckpoints(),
        runtime=Runtime("cpu", 1),
    )


@cache
def real_result() -> ExperimentResult:
    """The result of `run()`; not to be changed."""
    return run()


def real_report() -> dict[str, Any]:
    """Its report; not to be changed."""
    return real_result().report

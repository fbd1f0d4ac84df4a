"""A study small enough to be run in a test: a made-up Beauty, tiny models, three epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.study.cells import Cell
from benchmarks.study.records import CLEAN, OUTCOMES, Record
from benchmarks.study.rules import Rules
from tests.worker.training.synthetic import markov_sequences

BEAUTY = Cell("beauty", "sasrec")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")
    sequences = markov_sequences(40, 25)
    lines = [f"{u} {' '.join(map(str, sequences.of(u)))}" for u in range(sequences.n_users)]
    (folder / "Beauty.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture
def rules() -> Rules:
    small: dict[str, Any] = {
        "hidden_size": 8,
        "max_length": 8,
        "loss": "bce",
        "epochs": 3,
        "min_epochs": 0,
        "patience": 2,
        "validate_every": 1,
        "learning_rate": 1e-2,
    }
    of_data = {"batch_size": 8, "warmup_epochs": 1, "dropout": 0.1}
    return Rules(
        common=small,
        of_data=dict.fromkeys(("beauty", "ml-100k", "toys", "video"), of_data),
        convergence={},
        converged_shares=(0.1, 0.2),
        tuning=({"learning_rate": 1e-3}, {"learning_rate": 1e-2}),
        seeds=(0, 1),
    )


@pytest.fixture
def record() -> Callable[..., Record]:
    def make(key: str = "trial-x", *, clean: float = 0.1, attacked: float = 0.05, **given: Any) -> Record:
        fields: dict[str, Any] = {
            "key": key,
            "cell": BEAUTY.name,
            "purpose": key.partition("-")[0],
            "arm": "cascade",
            "seed": 0,
            "changes": {},
            "spec": {},
            "validation": {"ndcg@10": clean},
            "attacks": [{"ndcg@10": attacked, "overlap": 0.5, "kept": attacked / clean}],
        }
        return Record(**{**fields, **given})

    return make


@pytest.fixture
def outcomes() -> Callable[..., dict[str, Any]]:
    """Outcomes of 200 users; the last 20 take no part in the attack."""

    def make(seed: int, **shifts: float) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        made = {}
        for name in OUTCOMES:
            values = (rng.random(200) * 0.5 + shifts.get(name, 0.0)).astype(np.float32)
            if name != CLEAN:
                values[180:] = np.nan
            made[name] = values
        return made

    return make

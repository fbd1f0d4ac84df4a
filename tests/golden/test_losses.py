"""Losses pinned to numbers: a refactor leaves them untouched, and a change of the method has to say so.

After a change that is meant to move them: ``python -m tests.golden.test_losses`` writes the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.worker.training.synthetic import markov_sequences
from worker.training.fitting.trainer import Trainer
from worker.training.models.base import SequenceModel
from worker.training.progress import EpochMetrics, MemoryCheckpoints, SilentProgress
from worker.training.spec import TrainSpec

PINNED = Path(__file__).with_name("losses.json")
CASES: dict[str, dict[str, Any]] = {
    "sasrec": {"model": "sasrec"},
    "gru4rec": {"model": "gru4rec"},
    "sasrec, sampled_softmax": {"loss": "sampled_softmax"},
    "sasrec, sampled_softmax by popularity": {"loss": "sampled_softmax", "negative_sampling": "popularity"},
    "sasrec, gbce": {"loss": "gbce"},
    "sasrec, softmax": {"loss": "softmax"},
    "sasrec, pre-norm, by gradient": {"block": "pre_norm", "replace_by": "gradient", "replace_candidates": 5},
    "sasrec, ligr, cosine": {
        "block": "ligr",
        "feed_forward_multiplier": 2,
        "loss": "sampled_softmax",
        "item_normalisation": "cosine",
        "temperature": 0.2,
        "initialisation": "truncated_normal",
        "optimiser": "adamw",
        "learning_rate_warmup_epochs": 1,
        "learning_rate_decay": "cosine",
    },
    "gru4rec, towards items": {"model": "gru4rec", "perturb_towards": "items", "replace_candidates": 5},
    "sasrec, some towards items": {"perturb_towards": "items", "perturb_share": 0.4},
    "gru4rec, pre-norm": {"model": "gru4rec", "block": "pre_norm", "initialisation": "xavier"},
}


class Losses(SilentProgress):
    """[loss, loss_match, loss_history] of every epoch, by arm."""

    def __init__(self) -> None:
        self.of_arm: dict[str, list[list[float | None]]] = {}

    def epoch(self, metrics: EpochMetrics) -> None:
        row = [metrics.loss, metrics.loss_match, metrics.loss_history]
        self.of_arm.setdefault(metrics.arm, []).append(row)


def no_validation(model: SequenceModel) -> dict[str, float]:
    return {"ndcg@10": 0.0}


def losses_of(name: str) -> dict[str, list[list[float | None]]]:
    """Three epochs, one of them warm-up, of all arms, with both levels strong and both parts of C in play."""
    torch.set_num_threads(1)
    spec = TrainSpec(
        **{"perturb_towards": "gradient", "perturb_share": None, **CASES[name]},
        negatives=7,
        arms=("standard", "adversarial", "cascade", "cascade_replacement"),
        hidden_size=16,
        heads=2,
        max_length=8,
        windows_per_user=2,
        batch_size=16,
        epochs=3,
        warmup_epochs=1,
        learning_rate=5e-3,
        epsilon_match=0.1,
        epsilon_history=0.3,
        kappa=0.5,
        clip_norm=1.0,
        weight_decay=1e-3,
    )
    heard = Losses()
    trainer = Trainer(
        spec, markov_sequences(64), validate=no_validation, progress=heard, checkpoints=MemoryCheckpoints()
    )
    for arm in spec.arms:
        trainer.train(arm, 0)
    return heard.of_arm


@pytest.mark.parametrize("name", CASES)
def test_losses_are_what_they_were(name: str) -> None:
    pinned: dict[str, Any] = json.loads(PINNED.read_text())[name]
    measured = losses_of(name)
    assert measured.keys() == pinned.keys()
    for arm, rows in pinned.items():
        for row, expected in zip(measured[arm], rows, strict=True):
            # Another CPU rounds otherwise; a change of the method moves far more than this.
            assert row == [None if value is None else pytest.approx(value, rel=1e-4) for value in expected]


def test_arms_are_told_apart_by_more_than_the_tolerance() -> None:
    pinned = json.loads(PINNED.read_text())
    for name in ("sasrec", "gru4rec"):
        first, second = (pinned[name][arm][-1][2] for arm in ("adversarial", "cascade"))
        assert first != pytest.approx(second, rel=2e-4)


if __name__ == "__main__":
    PINNED.write_text(json.dumps({name: losses_of(name) for name in CASES}, indent=1) + "\n")

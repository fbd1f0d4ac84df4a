"""A warm-up is shared by all runs that it does not depend on, and by no others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.worker.training.synthetic import markov_sequences
from worker.training.data.split import leave_one_out
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.state import AFTER_WARMUP, warmup_identity_of
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.models.base import SequenceModel
from worker.training.progress import (
    CheckpointKey,
    CheckpointKind,
    CheckpointUnreadableError,
    EpochMetrics,
    MemoryCheckpoints,
    SilentProgress,
)
from worker.training.spec import TrainSpec

SPLIT = leave_one_out(markov_sequences(40))
CPU = torch.device("cpu")
BASE = {"hidden_size": 8, "max_length": 8, "batch_size": 12, "epochs": 4, "warmup_epochs": 2}
OTHER: dict[str, Any] = {
    "arms": ["cascade"],
    "epsilon_match": 0.5,
    "epsilon_history": 0.5,
    "lambda_match": 0.5,
    "lambda_history": 0.5,
    "perturb_every": 2,
    "epsilon_ramp_epochs": 1,
    "perturb_towards": "gradient",
    "perturb_share": 0.5,
    "kappa": 1.0,
    "gamma": 0.5,
    "weight_clip": 2.0,
    "replace_share": 0.5,
    "replace_by": "popularity",
    "replace_candidates": 9,
    "search_shares": [0.1, 0.2],
    "search_floor": 0.9,
    "preset": "paper",
    "patience": 3,
    "min_epochs": 1,
    "validate_every": 2,
    "checkpoint_minutes": 9.0,
    "exclude_seen": False,
    "attack_positions": ["start"],
    "attack_counts": [3],
    "attack_replacements": ["uniform"],
    "attack_repeats": 1,
    "attack_seed": 7,
    "stability_changes": 1,
    "stability_epochs": 9,
    "seed": 5,
    "seeds": [5, 6],
}
COUNTS = {
    "k_core": 2,
    "max_length": 9,
    "windows_per_user": 2,
    "model": "gru4rec",
    "dropout": 0.1,
    "loss": "gbce",
    "learning_rate": 0.5,
    "batch_size": 13,
    "clip_norm": 1.0,
    "epochs": 5,
    "warmup_epochs": 1,
}


class Epochs(SilentProgress):
    def __init__(self) -> None:
        self.of_warmup = 0

    def epoch(self, metrics: EpochMetrics) -> None:
        self.of_warmup += metrics.arm == "warmup"


class OnlyWarmups:
    """A store of a run's own that shares nothing but warm-ups with `shared`."""

    def __init__(self, shared: MemoryCheckpoints) -> None:
        self.shared, self.own = shared, MemoryCheckpoints()

    def of(self, arm: str) -> MemoryCheckpoints:
        return self.shared if arm == "warmup" else self.own

    def save(self, key: CheckpointKey, payload: bytes) -> None:
        self.of(key.arm).save(key, payload)

    def load(self, kind: CheckpointKind, seed: int, arm: str) -> list[tuple[CheckpointKey, bytes]]:
        return self.of(arm).load(kind, seed, arm)

    def discard(self, kind: CheckpointKind, seed: int, arm: str) -> None:
        self.of(arm).discard(kind, seed, arm)


def spec_of(**settings: Any) -> TrainSpec:
    return TrainSpec.model_validate({**BASE, **settings})


def train(spec: TrainSpec, shared: MemoryCheckpoints) -> tuple[Outcome, int]:
    def validate(model: SequenceModel) -> dict[str, float]:
        scorer = model_scorer(model, spec.max_length)
        return evaluate(scorer, SPLIT, "validation", exclude_seen=False, lists=False).metrics

    progress = Epochs()
    trainer = Trainer(
        spec, SPLIT.train, validate=validate, progress=progress, checkpoints=OnlyWarmups(shared)
    )
    return trainer.train("cascade", 0), progress.of_warmup


def test_a_run_of_another_adversary_forks_from_the_same_warmup() -> None:
    strong = spec_of(epsilon_history=0.4, gamma=0.5)
    alone, epochs = train(strong, MemoryCheckpoints())
    assert epochs == 2
    shared = MemoryCheckpoints()
    assert train(spec_of(), shared)[1] == 2
    forked, epochs = train(strong, shared)
    assert epochs == 0
    assert all(torch.equal(alone.weights[name], forked.weights[name]) for name in alone.weights)


def test_a_run_of_another_learning_rate_is_refused_the_warmup() -> None:
    shared = MemoryCheckpoints()
    train(spec_of(), shared)
    with pytest.raises(CheckpointUnreadableError, match="spec was"):
        train(spec_of(learning_rate=0.02), shared)


def test_every_setting_left_out_is_one_and_makes_no_difference() -> None:
    assert set(OTHER) == set(AFTER_WARMUP)
    wanted = warmup_identity_of(spec_of(), SPLIT.train, CPU)
    needs = {"seed": {"seeds": [OTHER["seed"]]}}
    for name, value in OTHER.items():
        changed = {name: value, **needs.get(name, {})}
        spec = spec_of(**changed)
        assert getattr(spec, name) != getattr(spec_of(), name), name
        assert warmup_identity_of(spec, SPLIT.train, CPU) == wanted, name


@pytest.mark.parametrize("name", COUNTS)
def test_what_the_warmup_learns_from_counts(name: str) -> None:
    changed = warmup_identity_of(spec_of(**{name: COUNTS[name]}), SPLIT.train, CPU)
    assert changed != warmup_identity_of(spec_of(), SPLIT.train, CPU)


def test_a_setting_of_a_later_version_counts() -> None:
    class LaterSpec(TrainSpec):
        new_setting: int = 1

    one, two = (
        warmup_identity_of(LaterSpec.model_validate({**BASE, "new_setting": n}), SPLIT.train, CPU)
        for n in (1, 2)
    )
    assert one != two

"""Small runs of the trainer: their data, their spec, and what hears of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.worker.training.synthetic import markov_sequences
from worker.training.data.split import leave_one_out
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.models.base import SequenceModel
from worker.training.progress import (
    CheckpointStore,
    Control,
    EpochMetrics,
    MemoryCheckpoints,
    SilentProgress,
    StepProgress,
)
from worker.training.settings import Arm, ModelName
from worker.training.spec import TrainSpec

SPLIT = leave_one_out(markov_sequences(80))
MODELS: tuple[ModelName, ...] = ("sasrec", "gru4rec")
ARMS: tuple[Arm, ...] = ("standard", "adversarial", "cascade", "cascade_replacement")


def spec_of(**settings: Any) -> TrainSpec:
    base = {
        "arms": ARMS,
        "hidden_size": 16,
        "max_length": 10,
        "batch_size": 16,
        "epochs": 4,
        "warmup_epochs": 2,
        "validate_every": 1,
        "perturb_towards": "gradient",
    }
    return TrainSpec.model_validate({**base, **settings})


class Ear(SilentProgress):
    """Hears everything, and gives the answers it was told to give, by step of the whole job."""

    def __init__(self, answers: dict[int, Control] | None = None) -> None:
        self.answers = answers or {}
        self.steps: list[StepProgress] = []
        self.epochs: list[EpochMetrics] = []
        self.events: list[str] = []

    def step(self, at: StepProgress) -> Control:
        self.steps.append(at)
        return self.answers.get(len(self.steps), Control.CONTINUE)

    def epoch(self, metrics: EpochMetrics) -> None:
        self.epochs.append(metrics)

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        assert message
        self.events.append(type)


def improving() -> Callable[[SequenceModel], dict[str, float]]:
    """A validation that is better each time, so that the last epoch is chosen."""
    calls: list[int] = []

    def validate(model: SequenceModel) -> dict[str, float]:
        assert not model.training
        calls.append(1)
        return {"ndcg@10": len(calls) / 1e6}

    return validate


def scripted(values: list[float]) -> Callable[[SequenceModel], dict[str, float]]:
    remaining = iter(values)
    return lambda model: {"ndcg@10": next(remaining), "hr@10": 0.5}


def trainer(
    spec: TrainSpec,
    *,
    ear: Ear | None = None,
    checkpoints: CheckpointStore | None = None,
    validate: Callable[[SequenceModel], dict[str, float]] | None = None,
) -> Trainer:
    return Trainer(
        spec,
        SPLIT.train,
        validate=validate or improving(),
        progress=ear or Ear(),
        checkpoints=checkpoints or MemoryCheckpoints(),
    )


def assert_same_weights(a: Outcome, b: Outcome) -> None:
    assert a.weights.keys() == b.weights.keys()
    assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)

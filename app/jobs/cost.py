"""What a job costs, by its settings and the size of its data set: a rough formula.

Its constants were set by hand from runs on one CPU thread and are wrong elsewhere by some factor, which
`app/jobs/estimates.py` takes from jobs that have ended. What matters here is how costs scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.training.shares import is_searched, n_trainings
from worker.training.spec import TrainSpec

_START_SECONDS = 5.0
_PACKAGE_SECONDS = 3.0
"""Figures, pages and files at the end, and reading them back."""
_PREPARE_SECONDS = 4e-7
"""For each interaction."""
_STEP_SECONDS = 1.5e-6
_LAYER_SECONDS = 2.2e-6
"""For each target and block, at hidden size 64."""
_SCORE_SECONDS = 1e-10
"""For each product of two numbers where all items are scored."""
_ADVERSARIAL = 1.4
"""What the adversarial passes add to a step, in steps."""
_PROCESS_BYTES = 420 * 2**20
_INTERACTION_BYTES = 160
_NUMBER_BYTES = 4
_OPTIMISER_COPIES = 6
"""Weights, gradients, two moments, the best so far, and a checkpoint being written."""
_CHECKPOINT_COPIES = 5
"""The best weights so far, and a checkpoint with both moments, packed."""
_ACTIVATIONS = 24
"""Numbers kept for each position and block, in multiples of the hidden size."""
_DOCUMENT_BYTES = 1_500_000
_RESAMPLES = 1000
_FIGURES_OF_CELL, _FIGURES_OF_USERS = 10, 45
"""Figures whose resampled means a checkpoint keeps: of an attack, and clean and of parts of the users."""


@dataclass(frozen=True)
class Size:
    """How large a data set is."""

    users: int
    items: int
    interactions: int

    @classmethod
    def of(cls, stats: Mapping[str, Any] | None) -> Size:
        """The size in a data set's stats."""
        found = stats or {}
        return cls(*(max(1, int(found.get(name) or 0)) for name in ("users", "items", "interactions")))


@dataclass(frozen=True)
class Rates:
    """What the parts of a job take, in seconds.

    start: before and after everything, the data's preparation included. epoch: of training, by arm, "warmup"
    among them. ranking: of ranking every user once.
    """

    start: float
    epoch: Mapping[str, float]
    ranking: float

    @classmethod
    def by_formula(cls, spec: TrainSpec, size: Size) -> Rates:
        """As the formula has them."""
        arms = ("warmup", *map(str, spec.arms))
        window = min(spec.max_length, size.interactions / size.users)
        user = window * _forward_seconds(spec) + size.items * spec.hidden_size * _SCORE_SECONDS
        return cls(
            start=_START_SECONDS + size.interactions * _PREPARE_SECONDS,
            epoch={arm: size.interactions * _target_seconds(spec, size, arm) for arm in arms},
            ranking=size.users * user,
        )

    @classmethod
    def measured(cls, result: Mapping[str, Any]) -> Rates:
        """As a probe has measured them (`worker/training/probing.py`)."""
        epoch = {arm: float(rate["seconds_per_epoch"]) for arm, rate in result["arms"].items()}
        return cls(
            start=float(result["start_seconds"]) + float(result["prepare_seconds"]) + _PACKAGE_SECONDS,
            epoch={"warmup": epoch["standard"], **epoch},
            ranking=float(result["users"]) * float(result["seconds_per_user"]),
        )


def seconds_of(spec: TrainSpec, rates: Rates, epochs: Mapping[str, int]) -> float:
    """Seconds of a whole job. epochs: how many of each arm, and of "warmup", over all seeds together."""
    again = _epochs_trained_again(spec)
    training = sum(count * rates.epoch[arm] for arm, count in (*epochs.items(), *again.items()))
    validated = (sum(epochs.values()) + sum(again.values())) / spec.validate_every
    rankings = validated + _models(spec) * (2 + _cells(spec) * spec.attack_repeats)
    rankings += _trials(spec) * (1 + spec.attack_repeats)
    return rates.start + training + rankings * rates.ranking


def most_epochs(spec: TrainSpec) -> dict[str, int]:
    """How many epochs each arm and the shared warm-up have, over all seeds, if none ends early."""
    own = spec.epochs - spec.warmup_epochs
    trainings = {str(arm): sum(n_trainings(spec, arm, seed) for seed in spec.seeds) for arm in spec.arms}
    return {
        "warmup": len(spec.seeds) * spec.warmup_epochs,
        **{arm: count * own for arm, count in trainings.items()},
    }


def peak_memory_bytes(spec: TrainSpec, size: Size) -> int:
    """Memory of the training process at its largest."""
    positions = spec.batch_size * min(spec.max_length, 2 * size.interactions / size.users)
    passes = 1 if set(spec.arms) == {"standard"} else 2
    activations = positions * spec.blocks * spec.hidden_size * _ACTIVATIONS * passes
    scored = positions * size.items if spec.loss == "softmax" else 512 * size.items
    numbers = _OPTIMISER_COPIES * _parameters(spec, size) + activations + 2 * scored
    numbers += 2 * _models(spec) * _parameters(spec, size)  # every model, until it is packed, and packed
    numbers += _FIGURES_OF_CELL * _cells(spec) * size.users  # of the model that is being measured
    numbers += _models(spec) * _RESAMPLES * (_FIGURES_OF_CELL * _cells(spec) + _FIGURES_OF_USERS)
    return int(_PROCESS_BYTES + numbers * _NUMBER_BYTES + size.interactions * _INTERACTION_BYTES)


def stored_bytes(spec: TrainSpec, size: Size) -> int:
    """What stays when the job has succeeded: models, their last checkpoints, the report."""
    model = _parameters(spec, size) * _NUMBER_BYTES + size.items * 12
    resampled = _RESAMPLES * (_FIGURES_OF_CELL * _cells(spec) + _FIGURES_OF_USERS)
    checkpoint = (_parameters(spec, size) + size.users * 3 + resampled) * _NUMBER_BYTES
    return int(_models(spec) * (model + checkpoint) + _DOCUMENT_BYTES)


def probed_memory_bytes(spec: TrainSpec, size: Size, measured: int) -> int:
    """Memory of the training process at its largest, after a probe's: the probe wrote no checkpoint."""
    return int(measured + _CHECKPOINT_COPIES * _parameters(spec, size) * _NUMBER_BYTES)


def _epochs_trained_again(spec: TrainSpec) -> dict[str, int]:
    """Epochs of the trainings that measure rank-list stability: reference, control, one a change."""
    if not spec.stability_changes:
        return {}
    trainings = 2 + 4 * spec.stability_changes
    own = max(0, min(spec.stability_epochs, spec.epochs) - spec.warmup_epochs)
    return {"warmup": trainings * spec.warmup_epochs, **{str(arm): trainings * own for arm in spec.arms}}


def _cells(spec: TrainSpec) -> int:
    return len(spec.attack_positions) * len(spec.attack_counts) * len(spec.attack_replacements)


def _trials(spec: TrainSpec) -> int:
    """Models that are attacked on validation, to choose a share."""
    searched = sum(is_searched(spec, arm) for arm in spec.arms)
    return len(spec.search_shares) * searched + bool(searched)


def _models(spec: TrainSpec) -> int:
    return len(spec.arms) * len(spec.seeds)


def _width(spec: TrainSpec) -> float:
    return float((spec.hidden_size / 64) ** 1.5)


def _forward_seconds(spec: TrainSpec) -> float:
    return _STEP_SECONDS + _LAYER_SECONDS / 3 * spec.blocks * _width(spec)


def _target_seconds(spec: TrainSpec, size: Size, arm: str) -> float:
    seconds = _STEP_SECONDS + _LAYER_SECONDS * spec.blocks * _width(spec)
    if arm not in ("standard", "warmup"):
        seconds *= 1 + _ADVERSARIAL / spec.perturb_every
    scored = {"bce": 2, "softmax": size.items}.get(spec.loss, spec.negatives)
    return seconds + 3 * scored * spec.hidden_size * _SCORE_SECONDS


def _parameters(spec: TrainSpec, size: Size) -> int:
    d = spec.hidden_size
    if spec.model == "gru4rec":
        return (size.items + 1) * d + spec.blocks * 6 * d * (d + 1)
    inner = 4 * d * d + 2 * spec.feed_forward_multiplier * d * d + 10 * d
    return int((size.items + 1 + spec.max_length) * d + spec.blocks * inner)

"""Everything that a training run is in the middle of, and its way into a checkpoint and back.

A state that was packed and restored goes on bit for bit (on CPU, with the same build of torch and the same
number of threads, which is why both are written down and compared).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from worker.training.data.sequences import Int64, Sequences
from worker.training.draws import CountedDraws, Draws
from worker.training.fitting.adam import FusedAdam
from worker.training.fitting.checkpoint import pack, prefixed, without_prefix
from worker.training.fitting.step import Streams
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import CheckpointElsewhereError, CheckpointUnreadableError
from worker.training.seeding import generator_for
from worker.training.spec import TrainSpec

Weights = dict[str, Tensor]


@dataclass
class Best:
    """The best epoch so far by validation NDCG@10, and what early stopping has counted since."""

    epoch: int = 0
    ndcg: float = -1.0
    """-1 before the first validation: any measured value is better."""
    validation: dict[str, float] = field(default_factory=dict)
    weights: Weights = field(default_factory=dict)
    validations_since: int = 0


@dataclass
class TrainerState:
    """One arm and seed in training.

    epoch: epochs finished; cursor: batches of the next epoch already done; step: optimiser steps taken;
    sums: float64[5] on the device, this epoch's L_rank, L_match, L_hist summed over targets, the targets, and
    those of steps that met the adversary;
    seconds: wall time so far, warm-up included. history: one row a finished epoch, warm-up included, {epoch,
    loss, loss_match, loss_history, "ndcg@10" on validation}; None where a level or the validation was off.
    """

    model: SequenceModel
    optimiser: torch.optim.Adam
    streams: Streams
    negatives: Draws
    replacements: Draws
    sums: Tensor
    epoch: int = 0
    cursor: int = 0
    step: int = 0
    best: Best = field(default_factory=Best)
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def fresh(
        cls, spec: TrainSpec, n_items: int, seed: int, device: torch.device, *, counted: bool = False
    ) -> TrainerState:
        """Return the state before the first step: a function of the spec, the item count and the seed.

        counted: draws are counted by epoch and window (draws.py), not taken from one stream after another.
        """

        def draws(purpose: str, of: torch.device) -> Draws:
            return CountedDraws(seed, purpose) if counted else generator_for(seed, purpose, device=of)

        host = torch.device("cpu")
        model = build_model(spec, n_items, seed=seed).to(device)
        return cls(
            model=model,
            optimiser=FusedAdam(
                model.parameters(),
                lr=spec.learning_rate,
                betas=(spec.adam_beta1, spec.adam_beta2),
                # The padding row is zero and gets no gradient: neither way of decaying weights moves it.
                weight_decay=spec.weight_decay,
                decoupled=spec.optimiser == "adamw",
            ),
            streams=Streams(
                dropout=draws("dropout", device),
                perturbed=draws("perturbed dropout", device),
            ),
            negatives=draws("negatives", host),
            replacements=draws("replacements", host),
            sums=torch.zeros(5, dtype=torch.float64, device=device),
        )

    def begin_step(self, windows: Int64) -> None:
        """Let counted draws know what the next step's rows are: these windows, in the epoch after `epoch`."""
        for draws in (self.streams.dropout, self.streams.perturbed, self.negatives, self.replacements):
            if isinstance(draws, CountedDraws):
                draws.at(self.epoch + 1, windows)

    def pack(self, identity: dict[str, Any]) -> bytes:
        """Return a checkpoint that `restore` accepts for the same identity."""
        moments = {
            f"{index}.{name}": value
            for index, values in self.optimiser.state_dict()["state"].items()
            for name, value in values.items()
        }
        generators = {
            "dropout": self.streams.dropout.get_state(),
            "perturbed": self.streams.perturbed.get_state(),
            "negatives": self.negatives.get_state(),
            "replacements": self.replacements.get_state(),
        }
        tensors = {
            **prefixed("model", self.model.state_dict()),
            **prefixed("optimiser", moments),
            **prefixed("generator", generators),
            **prefixed("best", self.best.weights),
            "sums": self.sums,
        }
        return pack(
            tensors,
            {
                "identity": identity,
                "epoch": self.epoch,
                "cursor": self.cursor,
                "step": self.step,
                "seconds": self.seconds,
                "history": self.history,
                "best": {
                    "epoch": self.best.epoch,
                    "ndcg": self.best.ndcg,
                    "validation": self.best.validation,
                    "validations_since": self.best.validations_since,
                },
            },
        )

    def restore(self, tensors: Weights, state: dict[str, Any]) -> None:
        """Take over an unpacked checkpoint. Raises CheckpointUnreadableError when it does not fit."""
        try:
            self._restore(tensors, state)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointUnreadableError(f"the checkpoint does not fit this run: {error}") from error

    def _restore(self, tensors: Weights, state: dict[str, Any]) -> None:
        self.model.load_state_dict(without_prefix("model", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in without_prefix("optimiser", tensors).items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.streams.dropout.set_state(tensors["generator.dropout"])
        self.streams.perturbed.set_state(tensors["generator.perturbed"])
        self.negatives.set_state(tensors["generator.negatives"])
        self.replacements.set_state(tensors["generator.replacements"])
        self.sums.copy_(tensors["sums"])
        self.epoch, self.cursor, self.step = state["epoch"], state["cursor"], state["step"]
        self.seconds = state["seconds"]
        self.history = list(state.get("history", ()))  # a run begun by an earlier version has none
        self.best = Best(**state["best"], weights=without_prefix("best", tensors))


AFTER_THE_ARMS: Final = frozenset({"stability_changes", "stability_epochs"})
"""Settings of what comes when all arms are trained: a finished arm serves whatever they are."""

AFTER_WARMUP: Final = AFTER_THE_ARMS | frozenset(
    {
        *("arms", "epsilon_match", "epsilon_history", "lambda_match", "lambda_history"),
        *("perturb_every", "epsilon_ramp_epochs", "perturb_towards", "perturb_share"),
        *("kappa", "gamma", "weight_clip", "replace_share", "replace_by", "replace_candidates"),
        *("search_shares", "search_floor"),
        *("patience", "min_epochs", "validate_every", "checkpoint_minutes"),
        *("exclude_seen", "attack_positions", "attack_counts", "attack_replacements"),
        *("attack_repeats", "attack_seed"),
        # An identity names its own seed; a preset is but a name for settings that are all here.
        *("seed", "seeds", "preset"),
    }
)
"""Settings that act only once the warm-up is over, or on nothing that is learnt. All others decide what it
leaves behind, and so does, until it is written down here, any that a later version adds.
"""


def identity_of(spec: TrainSpec, train: Sequences, device: torch.device) -> dict[str, Any]:
    """Return what must be the same for a run to be continued: spec, data and arithmetic."""
    unused = () if spec.search_shares else ("search_shares", "search_floor")
    return _identity(spec.model_dump_json(exclude={*AFTER_THE_ARMS, *unused}), train, device)


def warmup_identity_of(spec: TrainSpec, train: Sequences, device: torch.device) -> dict[str, Any]:
    """Return what must be the same for arms to fork from one warm-up, whatever their adversary is.

    So that runs of different jobs may share warm-ups too, if they share a checkpoint store.
    """
    return _identity(spec.model_dump_json(exclude=set(AFTER_WARMUP)), train, device)


def _identity(settings: str, train: Sequences, device: torch.device) -> dict[str, Any]:
    data = hashlib.sha256(train.offsets.tobytes())
    data.update(train.items.tobytes())
    return {
        "spec": hashlib.sha256(settings.encode()).hexdigest(),
        "data": data.hexdigest(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "device": device.type,
    }


_ELSEWHERE: Final = frozenset({"torch", "threads", "cpu", "device"})
"""What differs between machines: the run is the same, its bits would not be. `cpu` is the set of instructions
that torch's kernels are chosen by (AVX2, AVX512, …), which add up in another order."""
_LATER: Final = frozenset({"cpu"})
"""Not in checkpoints of earlier versions, which are continued all the same."""


def check_identity(found: object, wanted: dict[str, Any]) -> None:
    """Raise CheckpointUnreadableError that names what differs, if anything does.

    CheckpointElsewhereError where it is nothing of the run itself.
    """
    if found == wanted:
        return
    found = found if isinstance(found, dict) else {}
    asked = [key for key in wanted if key in found or key not in _LATER]
    differing = [key for key in asked if found.get(key) != wanted[key]]
    if found and not differing:
        return
    named = ", ".join(f"{key} was {found.get(key)!r} and is {wanted[key]!r}" for key in differing)
    of_run = bool(set(differing) - _ELSEWHERE)
    raise (CheckpointUnreadableError if of_run else CheckpointElsewhereError)(
        f"the checkpoint belongs to another run or machine: {named}",
        hint="Continue with the same spec, data, torch version, threads and kind of CPU, or start again.",
    )

"""What an experiment hands over to its report: figures of each arm and seed, and facts of the data set.

A result can be put into a checkpoint (`to_state`, `from_state`), so that a run that crashes after an arm was
measured need not measure it again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from worker.training.attacks import run_attacks
from worker.training.batching import Windows
from worker.training.checkpoint import prefixed, without_prefix
from worker.training.data import Sequences
from worker.training.evaluate import Tick, evaluate
from worker.training.histories import Scorer
from worker.training.metrics import ndcg
from worker.training.spec import TrainSpec
from worker.training.split import LeaveOneOut

Float32 = npt.NDArray[np.float32]

CLEAN = "test.ndcg@10"
_COMPARED = "end.1.uniform"  # the attack arms are compared by: the last item, replaced by any other
ATTACKED = f"attacks.{_COMPARED}.ndcg@10"
OVERLAP = f"attacks.{_COMPARED}.overlap"
_PREFIX = "per_user"


@dataclass(frozen=True)
class Measured:
    """Figures of one scorer.

    test, validation: metrics by name. attacks: rows as `run_attacks` gives them, on the test histories.
    per_user: float32[E] arrays under CLEAN, ATTACKED and OVERLAP (the last two only where the attack grid has
    that cell), rows in the order of the split's `eval_users`, NaN where a user takes no part.
    seconds: wall time of the measuring.
    """

    test: dict[str, float]
    validation: dict[str, float]
    attacks: list[dict[str, Any]]
    per_user: dict[str, Float32] = field(repr=False)
    seconds: float = 0.0


@dataclass(frozen=True)
class ArmResult:
    """One arm of one seed: its training, in epochs and wall seconds, and the chosen model's figures."""

    arm: str
    seed: int
    best_epoch: int
    epochs: int
    seconds: float
    stop_reason: str
    measured: Measured

    def to_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return tensors (named "per_user.…") and a JSON state, of which `from_state` makes this again."""
        tensors = {name: torch.from_numpy(values) for name, values in self.measured.per_user.items()}
        measured = {
            "test": self.measured.test,
            "validation": self.measured.validation,
            "attacks": self.measured.attacks,
            "seconds": self.measured.seconds,
        }
        state = {
            "arm": self.arm,
            "seed": self.seed,
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "stop_reason": self.stop_reason,
            "measured": measured,
        }
        return prefixed(_PREFIX, tensors), state

    @classmethod
    def from_state(cls, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> ArmResult:
        """Read back what `to_state` gave; other tensors are passed over. Raises KeyError or TypeError."""
        per_user = {name: tensor.numpy() for name, tensor in without_prefix(_PREFIX, tensors).items()}
        return cls(**{**state, "measured": Measured(**state["measured"], per_user=per_user)})


def measure(
    scorer: Scorer,
    split: LeaveOneOut,
    spec: TrainSpec,
    *,
    tick: Tick | None = None,
    attacking: Callable[[], None] | None = None,
) -> Measured:
    """Measure a scorer on validation and test targets, then under the spec's attacks on test histories.

    `attacking` is called between the two; `tick` after every pass over a block of users, with a share that
    begins anew for each of the three. Raises NonFiniteScoresError, and whatever the callbacks raise.
    """
    began = time.monotonic()
    validation = evaluate(scorer, split, "validation", exclude_seen=spec.exclude_seen, lists=False, tick=tick)
    test = evaluate(scorer, split, "test", exclude_seen=spec.exclude_seen, tick=tick)
    if attacking is not None:
        attacking()
    attacked = run_attacks(scorer, split, spec, max_length=spec.max_length, tick=tick)
    per_user = {CLEAN: ndcg(test.ranks, 10).astype(np.float32)}
    for name in ("ndcg@10", "overlap"):
        if (values := attacked.per_user.get(f"{_COMPARED}.{name}")) is not None:
            per_user[f"attacks.{_COMPARED}.{name}"] = values
    return Measured(
        test=test.metrics,
        validation=validation.metrics,
        attacks=attacked.rows,
        per_user=per_user,
        seconds=time.monotonic() - began,
    )


def dataset_facts(split: LeaveOneOut, sequences: Sequences, windows: Windows) -> dict[str, Any]:
    """Return the report's `dataset`: sizes after the spec's filters, and what split and windows leave out.

    cut_interactions: training interactions too old for any training window. tied_last_two_share: share of
    evaluation users whose two targets carry the same time, so that which is the last is a matter of the
    file's order; None where there are no times. cold_targets: test targets never seen in training, each
    counted as a miss.
    """
    return {
        "users": sequences.n_users,
        "items": sequences.n_items,
        "interactions": sequences.n_interactions,
        "eval_users": len(split.eval_users),
        "cut_interactions": windows.cut_interactions,
        "tied_last_two_share": split.tied_last_two_share,
        "cold_targets": split.cold_targets("test"),
        "cold_validation_targets": split.cold_targets("validation"),
        "content_sha256": content_hash(sequences),
    }


def content_hash(sequences: Sequences) -> str:
    """Hash what the data set says after filtering: who had which items in which order, ids included."""
    digest = hashlib.sha256()
    for ids in (sequences.user_ids, sequences.item_ids):
        digest.update(json.dumps(ids, ensure_ascii=True).encode())
    digest.update(sequences.offsets.astype("<i8").tobytes())
    digest.update(sequences.items.astype("<i4").tobytes())
    return digest.hexdigest()

"""What an experiment hands over to its report: figures of each arm and seed, and facts of the data set.

A result can be put into a checkpoint (`to_state`, `from_state`), so that a run that crashes after an arm was
measured need not measure it again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from worker.training.attacks.cells import cells_of
from worker.training.attacks.run import AttackResults, no_attacks, run_attacks
from worker.training.data.batching import Windows
from worker.training.data.sequences import Sequences
from worker.training.data.split import LeaveOneOut, Split, cold_targets, repeated_targets
from worker.training.evaluation.bootstrap import ratio, resampled_means
from worker.training.evaluation.evaluate import Tick, evaluate
from worker.training.evaluation.metrics import hit, ndcg, reciprocal_rank
from worker.training.evaluation.scorers import Scorer
from worker.training.evaluation.slices import figures_by_part, parts_of, slices_of
from worker.training.fitting.checkpoint import prefixed, without_prefix
from worker.training.progress import AttacksCutShort
from worker.training.spec import TrainSpec

Float32 = npt.NDArray[np.float32]

CLEAN = "test.ndcg@10"
_COMPARED = "end.1.uniform"  # the attack arms are compared by: the last item, replaced by any other
ATTACKED = f"attacks.{_COMPARED}.ndcg@10"
OVERLAP = f"attacks.{_COMPARED}.overlap"
_PER_USER, _RESAMPLED = "per_user", "resampled"

INTERVALS = {
    "test": ("hr@10", "ndcg@10", "mrr@10"),
    "attacks": (
        *("hr@10", "ndcg@10", "mrr@10", "clean_ndcg@10", "kept"),
        *("overlap", "jaccard", "rbo", "top1_changed", "rank_shift_mean"),
    ),
    "slices": ("ndcg@10", "attacked_ndcg@10", "overlap"),
}
"""Figures that have a bootstrap interval."""


@dataclass(frozen=True)
class Measured:
    """Figures of one scorer.

    test, validation: metrics by name. attacks: rows as `run_attacks` gives them, on the test histories.
    per_user: float32[E] arrays under CLEAN, ATTACKED and OVERLAP (the last two only where the attack grid has
    that cell), rows in the order of the split's test users, NaN where a user takes no part.
    seconds: wall time of the measuring. slices: rows of `slices_of`, "ndcg@10" clean, "attacked_ndcg@10" and
    "overlap" with the last item replaced. resampled: float32[R] bootstrap means over users of
    "test.<metric>", of every attack cell's "attacks.<position>.<count>.<replacement>.<metric>" and of every
    part's "slices.<by>.<from>.<metric>", for the metrics that INTERVALS names of each;
    `bootstrap.interval_of` makes intervals of them. attacked: whether the attacks were made; else
    their rows have nobody who takes part, and the arrays have no figure of theirs.
    """

    test: dict[str, float]
    validation: dict[str, float]
    attacks: list[dict[str, Any]]
    per_user: dict[str, Float32] = field(repr=False)
    seconds: float = 0.0
    slices: list[dict[str, Any]] = field(default_factory=list)
    resampled: dict[str, Float32] = field(default_factory=dict, repr=False)
    attacked: bool = True


@dataclass(frozen=True)
class ArmResult:
    """One arm of one seed: its training, in epochs and wall seconds, and the chosen model's figures.

    history: a row an epoch, of `Outcome`; the checkpoint that holds the figures has it beside them.
    """

    arm: str
    seed: int
    best_epoch: int
    epochs: int
    seconds: float
    stop_reason: str
    measured: Measured
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return tensors ("per_user.…", "resampled.…") and a JSON state; `from_state` makes this of them."""
        tensors: dict[str, torch.Tensor] = {}
        for prefix, arrays in ((_PER_USER, self.measured.per_user), (_RESAMPLED, self.measured.resampled)):
            tensors |= prefixed(prefix, {name: torch.from_numpy(values) for name, values in arrays.items()})
        measured = {
            "test": self.measured.test,
            "validation": self.measured.validation,
            "attacks": self.measured.attacks,
            "seconds": self.measured.seconds,
            "slices": self.measured.slices,
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
        return tensors, state

    @classmethod
    def from_state(cls, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> ArmResult:
        """Read back what `to_state` gave; other tensors are passed over. Raises KeyError or TypeError."""
        measured = Measured(
            **state["measured"], per_user=_arrays(_PER_USER, tensors), resampled=_arrays(_RESAMPLED, tensors)
        )
        return cls(**{**state, "measured": measured})


def _arrays(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, Float32]:
    return {name: tensor.numpy() for name, tensor in without_prefix(prefix, tensors).items()}


def measure(
    scorer: Scorer,
    split: Split,
    spec: TrainSpec,
    *,
    tick: Tick | None = None,
    attack_tick: Tick | None = None,
    attacking: Callable[[], None] | None = None,
) -> Measured:
    """Measure a scorer on validation and test targets, then under the spec's attacks on test histories.

    `attacking` is called between the two; `tick` after every pass over a block of users, with a share that
    begins anew for each of the three; `attack_tick` in its place for the attacks, before the first one too.
    Where it raises AttacksCutShort they are left out. While users are resampled `tick` hears 1.0. Raises
    NonFiniteScoresError, and what callbacks raise.
    """
    began = time.monotonic()
    validation = evaluate(scorer, split, "validation", exclude_seen=spec.exclude_seen, lists=False, tick=tick)
    test = evaluate(scorer, split, "test", exclude_seen=spec.exclude_seen, tick=tick)
    if attacking is not None:
        attacking()
    attacked: AttackResults | None = None
    with suppress(AttacksCutShort):  # a part would be of no use: users come by the length of their histories
        if attack_tick is not None and cells_of(spec):
            attack_tick(0.0)
        attacked = run_attacks(scorer, split, spec, max_length=spec.max_length, tick=attack_tick or tick)
    found = attacked or no_attacks(spec)
    everyone = {
        "test.hr@10": hit(test.ranks, 10).astype(np.float32),
        CLEAN: ndcg(test.ranks, 10).astype(np.float32),
        "test.mrr@10": reciprocal_rank(test.ranks, 10).astype(np.float32),
    }
    everyone |= {f"attacks.{name}": values for name, values in found.per_user.items()}
    per_user = {name: everyone[name] for name in (CLEAN, ATTACKED, OVERLAP) if name in everyone}
    figures = {
        "ndcg@10": everyone[CLEAN],
        "attacked_ndcg@10": per_user.get(ATTACKED),
        "overlap": per_user.get(OVERLAP),
    }
    parts = parts_of(split, spec.max_length)
    return Measured(
        test=test.metrics,
        validation=validation.metrics,
        attacks=found.rows,
        per_user=per_user,
        slices=slices_of(parts, figures),
        resampled=_resampled(everyone | figures_by_part(parts, figures), tick),
        seconds=time.monotonic() - began,
        attacked=attacked is not None,
    )


def _resampled(per_user: Mapping[str, Float32], tick: Tick | None) -> dict[str, Float32]:
    """Resample the users; of each cell's attacked and clean NDCG@10 comes the share kept."""
    means = resampled_means(per_user, tick=None if tick is None else lambda: tick(1.0))
    for name in [name for name in means if name.endswith(".clean_ndcg@10")]:
        cell = name.removesuffix("clean_ndcg@10")
        means[f"{cell}kept"] = ratio(means[f"{cell}ndcg@10"], means[name])
        means[f"{cell}rank_shift_mean"] = means.pop(f"{cell}rank_shift")
    return means


def dataset_facts(split: Split, sequences: Sequences, windows: Windows) -> dict[str, Any]:
    """Return the report's `dataset`: sizes after the spec's filters, and what split and windows leave out.

    cut_interactions: training interactions too old for any training window. tied_last_two_share: share of
    evaluation users whose two targets carry the same time, so that which is the last is a matter of the
    file's order; None where there are no times or the split is another. split: `Split.facts`. cold_targets:
    test targets never seen in training, each counted as a miss. repeated_targets: test targets that their
    user had before.
    """
    return {
        "users": sequences.n_users,
        "items": sequences.n_items,
        "interactions": sequences.n_interactions,
        "eval_users": len(split.users("test")),
        "split": split.facts(),
        "cut_interactions": windows.cut_interactions,
        "tied_last_two_share": split.tied_last_two_share if isinstance(split, LeaveOneOut) else None,
        "cold_targets": cold_targets(split, "test"),
        "cold_validation_targets": cold_targets(split, "validation"),
        "repeated_targets": repeated_targets(split, "test"),
        "content_sha256": content_hash(sequences, with_times=not isinstance(split, LeaveOneOut)),
    }


def content_hash(sequences: Sequences, *, with_times: bool = False) -> str:
    """Hash what the data set says after filtering: who had which items in which order, ids included.

    with_times: and when, for a split that goes by it.
    """
    digest = hashlib.sha256()
    for ids in (sequences.user_ids, sequences.item_ids):
        digest.update(json.dumps(ids, ensure_ascii=True).encode())
    digest.update(sequences.offsets.astype("<i8").tobytes())
    digest.update(sequences.items.astype("<i4").tobytes())
    if with_times and sequences.times is not None:
        digest.update(sequences.times.astype("<i8").tobytes())
    return digest.hexdigest()

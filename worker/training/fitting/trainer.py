"""Trains the arms of an experiment; every moment of it can be saved and taken up again.

Arms of one seed share their warm-up: it is trained once, kept as a `warmup` checkpoint, and each arm forks
from that (weights, optimiser and random streams), so that arms differ in nothing but their adversary. Runs
whose specs differ only in what acts after the warm-up can share one, too, given a store that both use.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import torch

from worker.training.adversary.cascade import Float32, cascade_effects, cascade_weights
from worker.training.adversary.perturbation import OFF, adversary_of
from worker.training.adversary.replacement import replacer_of
from worker.training.data.batching import BucketedBatches, Windows, cut_windows
from worker.training.data.sequences import Sequences
from worker.training.fitting.arm_run import ArmRun, StopReason
from worker.training.fitting.checkpoint import pack, prefixed, without_prefix
from worker.training.fitting.choice import Validate
from worker.training.fitting.state import TrainerState, Weights, identity_of, warmup_identity_of
from worker.training.fitting.stored import WARMUP, Stored, StoredArms
from worker.training.fitting.warm_start import WarmStart
from worker.training.losses.build import build_loss, build_sampler
from worker.training.models.build import build_model
from worker.training.progress import (
    CheckpointKind,
    CheckpointStore,
    DataError,
    Progress,
)
from worker.training.settings import Arm
from worker.training.shares import all_epochs, at_share, n_trainings, name_at
from worker.training.spec import TrainSpec

CASCADE_GUIDED: Final = ("cascade", "cascade_replacement")
"""The arms whose second pass goes by cascade weights."""


@dataclass(frozen=True)
class Outcome:
    """A finished arm. `weights` (on the CPU) and `validation` are those of `best_epoch`.

    epochs, seconds: of the whole run, the shared warm-up included. stored: its `best` checkpoint, beside
    whose weights figures may have been put since (kept_results.py). history: see TrainerState; [] for an arm
    that an earlier version finished.
    """

    arm: Arm
    seed: int
    weights: Weights
    best_epoch: int
    epochs: int
    stop_reason: StopReason
    seconds: float
    validation: dict[str, float]
    stored: Stored = field(compare=False)
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains any arm and seed of `spec` on `train`, the training sequences of the split (not the whole data).

    What `checkpoints` holds is used first: a finished arm is not trained again, an interrupted one goes on
    where it was. Payloads of kind `progress` are discarded here; `warmup` and `best` are the caller's.

    With `warm_start` every arm and seed begins with an earlier model's weights, and DataError says
    where they do not fit.

    like: the windows of data that differ from `train` in one interaction (or in none). Batches are then
    composed as those windows', and draws counted by epoch and window (draws.py), so that trainings on either
    differ in nothing else. ValueError when a user has more windows, or fewer.

    chosen_on: a digest of what `validate` measures on. Stored arms whose model was chosen on something else
    are refused by it; warm-ups are not, since nothing of them was chosen.

    saturated_users: how many users have no negative item (see `NegativeSampler`).
    """

    def __init__(
        self,
        spec: TrainSpec,
        train: Sequences,
        *,
        validate: Validate,
        progress: Progress,
        checkpoints: CheckpointStore,
        device: torch.device | str = "cpu",
        warm_start: WarmStart | None = None,
        like: Windows | None = None,
        chosen_on: str | None = None,
    ) -> None:
        self._spec = spec
        self._warm_start = warm_start
        self._n_items = train.n_items
        self._items = train.items
        self._validate = validate
        self._progress = progress
        self._checkpoints = checkpoints
        self.device = torch.device(device)
        identity = identity_of(spec, train, self.device)
        warmup_identity = warmup_identity_of(spec, train, self.device)
        if warm_start is not None:
            # Applied once now, so that weights that do not fit are refused before any data is worked on.
            warm_start.apply(build_model(spec, self._n_items))
            identity["initial"] = warmup_identity["initial"] = warm_start.identity
        self.windows = cut_windows(train, spec.max_length, spec.windows_per_user)
        if not len(self.windows):
            raise DataError(
                "no user has two interactions to train on",
                hint="Lower k_core or min_rating, or use a data set with longer histories.",
            )
        self._loss = build_loss(spec, train, self.device)
        self._sampler = build_sampler(spec, train, self.windows)
        self.saturated_users = self._sampler.saturated_users if self._sampler else 0
        self._like = like
        if like is not None:
            if not np.array_equal(like.user, self.windows.user):
                raise ValueError("the windows are not those that batches are to be composed as")
            digest = hashlib.sha256(like.lengths.tobytes()).hexdigest()
            identity["like"] = warmup_identity["like"] = digest
        if chosen_on is not None:
            identity["validation"] = chosen_on
        self._stored = StoredArms(checkpoints, progress, identity=identity, warmup_identity=warmup_identity)
        self._plain = self._batches()

    def train(self, arm: Arm, seed: int, share: float | None = None) -> Outcome:
        """Train one arm to its end, before it the warm-up if no other arm of the seed has done that yet.

        With `share` it perturbs that share of a history, whatever the spec says, under a name of its own.

        Raises Stopped when the world asks for it, OutOfTimeError when it asks to finish and nothing can be
        chosen yet, DivergedError, and CheckpointUnreadableError when stored checkpoints are of another spec,
        data set, torch or thread count, or none of them can be read.
        """
        name = name_at(arm, share)
        finished = self._stored.read("best", seed, name)
        if finished is not None:
            weights = without_prefix("model", finished.tensors)
            return Outcome(arm=arm, seed=seed, weights=weights, stored=finished, **finished.state["outcome"])
        run = self._run(arm, seed, share)
        if not self._take_up(run, "progress", name) and self._spec.warmup_epochs > 0:
            self._warm_up(seed)
            self._take_up(run, "warmup", WARMUP)
        self._progress.phase("training", arm=name, seed=seed)
        stop_reason = run.train_to(self._spec.epochs, choose=True)
        best = run.state.best
        outcome: dict[str, Any] = {
            "best_epoch": best.epoch,
            "epochs": run.state.epoch,
            "stop_reason": stop_reason,
            "seconds": run.state.seconds,
            "validation": best.validation,
            "history": run.state.history,
        }
        tensors, kept = prefixed("model", best.weights), {"identity": run.identity, "outcome": outcome}
        stored = Stored(run.save("best", pack(tensors, kept)), tensors, kept)
        self._checkpoints.discard("progress", seed, name)
        return Outcome(arm=arm, seed=seed, weights=best.weights, stored=stored, **outcome)

    def has_begun(self, arm: Arm, seed: int, share: float | None = None) -> bool:
        """Whether something of the arm itself, beyond the shared warm-up, is stored."""
        return self._stored.has_begun(name_at(arm, share), seed)

    def _warm_up(self, seed: int) -> None:
        """Train the part that all arms of the seed share, unless it is stored already."""
        if self._stored.read("warmup", seed, WARMUP) is not None:
            return
        run = self._run(WARMUP, seed)
        self._take_up(run, "progress", WARMUP)
        self._progress.phase("training", arm=WARMUP, seed=seed)
        run.train_to(self._spec.warmup_epochs, choose=False)
        run.save("warmup", run.state.pack(run.identity))
        self._checkpoints.discard("progress", seed, WARMUP)

    def _run(self, arm: Arm | Literal["warmup"], seed: int, share: float | None = None) -> ArmRun:
        """Return the arm before its first step."""
        adversary = OFF if arm == WARMUP else adversary_of(at_share(self._spec, arm, share), arm)
        name = name_at(arm, share)
        state = TrainerState.fresh(
            self._spec, self._n_items, seed, self.device, counted=self._like is not None
        )
        if self._warm_start is not None:
            self._warm_start.apply(state.model)
        return ArmRun(
            spec=self._spec,
            arm=name,
            seed=seed,
            state=state,
            adversary=adversary,
            batches=self._weighted() if arm in CASCADE_GUIDED else self._plain,
            loss=self._loss,
            sampler=self._sampler,
            replacer=replacer_of(self._spec, adversary, self._items, self._n_items),
            validate=self._validate,
            progress=self._progress,
            checkpoints=self._checkpoints,
            identity=self._stored.identity_of(name, seed),
            first_step=self._first_step(arm, seed, share),
            total_steps=all_epochs(self._spec) * self._plain.n_batches,
            device=self.device,
        )

    def _weighted(self) -> BucketedBatches:
        spec = self._spec
        effects = cascade_effects(self.windows, self._n_items, spec.kappa)
        weights = cascade_weights(self.windows, effects, spec.gamma, spec.weight_clip)
        return self._batches(weights)

    def _batches(self, weights: Float32 | None = None) -> BucketedBatches:
        lengths = self._like.lengths if self._like is not None else None
        return BucketedBatches(self.windows, self._spec.batch_size, weights, bucket_lengths=lengths)

    def _take_up(self, run: ArmRun, kind: CheckpointKind, arm: str) -> bool:
        """Put the newest readable checkpoint of that kind into the run; False when there is none."""
        stored = self._stored.read(kind, run.seed, arm)
        if stored is None:
            return False
        run.state.restore(stored.tensors, stored.state)
        if kind == "progress":
            self._progress.event(
                "resumed",
                f"arm {arm}, seed {run.seed} goes on after step {run.state.step}",
                {"arm": arm, "seed": run.seed, "epoch": run.state.epoch, "step": run.state.step},
            )
        return True

    def _first_step(self, arm: Arm | Literal["warmup"], seed: int, share: float | None) -> int:
        """Steps of the job before this arm's, less those of the warm-up that its own count contains."""
        spec = self._spec
        before = spec.seeds[: spec.seeds.index(seed)]
        epochs = all_epochs(spec.model_copy(update={"seeds": before}))
        if arm != WARMUP:
            turn = spec.arms.index(arm)
            if share is not None and n_trainings(spec, arm, seed) > 1:
                # Of a search: standard goes first, and the others take turns at each share.
                turn += spec.search_shares.index(share) * (len(spec.arms) - 1)
            epochs += turn * (spec.epochs - spec.warmup_epochs)
        return epochs * self._plain.n_batches

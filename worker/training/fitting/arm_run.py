"""One arm and seed, epoch by epoch: steps, validation, choice of the model, early stopping, checkpoints."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from worker.training.adversary.perturbation import OFF, Adversary
from worker.training.adversary.schedule import adversary_at
from worker.training.data.batching import BucketedBatches
from worker.training.data.sampling import CandidateReplacer, HistoryReplacer, NegativeSampler
from worker.training.fitting.choice import CHOSEN_BY, Validate, validate_and_choose
from worker.training.fitting.finite import DEFERRED_STEPS, FiniteGuard
from worker.training.fitting.schedule import learning_rate, set_learning_rate
from worker.training.fitting.state import TrainerState
from worker.training.fitting.step import StepInputs, training_step
from worker.training.losses.bce import RankingLoss
from worker.training.progress import (
    ENDS_TRAINING,
    CheckpointKey,
    CheckpointKind,
    CheckpointStore,
    Control,
    EpochMetrics,
    OutOfTimeError,
    Progress,
    StepProgress,
    Stopped,
)
from worker.training.seeding import derive_seed
from worker.training.spec import TrainSpec

StopReason = Literal["epochs", "patience", "max_runtime"]


class _TimeIsOver(Exception):  # noqa: N818 - not an error: the run was told to finish
    """The step that was just taken was the last."""


_NO_NEGATIVES = torch.zeros(0, dtype=torch.int64)


@dataclass
class ArmRun:
    """What one arm of one seed needs to train; `state` alone changes, and is all that a checkpoint holds.

    arm: an arm's name, or "warmup" for the part that a seed's arms share. first_step, total_steps: where the
    arm's own first step stands among all steps of the job.
    """

    spec: TrainSpec
    arm: str
    seed: int
    state: TrainerState
    adversary: Adversary
    batches: BucketedBatches
    loss: RankingLoss[Any]
    sampler: NegativeSampler | None
    replacer: HistoryReplacer | CandidateReplacer | None
    validate: Validate
    progress: Progress
    checkpoints: CheckpointStore
    identity: dict[str, Any]
    first_step: int
    total_steps: int
    device: torch.device
    _guard: FiniteGuard = field(init=False)
    _saved_at: float = field(init=False)
    _clock: float = field(init=False)

    def train_to(self, last_epoch: int, *, choose: bool) -> StopReason:
        """Train until `last_epoch` is finished, patience has run out or the time is over; say which.

        With `choose` false (the warm-up), and while ε grows, nothing is validated, chosen or stopped early:
        all arms share the first epoch that may be chosen. Raises Stopped when the world asks for it,
        OutOfTimeError when it asks to finish and there is no epoch to choose (the progress is saved),
        DivergedError when a loss or gradient is not finite.
        """
        every = DEFERRED_STEPS if self.device.type == "cuda" else 1
        self._guard = FiniteGuard(self.arm, self.seed, self.batches.n_batches, every=every)
        self._saved_at = self._clock = time.monotonic()
        state = self.state
        while state.epoch < last_epoch:
            if state.best.validations_since >= self.spec.patience:
                self._announce_early_stop()
                return "patience"
            began = time.monotonic()
            try:
                self._train_epoch()
            except _TimeIsOver:
                return self._end_with_the_best()
            self._guard.read()
            epoch = state.epoch + 1
            validation = None
            may_choose = choose and epoch > self.spec.whole_epsilon_after
            if may_choose and (epoch % self.spec.validate_every == 0 or epoch == last_epoch):
                validation = validate_and_choose(state, self.validate, epoch, min_epochs=self.spec.min_epochs)
            self._report(epoch, validation, time.monotonic() - began)
            state.epoch, state.cursor = epoch, 0
            state.sums.zero_()
            if self.spec.checkpoint_minutes == 0 or self._checkpoint_is_due():
                self._save_progress()
        self._tick()
        return "epochs"

    def save(self, kind: CheckpointKind, payload: bytes) -> CheckpointKey:
        """Store a payload under this arm's key, which is returned, and say so."""
        key = CheckpointKey(kind, self.seed, self.arm, self.state.epoch, self.state.step)
        self.checkpoints.save(key, payload)
        self._saved_at = time.monotonic()
        self.progress.event(
            "checkpoint_saved",
            f"{kind} checkpoint of arm {self.arm}, seed {self.seed}, after step {self.state.step}",
            {"kind": kind, "arm": self.arm, "seed": self.seed, "epoch": key.epoch, "step": key.step},
        )
        return key

    def _train_epoch(self) -> None:
        """Take the epoch's remaining steps; their order is a function of (seed, epoch)."""
        state, spec = self.state, self.spec
        precision = torch.autocast(self.device.type, torch.bfloat16) if spec.precision == "bfloat16" else None
        state.model.train()
        order = self.batches.epoch(derive_seed(self.seed, "batch order"), state.epoch + 1)
        began, done = time.monotonic(), 0
        for indices in order[state.cursor :]:
            batch = self.batches.load(indices)
            state.begin_step(indices)
            negatives = self.sampler.draw(batch, state.negatives) if self.sampler else _NO_NEGATIVES
            adversary = adversary_at(self.adversary, spec, self.batches.n_batches, state.step + 1)
            replacer = self.replacer if adversary.draws_items else None
            replaced = replacer.draw(batch, state.replacements) if replacer else None
            inputs = StepInputs.of(batch, negatives, self.device, replaced)
            set_learning_rate(state.optimiser, learning_rate(spec, self.batches.n_batches, state.step + 1))
            losses = training_step(
                state.model,
                state.optimiser,
                inputs,
                adversary,
                streams=state.streams,
                guard=self._guard,
                step=state.step + 1,
                loss=self.loss,
                clip_norm=spec.clip_norm,
                precision=precision,
            )
            n_targets = len(inputs.real_N)
            state.sums[:3] += losses.double() * n_targets
            state.sums[3] += n_targets
            state.sums[4] += 0 if adversary is OFF else n_targets
            state.step += 1
            state.cursor += 1
            done += n_targets
            self._obey(self._ask(done / max(time.monotonic() - began, 1e-9)))

    def _ask(self, targets_per_second: float) -> Control:
        state = self.state
        step = self.first_step + state.step
        return self.progress.step(
            StepProgress(
                arm=self.arm,
                seed=self.seed,
                epoch=state.epoch,
                epochs=self.spec.epochs,
                step=step,
                total_steps=self.total_steps,
                fraction=step / self.total_steps,
                targets_per_second=targets_per_second,
            )
        )

    def _obey(self, control: Control) -> None:
        if control is Control.STOP:
            raise Stopped(saved=False)
        if control is Control.SAVE_AND_STOP:
            self._save_progress()
            raise Stopped(saved=True)
        if control in ENDS_TRAINING:
            raise _TimeIsOver
        if self.spec.checkpoint_minutes > 0 and self._checkpoint_is_due():
            self._save_progress()

    def _checkpoint_is_due(self) -> bool:
        minutes = self.spec.checkpoint_minutes
        return minutes > 0 and time.monotonic() - self._saved_at >= minutes * 60

    def _save_progress(self) -> None:
        # A step that was masked out on the device must not be saved as if it had been taken.
        self._guard.read()
        self._tick()
        self.save("progress", self.state.pack(self.identity))

    def _tick(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now

    def _report(self, epoch: int, validation: dict[str, float] | None, seconds: float) -> None:
        rank, match, history, targets, perturbed = self.state.sums.tolist()
        losses = {
            "loss": rank / targets,
            "loss_match": match / perturbed if self.adversary.matches and perturbed else None,
            "loss_history": history / perturbed if self.adversary.rewrites_history and perturbed else None,
        }
        ndcg = validation[CHOSEN_BY] if validation else None
        self.state.history.append({"epoch": epoch, **losses, CHOSEN_BY: ndcg})
        self.progress.epoch(
            EpochMetrics(
                arm=self.arm,
                seed=self.seed,
                epoch=epoch,
                loss=rank / targets,
                loss_match=losses["loss_match"],
                loss_history=losses["loss_history"],
                validation=validation,
                seconds=seconds,
            )
        )

    def _end_with_the_best(self) -> StopReason:
        best, epoch = self.state.best, self.state.epoch
        if best.epoch == 0:
            self._save_progress()
            raise OutOfTimeError(f"arm {self.arm}, seed {self.seed} has no validated epoch to choose")
        self._tick()
        self.progress.event(
            "ended_early",
            f"arm {self.arm}, seed {self.seed} was ended after epoch {epoch} of {self.spec.epochs}: its time "
            f"is over, and epoch {best.epoch} is the best so far",
            {"arm": self.arm, "seed": self.seed, "epoch": epoch, "best_epoch": best.epoch},
        )
        return "max_runtime"

    def _announce_early_stop(self) -> None:
        best = self.state.best
        self._tick()
        self.progress.event(
            "early_stopped",
            f"arm {self.arm}, seed {self.seed} stopped after epoch {self.state.epoch}: no better validation "
            f"{CHOSEN_BY} than {best.ndcg:.4f} of epoch {best.epoch} in {best.validations_since} validations",
            {"arm": self.arm, "seed": self.seed, "epoch": self.state.epoch, "best_epoch": best.epoch},
        )

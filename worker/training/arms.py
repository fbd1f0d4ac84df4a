"""The arms of a job, seed by seed: each trained, or read back, and measured clean and under attack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from worker.training.data.split import Split
from worker.training.evaluation.evaluate import weights_scorer
from worker.training.fitting.stored import WARMUP
from worker.training.fitting.trainer import Outcome, Trainer
from worker.training.heard import Heard
from worker.training.progress import CheckpointStore, OutOfTimeError
from worker.training.reporting.cut_short import NotRun
from worker.training.reporting.kept_results import keep_result, read_result
from worker.training.reporting.results import ArmResult, measure
from worker.training.search import ShareSearch
from worker.training.settings import Arm
from worker.training.shares import names_of
from worker.training.spec import TrainSpec


@dataclass(frozen=True)
class TrainedArms:
    """The arms and seeds that there was time for, in order, with their figures.

    not_run: those that there was not. shares: of the arms whose share was searched, what was found; search:
    how, as the report has it.
    """

    outcomes: list[Outcome]
    results: list[ArmResult]
    not_run: list[NotRun]
    shares: dict[Arm, float]
    search: dict[str, Any] | None


def train_arms(
    trainer: Trainer,
    spec: TrainSpec,
    split: Split,
    *,
    heard: Heard,
    checkpoints: CheckpointStore,
    content: str,
) -> TrainedArms:
    """Train and measure arm by arm; an arm's share is searched before its first seed, where it is to be.

    content: of `content_hash`, to which kept figures belong. Raises OutOfTimeError when all were left out.
    """
    outcomes: list[Outcome] = []
    results: list[ArmResult] = []
    not_run: list[NotRun] = []
    search = ShareSearch(trainer, spec, split, heard=heard, checkpoints=checkpoints, content=content)
    # Seed by seed, so that a seed's arms fork from one warm-up.
    for seed in spec.seeds:
        for arm in spec.arms:
            try:
                share = search.share_of(arm)
                if heard.finishing and not trainer.has_begun(arm, seed, share):
                    raise OutOfTimeError(f"arm {arm}, seed {seed} was not begun")
                outcomes.append(trainer.train(arm, seed, share))
            except OutOfTimeError:
                not_run.append((arm, seed))
                continue
            result = read_result(outcomes[-1].stored, content)
            if result is None:
                result = _measure_arm(outcomes[-1], spec, split, heard, trainer.device)
                if result.measured.attacked:  # else a run that is given more time makes the attacks
                    keep_result(checkpoints, outcomes[-1].stored, result, content)
            results.append(replace(result, history=outcomes[-1].history))
            if share is None or seed != spec.seeds[0]:  # else the search has counted it
                heard.trained_one(seed)
        if not not_run:
            checkpoints.discard("warmup", seed, WARMUP)
    if not results:  # what was saved stays, for a run that is given more time
        raise OutOfTimeError("The time was over before any arm had an epoch to choose a model from.")
    for arm, seed in not_run:
        for name in names_of(spec, arm):
            checkpoints.discard("progress", seed, name)
        checkpoints.discard("progress", seed, WARMUP)
        checkpoints.discard("warmup", seed, WARMUP)
    search.discard_unfinished()
    return TrainedArms(outcomes, results, not_run, search.chosen, search.found())


def _measure_arm(
    outcome: Outcome, spec: TrainSpec, split: Split, heard: Heard, device: torch.device
) -> ArmResult:
    """Measure a chosen model on validation and test targets, clean and under attack."""
    heard.phase("evaluating", arm=outcome.arm, seed=outcome.seed)
    measured = measure(
        weights_scorer(spec, outcome.weights, split.n_items, device),
        split,
        spec,
        tick=heard.between,
        attack_tick=heard.attacking,
        attacking=lambda: heard.phase("attacking", arm=outcome.arm, seed=outcome.seed),
    )
    return ArmResult(
        arm=outcome.arm,
        seed=outcome.seed,
        best_epoch=outcome.best_epoch,
        epochs=outcome.epochs,
        seconds=outcome.seconds,
        stop_reason=outcome.stop_reason,
        measured=measured,
    )

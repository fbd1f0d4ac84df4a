"""A whole job: every arm and seed trained on one split, measured clean and under attack, reported and packed.

Taken up again on the same checkpoints it goes on where it was: finished arms are read back with their
figures, the one that was interrupted continues, and one whose measuring was interrupted is measured anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import torch

from worker.training.data.sequences import build_sequences
from worker.training.data.split import Split
from worker.training.data.temporal import split_of
from worker.training.evaluation.baselines import Markov, Popularity
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.fitting.trainer import WARMUP, Outcome, Trainer
from worker.training.fitting.warm_start import InitialModel, WarmStart
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import (
    CheckpointStore,
    Control,
    EpochMetrics,
    Phase,
    Progress,
    StepProgress,
    Stopped,
)
from worker.training.reporting.cascade_facts import cascade_facts
from worker.training.reporting.kept_results import keep_result, read_result
from worker.training.reporting.manifest import MANIFEST_FILE, check_data
from worker.training.reporting.package import model_files
from worker.training.reporting.report import build_report
from worker.training.reporting.results import ArmResult, dataset_facts, measure
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec


@dataclass(frozen=True)
class TrainedModel:
    """One arm and seed, ready to be stored: its files by path, and its figures, clean and attacked."""

    arm: str
    seed: int
    metrics: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class ExperimentResult:
    """What a job leaves behind: the report, the manifest, and a model for each arm and seed.

    documents: what there is to read, by path (see reporting/documents.py).
    """

    report: dict[str, Any]
    manifest: dict[str, Any]
    documents: dict[str, bytes]
    models: list[TrainedModel]

    @property
    def report_markdown(self) -> str:
        """The report as Markdown."""
        return self.documents["report.md"].decode()


def run_experiment(
    spec: TrainSpec,
    interactions: pl.DataFrame,
    *,
    progress: Progress,
    checkpoints: CheckpointStore,
    runtime: Runtime,
    expected: Mapping[str, Any] | None = None,
    initial: InitialModel | None = None,
) -> ExperimentResult:
    """Train, evaluate, attack and pack every arm and seed of `spec`.

    `interactions` is a canonical frame (`read_interactions`): user, item, perhaps timestamp and rating, in
    time order. Test targets are met only after an arm's model was chosen on validation. Raises Stopped when
    the world asks for it, and TrainingError (DataError, DivergedError, CheckpointUnreadableError, …).
    `expected` is the `data` of a manifest: other data are a DataError before anything is trained. `initial`
    is the model that `spec.init_from` names; DataError when it does not fit, ValueError for one without the
    other.
    """
    if (spec.init_from is None) != (initial is None):
        raise ValueError("spec.init_from and the initial model belong together")
    device = runtime.prepare()
    heard = _Heard(progress, spec)
    heard.phase("preparing")
    sequences = build_sequences(interactions, min_rating=spec.min_rating, k_core=spec.k_core)
    split = split_of(sequences, spec)

    def validate(model: SequenceModel) -> dict[str, float]:
        scorer = model_scorer(model, spec.max_length, device)
        seen = spec.exclude_seen
        return evaluate(scorer, split, "validation", exclude_seen=seen, lists=False, tick=heard.beat).metrics

    warm_start = WarmStart(initial, spec, sequences.item_ids) if initial is not None else None
    trainer = Trainer(
        spec,
        split.train,
        validate=validate,
        progress=heard,
        checkpoints=checkpoints,
        device=device,
        warm_start=warm_start,
    )
    heard.note_warm_start(warm_start)
    facts = dataset_facts(split, sequences, trainer.windows)
    if expected is not None:
        check_data(expected, facts)
    heard.note_saturation(trainer.saturated_users)
    content = facts["content_sha256"]
    outcomes: list[Outcome] = []
    results: list[ArmResult] = []
    # Seed by seed, so that a seed's arms fork from one warm-up.
    for seed in spec.seeds:
        for arm in spec.arms:
            outcomes.append(trainer.train(arm, seed))
            result = read_result(checkpoints, arm, seed, content)
            if result is None:
                result = _measure_arm(outcomes[-1], spec, split, heard, device)
                keep_result(checkpoints, result, content)
            results.append(replace(result, history=outcomes[-1].history))
            heard.reached(len(results) / (len(spec.seeds) * len(spec.arms)))
        checkpoints.discard("warmup", seed, WARMUP)
    heard.phase("attacking", arm="baselines")
    baselines = {
        name: measure(scorer, split, spec, tick=heard.between)
        for name, scorer in (("popularity", Popularity(split)), ("markov", Markov(split)))
    }
    heard.phase("packaging")
    report = build_report(
        spec,
        facts,
        results,
        baselines,
        cascade=cascade_facts(trainer.windows, sequences.item_ids, spec),
        environment=runtime.environment(device),
        warm_start=warm_start.facts if warm_start is not None else None,
    )
    for warning in report["warnings"]:
        heard.event(warning["code"], warning["message"], {"arm": warning["arm"]})
    models = [
        TrainedModel(
            arm=result.arm,
            seed=result.seed,
            metrics={
                "validation": result.measured.validation,
                "test": result.measured.test,
                "attacks": result.measured.attacks,
            },
            files=model_files(
                spec, outcome.weights, sequences.item_ids, arm=result.arm, seed=result.seed, report=report
            ),
        )
        for outcome, result in zip(outcomes, results, strict=True)
    ]
    # Half a second of imports, which a run should not wait for before its first step.
    from worker.training.reporting.documents import write_documents  # noqa: PLC0415

    by_arm = {(model.arm, model.seed): model.files for model in models}
    written = write_documents(spec, split, sequences.item_ids, report=report, models=by_arm)
    for model in models:
        model.files[MANIFEST_FILE] = written.files[MANIFEST_FILE]
    return ExperimentResult(report, written.manifest, written.files, models)


def _measure_arm(
    outcome: Outcome, spec: TrainSpec, split: Split, heard: _Heard, device: torch.device
) -> ArmResult:
    """Measure a chosen model on validation and test targets, clean and under attack."""
    heard.phase("evaluating", arm=outcome.arm, seed=outcome.seed)
    model = build_model(spec, split.n_items)
    model.load_state_dict(outcome.weights)
    measured = measure(
        model_scorer(model.to(device), spec.max_length, device),
        split,
        spec,
        tick=heard.between,
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


class _Heard:
    """A Progress that passes everything on, and lets evaluation ask what a training step asks: go on?"""

    def __init__(self, progress: Progress, spec: TrainSpec) -> None:
        self._progress = progress
        self._last = StepProgress("", spec.seed, 0, spec.epochs, 0, 0, 0.0, 0.0)

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        self._progress.phase(phase, arm=arm, seed=seed)

    def step(self, at: StepProgress) -> Control:
        self._last = at
        return self._progress.step(at)

    def epoch(self, metrics: EpochMetrics) -> None:
        self._progress.epoch(metrics)

    def event(self, type: str, message: str, data: dict[str, Any] | None = None) -> None:
        self._progress.event(type, message, data)

    def note_saturation(self, users: int) -> None:
        """Say that some users have no negative item, if there are any."""
        if users:
            self.event(
                "saturated_users",
                f"{users:,} user{'s have' if users > 1 else ' has'} every item of the catalogue in training: "
                "their negatives are drawn from all items, seen or not",
                {"users": users},
            )

    def note_warm_start(self, start: WarmStart | None) -> None:
        """Say from which model training starts and how well the items agree."""
        if start is not None:
            known, new, dropped = (start.facts[f"items_{name}"] for name in ("known", "new", "dropped"))
            self.event(
                "warm_start",
                f"starting from {start.initial.name}: {known:,} items known to it, {new:,} new, "
                f"{dropped:,} that only it knew dropped",
                start.facts,
            )

    def reached(self, share: float) -> None:
        """An arm has its figures: the job is at least so far, even if all of it was read back."""
        self._last = replace(self._last, fraction=max(self._last.fraction, share))

    def beat(self, share: float) -> None:
        """In the middle of an arm: show that it moves. A stop is obeyed at the arm's next step."""
        self._progress.step(self._last)

    def between(self, share: float) -> None:
        """Between arms, where all that was trained is stored: show that it moves, and obey a stop at once."""
        control = self._progress.step(self._last)
        if control is not Control.CONTINUE:
            raise Stopped(saved=True)

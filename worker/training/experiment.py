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
from worker.training.evaluation.outcomes import OUTCOMES_FILE, pack_outcomes
from worker.training.fitting.trainer import WARMUP, Outcome, Trainer
from worker.training.fitting.warm_start import InitialModel, WarmStart
from worker.training.models.base import SequenceModel
from worker.training.models.build import build_model
from worker.training.progress import (
    CheckpointStore,
    Control,
    EpochMetrics,
    OutOfTimeError,
    Phase,
    Progress,
    StepProgress,
    Stopped,
)
from worker.training.reporting.cascade_facts import cascade_facts
from worker.training.reporting.cut_short import NotRun, cut_short_warnings
from worker.training.reporting.kept_results import keep_result, read_result
from worker.training.reporting.manifest import MANIFEST_FILE, check_data
from worker.training.reporting.package import model_files
from worker.training.reporting.report import build_report
from worker.training.reporting.results import ArmResult, dataset_facts, measure
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec
from worker.training.stability.apart import Part
from worker.training.stability.run import Stability, share_of_job


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

    documents: what there is to read, by path (see reporting/documents.py). stop_reason: "max_runtime" when
    an arm was ended early or left out because the time was over, else None.
    """

    report: dict[str, Any]
    manifest: dict[str, Any]
    documents: dict[str, bytes]
    models: list[TrainedModel]
    stop_reason: str | None = None

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
    the world asks for it, and TrainingError (DataError, DivergedError, CheckpointUnreadableError, …). Asked
    to finish, it ends the arm in training with its best epoch so far, leaves out those not begun, and
    measures what there is; OutOfTimeError when that is nothing.
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
        progress=Part(heard, 0.0, heard.share),
        checkpoints=checkpoints,
        device=device,
        warm_start=warm_start,
    )
    heard.note_warm_start(warm_start)
    facts = dataset_facts(split, sequences, trainer.windows)
    if expected is not None:
        check_data(expected, facts)
    heard.note_saturation(trainer.saturated_users)
    outcomes, results, not_run = _train_arms(
        trainer, spec, split, heard=heard, checkpoints=checkpoints, content=facts["content_sha256"]
    )
    heard.phase("attacking", arm="baselines")
    baselines = {
        name: measure(scorer, split, spec, tick=heard.between)
        for name, scorer in (("popularity", Popularity(split)), ("markov", Markov(split)))
    }
    stability = None
    if spec.stability_changes:
        stability = Stability(
            spec,
            split,
            validate=validate,
            progress=Part(heard, heard.share, 1.0),
            checkpoints=checkpoints,
            tick=heard.between,
            content=facts["content_sha256"],
            device=device,
            warm_start=warm_start,
        ).run()
        heard.reached(1.0 / heard.share)
    heard.phase("packaging")
    report = build_report(
        spec,
        facts,
        results,
        baselines,
        cascade=cascade_facts(trainer.windows, sequences.item_ids, spec),
        environment=runtime.environment(device),
        warm_start=warm_start.facts if warm_start is not None else None,
        stability=stability,
        warnings=cut_short_warnings(results, not_run, spec.epochs),
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
    written.files[OUTCOMES_FILE] = pack_outcomes(
        (sequences.user_ids[user] for user in split.users("test")),
        {(result.arm, result.seed): result.measured.per_user for result in results},
    )
    unfinished = stability is not None and not stability["complete"]
    cut = not_run or unfinished or any(result.stop_reason == "max_runtime" for result in results)
    stop_reason = "max_runtime" if cut else None
    return ExperimentResult(report, written.manifest, written.files, models, stop_reason)


def _train_arms(
    trainer: Trainer,
    spec: TrainSpec,
    split: Split,
    *,
    heard: _Heard,
    checkpoints: CheckpointStore,
    content: str,
) -> tuple[list[Outcome], list[ArmResult], list[NotRun]]:
    """Train and measure arm by arm; say too which were left out because the time was over.

    content: of `content_hash`, to which kept figures belong. Raises OutOfTimeError when all were left out.
    """
    outcomes: list[Outcome] = []
    results: list[ArmResult] = []
    not_run: list[NotRun] = []
    # Seed by seed, so that a seed's arms fork from one warm-up.
    for seed in spec.seeds:
        for arm in spec.arms:
            try:
                if heard.finishing and not trainer.has_begun(arm, seed):
                    raise OutOfTimeError(f"arm {arm}, seed {seed} was not begun")
                outcomes.append(trainer.train(arm, seed))
            except OutOfTimeError:
                not_run.append((arm, seed))
                continue
            result = read_result(checkpoints, arm, seed, content)
            if result is None:
                result = _measure_arm(outcomes[-1], spec, split, heard, trainer.device)
                keep_result(checkpoints, result, content)
            results.append(replace(result, history=outcomes[-1].history))
            heard.reached(len(results) / (len(spec.seeds) * len(spec.arms)))
        if not not_run:
            checkpoints.discard("warmup", seed, WARMUP)
    if not results:  # what was saved stays, for a run that is given more time
        raise OutOfTimeError("The time was over before any arm had an epoch to choose a model from.")
    for arm, seed in not_run:
        checkpoints.discard("progress", seed, arm)
        checkpoints.discard("progress", seed, WARMUP)
        checkpoints.discard("warmup", seed, WARMUP)
    return outcomes, results, not_run


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
        self.share = share_of_job(spec)
        """What of the job is training the arms; the rest trains them again."""
        self.finishing = False
        """Whether the world has asked to train no more."""

    def phase(self, phase: Phase, *, arm: str | None = None, seed: int | None = None) -> None:
        self._progress.phase(phase, arm=arm, seed=seed)

    def step(self, at: StepProgress) -> Control:
        self._last = at
        control = self._progress.step(at)
        self.finishing |= control is Control.FINISH
        return control

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
        """This share of the arms has figures: the job is at least so far, even if all was read back."""
        self._last = replace(self._last, fraction=max(self._last.fraction, min(1.0, share * self.share)))

    def beat(self, share: float) -> None:
        """In the middle of an arm: show that it moves. A stop is obeyed at the arm's next step."""
        self.step(self._last)

    def between(self, share: float) -> None:
        """Between arms, where all that was trained is stored: show that it moves, and obey a stop at once.

        What is being measured is what a run that is to finish is left with, so that it goes on.
        """
        if self.step(self._last) in (Control.STOP, Control.SAVE_AND_STOP):
            raise Stopped(saved=True)

"""A whole job: every arm and seed trained on one split, measured clean and under attack, reported and packed.

Taken up again on the same checkpoints it goes on where it was: finished arms are read back with their
figures, the one that was interrupted continues, and one whose measuring was interrupted is measured anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from worker.training.arms import train_arms
from worker.training.data.sequences import build_sequences
from worker.training.data.split import digest_of
from worker.training.data.temporal import split_of
from worker.training.evaluation.baselines import Markov, Popularity
from worker.training.evaluation.evaluate import evaluate, model_scorer
from worker.training.evaluation.outcomes import pack_outcomes
from worker.training.fitting.trainer import Trainer
from worker.training.fitting.warm_start import InitialModel, WarmStart
from worker.training.heard import Heard
from worker.training.models.base import SequenceModel
from worker.training.progress import CheckpointStore, Progress
from worker.training.reporting.cascade_facts import cascade_facts
from worker.training.reporting.cut_short import cut_short_warnings
from worker.training.reporting.doubts import epochs_limit_warnings, warm_start_warnings
from worker.training.reporting.manifest import MANIFEST_FILE, check_data
from worker.training.reporting.package import model_files
from worker.training.reporting.report import build_report, protocol_hash, protocol_of
from worker.training.reporting.results import dataset_facts, measure
from worker.training.reporting.search import search_warnings
from worker.training.reporting.unperturbed import unperturbed_warnings
from worker.training.runtime import Runtime
from worker.training.shares import at_share
from worker.training.spec import TrainSpec
from worker.training.stability.apart import Part
from worker.training.stability.run import Stability

if TYPE_CHECKING:
    from worker.training.reporting.documents import Documents


@dataclass(frozen=True)
class TrainedModel:
    """One arm and seed: its files by path, without the manifest, and its figures, clean and attacked."""

    arm: str
    seed: int
    metrics: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class ExperimentResult:
    """What a job leaves behind: the report, a model for each arm and seed, and what there is to read of them.

    stop_reason: "max_runtime" when an arm was ended early or left out, or attacks on one were, because the
    time was over; else None. write: draws and renders; called when the first document is asked for.
    """

    report: dict[str, Any]
    models: list[TrainedModel]
    stop_reason: str | None
    write: Callable[[], Documents]

    @cached_property
    def _written(self) -> Documents:
        return self.write()

    @property
    def documents(self) -> dict[str, bytes]:
        """What there is to read, by path (see reporting/documents.py)."""
        return self._written.files

    @property
    def manifest(self) -> dict[str, Any]:
        """What was run on what, and the digests of all that came of it."""
        return self._written.manifest

    @property
    def report_markdown(self) -> str:
        """The report as Markdown."""
        return self.documents["report.md"].decode()

    def files_of(self, model: TrainedModel) -> dict[str, bytes]:
        """Return all of a model's files by path, ready to be stored: its own, and the job's manifest."""
        return {**model.files, MANIFEST_FILE: self.documents[MANIFEST_FILE]}


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
    measures what there is; OutOfTimeError when that is nothing. Asked to conclude, it leaves out attacks too.
    `expected` is the `data` of a manifest: other data, or other weights to start from, are a DataError before
    anything is trained. `initial` is the model that `spec.init_from` names; DataError when it does not fit,
    ValueError for one without the other.
    """
    if (spec.init_from is None) != (initial is None):
        raise ValueError("spec.init_from and the initial model belong together")
    device = runtime.prepare()
    heard = Heard(progress, spec)
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
        chosen_on=digest_of(split, "validation"),
    )
    heard.note_warm_start(warm_start)
    facts = dataset_facts(split, sequences, trainer.windows)
    if expected is not None:
        check_data(expected, facts, warm_start.identity if warm_start is not None else None)
    heard.note_saturation(trainer.saturated_users)
    arms = train_arms(
        trainer, spec, split, heard=heard, checkpoints=checkpoints, content=facts["content_sha256"]
    )
    results = arms.results
    heard.phase("attacking", arm="baselines")
    baselines = {
        name: measure(scorer, split, spec, tick=heard.between, attack_tick=heard.attacking)
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
            shares=arms.shares,
        ).run()
        heard.reached(1.0 / heard.share)
    heard.phase("packaging")
    started = []
    if warm_start is not None:
        own = protocol_hash(protocol_of(spec), facts["content_sha256"])
        same = warm_start.protocol_hash == own
        started = warm_start_warnings(spec.arms, warm_start.facts, same_training=same)
    cut_short = cut_short_warnings(results, arms.not_run, spec.epochs, baselines)
    report = build_report(
        spec,
        facts,
        results,
        baselines,
        cascade=cascade_facts(trainer.windows, sequences.item_ids, spec),
        environment=runtime.environment(device),
        warm_start=warm_start.facts if warm_start is not None else None,
        stability=stability,
        search=arms.search,
        warnings=[
            *cut_short,
            *epochs_limit_warnings(results, spec),
            *unperturbed_warnings(results, spec),
            *search_warnings(arms.search),
            *started,
        ],
        tick=lambda: heard.between(1.0),
    )
    for warning in report["warnings"]:
        about = {name: warning[name] for name in ("arm", "seed") if name in warning}
        heard.event(warning["code"], warning["message"], about)
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
                at_share(spec, outcome.arm, arms.shares.get(outcome.arm)),
                outcome.weights,
                sequences.item_ids,
                arm=result.arm,
                seed=result.seed,
                report=report,
            ),
        )
        for outcome, result in zip(arms.outcomes, results, strict=True)
    ]

    def write() -> Documents:
        # Half a second of imports, which a run should not wait for before its first step.
        from worker.training.reporting.documents import write_documents  # noqa: PLC0415

        outcomes_of_users = pack_outcomes(
            (sequences.user_ids[user] for user in split.users("test")),
            {(result.arm, result.seed): result.measured.per_user for result in results},
        )
        by_arm = {(model.arm, model.seed): model.files for model in models}
        return write_documents(
            spec, split, sequences.item_ids, report=report, models=by_arm, outcomes=outcomes_of_users
        )

    unfinished = stability is not None and not stability["complete"]
    unsearched = arms.search is not None and not arms.search["complete"]
    stop_reason = "max_runtime" if cut_short or unfinished or unsearched else None
    return ExperimentResult(report, models, stop_reason, write)

"""From a claimed evaluation to its stored report: load, measure, store. Runs in the measuring process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.evaluations.life import EvaluationClaim, Inputs, inputs, show, succeed
from worker.blob_files import read_interactions, read_model_files
from worker.durably import durably
from worker.job_checkpoints import CHECKPOINT_TYPE
from worker.resources import Resources
from worker.training.portable import MODEL_FILES
from worker.training.progress import Control, Phase, Stopped, TrainingError
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec
from worker.training.stored_model import Trained, evaluate_stored

_WRITE_SECONDS = 0.5
_MEASURINGS = 9
"""Shares that begin anew: validation, test and attacks of the model and of two baselines."""


class DatasetGoneError(TrainingError):
    """The data set has been deleted."""

    code = "dataset_gone"
    hint = "Upload it again, then ask again."


class ModelGoneError(TrainingError):
    """The model has been deleted."""

    code = "model_gone"
    hint = "Ask for another model."


def run_evaluation(
    claimed: EvaluationClaim,
    *,
    resources: Resources,
    folder: Path,
    beat: Callable[[], None],
    control: Callable[[], Control],
) -> None:
    """Make the attempt, from its data to `succeeded`. Raises LeaseLost, Stopped and TrainingError."""
    settings = resources.settings
    found = durably(resources.database, lambda session: inputs(session, claimed))
    interactions, files = _needed(resources, found, folder, beat)
    progress = _Progress(resources, claimed, beat, control)
    trained = None
    if found.trained_interactions is not None and found.trained_spec is not None:
        own = found.trained_interactions == found.interactions
        log = interactions
        if not own:
            log = read_interactions(
                resources.blobs, found.trained_interactions, folder / "trained", beat=beat
            )
        trained = Trained(log, TrainSpec.model_validate({**found.trained_spec, "init_from": None}))
    same = found.model_facts["trained_on"]["sha256"] == found.dataset_facts["sha256"]
    result = evaluate_stored(
        files,
        TrainSpec.model_validate(found.spec),
        interactions,
        model={**found.model_facts, "trained_on_this": same},
        trained=trained,
        runtime=Runtime(device=settings.device, threads=settings.threads),
        phase=progress.phase,
        tick=progress.tick,
    )

    def finish(session: Session) -> None:
        # The bytes are written on their own connections before the row is locked.
        blob = resources.blobs.put(session, result.outcomes, CHECKPOINT_TYPE)
        report, markdown = result.report, result.markdown
        if not succeed(session, claimed, report=report, markdown=markdown, outcomes=blob.id):
            raise Stopped(saved=False)  # what was written goes with the transaction, and its bytes are swept

    durably(resources.database, finish)


class _Progress:
    """Shows how far it is, at most twice a second, and ends it when that is wanted."""

    def __init__(
        self,
        resources: Resources,
        claimed: EvaluationClaim,
        beat: Callable[[], None],
        control: Callable[[], Control],
    ) -> None:
        self._resources, self._claimed, self._beat, self._control = resources, claimed, beat, control
        self._phase: Phase = "preparing"
        self._done, self._last, self._written_at = 0, 0.0, 0.0

    def phase(self, phase: Phase) -> None:
        """Show the phase."""
        self._phase = phase
        self._written_at = 0.0
        self._show(self._done / _MEASURINGS)

    def tick(self, share: float) -> None:
        """Show the share of one measuring that is done; Stopped when that is wanted."""
        if share <= self._last:
            self._done = min(self._done + 1, _MEASURINGS - 1)
        self._last = share
        self._show((self._done + share) / _MEASURINGS)

    def _show(self, fraction: float) -> None:
        self._beat()
        if self._control() is not Control.CONTINUE:
            raise Stopped(saved=False)
        now = time.monotonic()
        if now - self._written_at < _WRITE_SECONDS:
            return
        self._written_at = now
        try:
            with self._resources.database.unit_of_work() as session:
                show(session, self._claimed, phase=self._phase, progress=min(fraction, 1.0))
        except OperationalError:  # the next one shows more than this one would have
            return


def _needed(
    resources: Resources, found: Inputs, folder: Path, beat: Callable[[], None]
) -> tuple[pl.DataFrame, dict[str, bytes]]:
    if found.interactions is None:
        raise DatasetGoneError("The data set was deleted.")
    if not set(MODEL_FILES) <= found.files.keys():
        raise ModelGoneError("The model was deleted.")
    files = read_model_files(resources.blobs, found.files)
    return read_interactions(resources.blobs, found.interactions, folder / "interactions", beat=beat), files

"""Jobs that really were trained, small and in the test's own process, with all that they leave behind."""

from __future__ import annotations

import io
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import select

from app.db.models.dataset import Dataset
from app.db.models.model import Model
from app.evaluations.life import EvaluationClaim
from app.evaluations.life import claim as claim_evaluation
from app.jobs.claims import claim
from tests.factories import make_job, make_ready_dataset
from worker.evaluation_run import run_evaluation
from worker.resources import Resources
from worker.training.experiment import ExperimentResult, run_experiment
from worker.training.progress import Control, MemoryCheckpoints, SilentProgress
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec
from worker.training_run import store

TINY: dict[str, Any] = {
    "arms": ("standard", "cascade"),
    "max_length": 6,
    "hidden_size": 8,
    "blocks": 1,
    "dropout": 0.1,
    "epochs": 3,
    "warmup_epochs": 1,
    "min_epochs": 0,
    "attack_positions": ("end",),
    "attack_counts": (1,),
    "attack_replacements": ("uniform",),
    "attack_repeats": 1,
}


def log_of(users: int, *, items: int = 12, prefix: str = "i") -> pl.DataFrame:
    """A canonical frame: each user walks on from another item."""
    rows = [
        (f"u{user}", f"{prefix}{(user * 5 + step * (1 + user % 3)) % items}")
        for user in range(users)
        for step in range(4 + user % 4)
    ]
    return pl.DataFrame(rows, schema=["user", "item"], orient="row")


def store_log(resources: Resources, log: pl.DataFrame, name: str = "log.csv") -> str:
    """A ready data set with that log; returns its id."""
    file = io.BytesIO()
    log.write_parquet(file)
    csv = log.write_csv().encode()
    with resources.database.unit_of_work() as session:
        return make_ready_dataset(session, resources.blobs, canonical=file.getvalue(), name=name, data=csv).id


@lru_cache
def _trained(log: bytes, spec: str) -> ExperimentResult:
    """One training for all tests that ask for the same."""
    return run_experiment(
        TrainSpec.model_validate_json(spec),
        pl.read_parquet(io.BytesIO(log)),
        progress=SilentProgress(),
        checkpoints=MemoryCheckpoints(),
        runtime=Runtime("cpu", 1),
    )


def train_job(
    resources: Resources, dataset: str, *, name: str = "films", **given: Any
) -> tuple[str, list[str]]:
    """Train on a data set; returns the job's id and its models', arm by arm."""
    with resources.database.unit_of_work() as session:
        row = session.get_one(Dataset, dataset)
        job = make_job(session, row, name=name, **{**TINY, **given})
    with resources.database.unit_of_work() as session:
        claimed = claim(session, job.id, worker="w@host", lease=timedelta(seconds=60))
    assert claimed is not None
    with resources.database.unit_of_work() as session:
        blob = session.get_one(Dataset, dataset).canonical_blob
    assert blob is not None
    log = b"".join(resources.blobs.read(blob))
    spec = TrainSpec.model_validate(job.spec).model_dump_json()
    store(claimed, _trained(log, spec), resources=resources, beat=lambda: None)
    with resources.database.unit_of_work() as session:
        models = session.execute(select(Model.id).where(Model.job_id == job.id).order_by(Model.id))
        return job.id, list(models.scalars())


def measure_here(resources: Resources, evaluation_id: str, folder: Path) -> None:
    """Measure what an evaluation asks for; what its measuring process does, without a process of its own."""
    with resources.database.unit_of_work() as session:
        claimed = claim_evaluation(session, evaluation_id, lease_seconds=30)
    assert claimed is not None
    measure_claimed(resources, claimed, folder)


def measure_claimed(resources: Resources, claimed: EvaluationClaim, folder: Path) -> None:
    """The same of one that has been claimed."""
    run_evaluation(
        claimed,
        resources=resources,
        folder=folder,
        beat=lambda: None,
        control=lambda: Control.CONTINUE,
    )

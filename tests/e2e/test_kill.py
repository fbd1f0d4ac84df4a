"""Whatever is killed, a job ends as if nothing had happened: real workers, a real database, a real broker."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import undefer

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_event import JobEvent
from app.db.models.job_metric import JobMetric
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.jobs import logs
from app.jobs.claims import end_leases
from app.jobs.steering import cancel, pause, resume, retry
from tests.e2e.conftest import Workshop, interactions, trainers_of
from worker.training.experiment import run_experiment
from worker.training.progress import EpochMetrics, MemoryCheckpoints, SilentProgress
from worker.training.runtime import Runtime
from worker.training.spec import TrainSpec

pytestmark = [
    pytest.mark.timeout(400),  # seconds on an idle machine, minutes on a busy one
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    pytest.mark.slow,
]

SPEC: dict[str, Any] = {
    "epochs": 16,
    "warmup_epochs": 2,
    "min_epochs": 16,
    "arms": ["standard", "cascade"],
    "batch_size": 8,
    "max_length": 8,
    "hidden_size": 16,
    "dropout": 0.2,
    "checkpoint_minutes": 0,
    "attack_positions": ["end"],
    "attack_counts": [1],
    "attack_replacements": ["uniform"],
    "attack_repeats": 1,
}
METRIC_COLUMNS = ("seed", "arm", "epoch", "loss", "loss_match", "loss_history", "validation")
REPORTED = ("test", "validation", "attacks")


def as_rows(epochs: Sequence[object]) -> list[str]:
    """Every figure of every epoch, to the bit, whatever order epochs and columns come in."""
    return sorted(
        json.dumps({name: getattr(row, name) for name in METRIC_COLUMNS}, sort_keys=True) for row in epochs
    )


class Ear(SilentProgress):
    """Keeps the epochs."""

    def __init__(self) -> None:
        self.epochs: list[EpochMetrics] = []

    def epoch(self, metrics: EpochMetrics) -> None:
        self.epochs.append(metrics)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """What the same run gives that nothing interrupts: the library alone, in this process."""
    ear = Ear()
    spec = TrainSpec.model_validate(SPEC)
    runtime = Runtime(device="cpu", threads=1)
    result = run_experiment(
        spec, interactions(), progress=ear, checkpoints=MemoryCheckpoints(), runtime=runtime
    )
    weights = {
        (model.arm, model.seed): hashlib.sha256(model.files["weights.safetensors"]).hexdigest()
        for model in result.models
    }
    report = json.loads(json.dumps(result.report))
    return {
        "metrics": as_rows(ear.epochs),
        "weights": weights,
        "arms": {arm: {name: entry[name] for name in REPORTED} for arm, entry in report["arms"].items()},
    }


def outcome(workshop: Workshop, job_id: str) -> dict[str, Any]:
    """Everything of a finished job that must not depend on what happened on the way."""
    with workshop.database.unit_of_work() as session:
        rows = list(session.execute(select(JobMetric).where(JobMetric.job_id == job_id)).scalars())
        files = session.execute(
            select(Model.arm, Model.seed, ModelFile.sha256)
            .join(ModelFile, ModelFile.model_id == Model.id)
            .where(Model.job_id == job_id, ModelFile.path == "weights.safetensors")
        )
        weights = {(arm, seed): sha256 for arm, seed, sha256 in files}
        job = session.execute(select(Job).where(Job.id == job_id).options(undefer(Job.report))).scalar_one()
        assert job.report is not None
        arms = {arm: {name: entry[name] for name in REPORTED} for arm, entry in job.report["arms"].items()}
        return {"metrics": as_rows(rows), "weights": weights, "arms": arms}


def outcomes(workshop: Workshop, job_id: str) -> list[str]:
    with workshop.database.unit_of_work() as session:
        found = select(JobAttempt.outcome).where(JobAttempt.job_id == job_id).order_by(JobAttempt.attempt)
        return list(session.execute(found).scalars())


def in_the_middle(workshop: Workshop, job_id: str) -> bool:
    """Some checkpoints are there, and much is left to do."""
    job = workshop.job(job_id)
    assert job.status not in {"failed", "succeeded"}, job.error
    training = job.status == "running" and job.arm in {"standard", "cascade"}
    return training and workshop.checkpoints(job_id) >= 2


def resumed(workshop: Workshop, job_id: str) -> bool:
    with workshop.database.unit_of_work() as session:
        told = select(JobEvent.id).where(JobEvent.job_id == job_id, JobEvent.type == "training.resumed")
        return session.execute(told).first() is not None


def kept_log(workshop: Workshop, job_id: str) -> str:
    """What all attempts of the job have logged."""
    project_id = workshop.job(job_id).project_id
    with workshop.database.unit_of_work() as session:
        kept = logs.page(session, project_id, job_id, attempt=None, after=None, tail=None, limit=None)
        return logs.as_text(kept)


def said(workshop: Workshop, job_id: str, text: str) -> bool:
    return text in kept_log(workshop, job_id)


def epochs_told(workshop: Workshop, job_id: str) -> list[tuple[str, ...]]:
    """Arm and epoch, each time that an epoch ended, in any attempt."""
    return re.findall(r"arm (\w+), seed 0: epoch (\d+) in", kept_log(workshop, job_id))


def succeeded(workshop: Workshop, job_id: str) -> bool:
    job = workshop.job(job_id)
    assert job.status != "failed", workshop.logs(str(job.error))
    return job.status == "succeeded"


def test_a_killed_worker_loses_nothing(workshop: Workshop, undisturbed: dict[str, Any]) -> None:
    workshop.reaper()
    first = workshop.worker("first")
    job_id = workshop.submit(**SPEC)
    workshop.wait(lambda: in_the_middle(workshop, job_id))
    # its log is written every second
    workshop.wait(lambda: said(workshop, job_id, "arm warmup, seed 0: epoch 2 in"))
    first.send_signal(signal.SIGKILL)
    first.wait()
    workshop.wait(lambda: not trainers_of(job_id))  # the training process dies with its parent
    assert workshop.job(job_id).status == "running"  # nobody could tell; the lease would
    left = workshop.left_behind()
    assert len(left) == 1
    with workshop.database.unit_of_work() as session:  # as a supervisor does that sees it
        assert end_leases(session, "first@test") == [job_id]
    workshop.wait(lambda: workshop.job(job_id).status == "queued")  # sooner than the lease
    assert said(workshop, job_id, "arm warmup, seed 0: epoch 2 in")
    workshop.worker("second")
    workshop.wait(lambda: succeeded(workshop, job_id))
    assert outcomes(workshop, job_id) == ["lost", "succeeded"]
    assert len(undisturbed["metrics"]) == 2 + 2 * 14
    assert outcome(workshop, job_id) == undisturbed
    assert not {*left} & {*workshop.left_behind()}  # the second worker has removed what the first left


def test_a_worker_that_is_told_to_stop_hands_its_job_over(
    workshop: Workshop, undisturbed: dict[str, Any]
) -> None:
    first = workshop.worker("first")
    job_id = workshop.submit(**SPEC)
    workshop.wait(lambda: in_the_middle(workshop, job_id))
    first.send_signal(signal.SIGTERM)
    workshop.wait(lambda: workshop.job(job_id).status == "queued")
    assert first.wait(60) == 0
    assert trainers_of(job_id) == []
    workshop.worker("second")  # and no reaper: the wake-up was sent when the job was handed over
    workshop.wait(lambda: succeeded(workshop, job_id))
    assert outcomes(workshop, job_id) == ["released", "succeeded"]
    assert workshop.job(job_id).attempts_lost == 0
    assert outcome(workshop, job_id) == undisturbed


def test_a_paused_job_goes_on_where_it_was_paused(workshop: Workshop, undisturbed: dict[str, Any]) -> None:
    workshop.worker("only")
    job_id = workshop.submit(**SPEC)
    workshop.wait(lambda: in_the_middle(workshop, job_id))
    project = workshop.job(job_id).project_id
    with workshop.database.unit_of_work() as session:
        assert pause(session, project, job_id).status == "pausing"
    workshop.wait(lambda: workshop.job(job_id).status == "paused")
    assert trainers_of(job_id) == []
    with workshop.database.unit_of_work() as session:
        assert resume(session, workshop.settings, project, job_id).status == "queued"
    workshop.wait(lambda: succeeded(workshop, job_id))
    # The trainer says itself that it has succeeded; its last lines are written by the worker, a moment later.
    workshop.wait(lambda: len(epochs_told(workshop, job_id)) >= 2 + 2 * 14)
    told = epochs_told(workshop, job_id)
    assert len(told) == len(set(told)) == 2 + 2 * 14  # no epoch was trained twice, wherever the pause came
    assert outcomes(workshop, job_id) == ["paused", "succeeded"]
    assert outcome(workshop, job_id) == undisturbed


def test_a_killed_trainer_is_started_again_and_a_cancelled_one_leaves_nothing(workshop: Workshop) -> None:
    workshop.worker("only")
    job_id = workshop.submit(**{**SPEC, "epochs": 2000, "min_epochs": 2000})
    workshop.wait(lambda: in_the_middle(workshop, job_id))
    (trainer,) = trainers_of(job_id)
    os.kill(trainer, signal.SIGKILL)
    workshop.wait(lambda: workshop.job(job_id).attempt == 2 and resumed(workshop, job_id))
    with workshop.database.unit_of_work() as session:
        assert cancel(session, workshop.job(job_id).project_id, job_id).status == "cancelling"
    workshop.wait(lambda: workshop.job(job_id).status == "cancelled")
    assert trainers_of(job_id) == []
    assert outcomes(workshop, job_id) == ["lost", "cancelled"]
    kept = workshop.checkpoints(job_id)
    assert kept > 0
    with workshop.database.unit_of_work() as session:
        project = workshop.job(job_id).project_id
        assert retry(session, workshop.settings, project, job_id).status == "queued"
    workshop.wait(lambda: workshop.job(job_id).attempt == 3 and workshop.job(job_id).arm is not None)
    with workshop.database.unit_of_work() as session:
        told = select(JobEvent.data).where(JobEvent.job_id == job_id, JobEvent.type == "training.resumed")
        assert len(session.execute(told).all()) >= 2
        cancel(session, workshop.job(job_id).project_id, job_id)

"""Whatever is killed, a job ends as if nothing had happened: real workers, a real database, a real broker."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import undefer

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_metric import JobMetric
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.jobs.service import cancel
from tests.e2e.conftest import Workshop, trainers_of

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
    pytest.mark.slow,
]

SPEC: dict[str, Any] = {
    "epochs": 8,
    "warmup_epochs": 2,
    "arms": ["standard", "cascade"],
    "batch_size": 8,
    "max_length": 8,
    "hidden_size": 16,
    "dropout": 0.2,
    "checkpoint_minutes": 0,
    "attack_counts": [1],
    "attack_repeats": 1,
}
METRIC_COLUMNS = ("seed", "arm", "epoch", "loss", "loss_match", "loss_history", "validation")


def outcome(workshop: Workshop, job_id: str) -> dict[str, Any]:
    """Everything of a finished job that must not depend on what happened on the way."""
    with workshop.database.unit_of_work() as session:
        rows = session.execute(select(JobMetric).where(JobMetric.job_id == job_id)).scalars()
        metrics = sorted(tuple(str(getattr(row, name)) for name in METRIC_COLUMNS) for row in rows)
        files = session.execute(
            select(Model.arm, Model.seed, ModelFile.sha256)
            .join(ModelFile, ModelFile.model_id == Model.id)
            .where(Model.job_id == job_id, ModelFile.path == "weights.safetensors")
        )
        weights = {(arm, seed): sha256 for arm, seed, sha256 in files}
        job = session.execute(select(Job).where(Job.id == job_id).options(undefer(Job.report))).scalar_one()
        assert job.report is not None
        arms = {
            arm: {name: entry[name] for name in ("test", "validation", "attacks")}
            for arm, entry in job.report["arms"].items()
        }
    return {"metrics": metrics, "weights": weights, "arms": arms}


def outcomes(workshop: Workshop, job_id: str) -> list[str]:
    with workshop.database.unit_of_work() as session:
        found = select(JobAttempt.outcome).where(JobAttempt.job_id == job_id).order_by(JobAttempt.attempt)
        return list(session.execute(found).scalars())


def in_the_middle(workshop: Workshop, job_id: str) -> bool:
    """Some checkpoints are there, and much is left to do."""
    job = workshop.job(job_id)
    assert job.status not in {"failed", "succeeded"}, job.error
    return job.arm in {"standard", "cascade"} and workshop.checkpoints(job_id) >= 2


def succeeded(workshop: Workshop, job_id: str) -> bool:
    job = workshop.job(job_id)
    assert job.status != "failed", workshop.logs(str(job.error))
    return job.status == "succeeded"


def test_a_killed_worker_loses_nothing(workshop: Workshop) -> None:
    workshop.reaper()
    first = workshop.worker("first")
    undisturbed = workshop.submit(**SPEC)
    workshop.wait(lambda: succeeded(workshop, undisturbed))

    disturbed = workshop.submit(**SPEC)
    workshop.wait(lambda: in_the_middle(workshop, disturbed))
    first.send_signal(signal.SIGKILL)
    first.wait()
    workshop.wait(lambda: not trainers_of(disturbed), 2)  # the training process dies with its parent
    workshop.worker("second")
    workshop.wait(lambda: succeeded(workshop, disturbed))

    assert outcomes(workshop, undisturbed) == ["succeeded"]
    assert outcomes(workshop, disturbed) == ["lost", "succeeded"]
    expected = outcome(workshop, undisturbed)
    assert len(expected["metrics"]) == 2 + 2 * 6
    assert len(expected["weights"]) == 2
    assert outcome(workshop, disturbed) == expected

    # The training process alone is killed, and the worker stays.
    again = workshop.submit(**SPEC)
    workshop.wait(lambda: in_the_middle(workshop, again))
    (trainer,) = trainers_of(again)
    os.kill(trainer, signal.SIGKILL)
    workshop.wait(lambda: succeeded(workshop, again))
    assert outcomes(workshop, again) == ["lost", "succeeded"]
    assert outcome(workshop, again) == expected


def test_a_worker_that_is_told_to_stop_hands_its_job_over(workshop: Workshop) -> None:
    first = workshop.worker("first")
    job_id = workshop.submit(**{**SPEC, "arms": ["standard"], "epochs": 12})
    workshop.wait(lambda: in_the_middle(workshop, job_id))
    first.send_signal(signal.SIGTERM)
    told = time.monotonic()
    workshop.wait(lambda: workshop.job(job_id).status == "queued", 5)
    assert first.wait(5) == 0
    assert time.monotonic() - told < 6
    assert trainers_of(job_id) == []
    assert workshop.job(job_id).attempts_lost == 0
    workshop.worker("second")  # and no reaper: the wake-up was sent when the job was handed over
    workshop.wait(lambda: succeeded(workshop, job_id))
    assert outcomes(workshop, job_id) == ["released", "succeeded"]


def test_a_cancelled_job_leaves_no_process(workshop: Workshop) -> None:
    workshop.worker("only")
    job_id = workshop.submit(**{**SPEC, "epochs": 2000, "min_epochs": 2000})
    workshop.wait(lambda: in_the_middle(workshop, job_id))
    assert len(trainers_of(job_id)) == 1
    with workshop.database.unit_of_work() as session:
        assert cancel(session, workshop.job(job_id).project_id, job_id).status == "cancelling"
    workshop.wait(lambda: workshop.job(job_id).status == "cancelled", 6)
    assert trainers_of(job_id) == []
    following = workshop.submit(**{**SPEC, "epochs": 3, "arms": ["standard"]})
    workshop.wait(lambda: succeeded(workshop, following))  # the worker goes on with the next one

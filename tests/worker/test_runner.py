"""One attempt, with a real training process."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.db.models.blob import BlobChunk
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_event import JobEvent
from app.db.models.job_file import JobFile
from app.db.models.job_log import JobLog
from app.db.models.job_metric import JobMetric
from app.db.models.model import Model
from app.db.models.model_file import ModelFile
from app.jobs.claims import claim
from app.jobs.reaper import reap_expired
from tests.e2e.conftest import trainers_of
from tests.factories import RecordingSender, expire, make_job
from tests.waiting import wait_until
from tests.worker.bench import SPEC, Bench, attempts, found, kinds_of_checkpoints, run
from worker.child import end_of
from worker.hints import NEEDS_MEMORY
from worker.pipe import End
from worker.resources import Resources
from worker.training.portable import load_model
from worker.training.progress import Control, DataError
from worker.training_run import run_training


def end_here(resources: Resources, job_id: str, folder: Path) -> End:
    """How an attempt ends that cannot begin to train: the child's code, without a process of its own."""
    with resources.database.unit_of_work() as session:
        claimed = claim(session, job_id, worker="w@host", lease=timedelta(seconds=60))
    assert claimed is not None
    with pytest.raises(DataError) as raised:
        run_training(
            claimed,
            resources=resources,
            folder=folder,
            beat=lambda: None,
            control=lambda: Control.CONTINUE,
            found=lambda _: None,
        )
    return end_of(raised.value, "job", needs_memory=NEEDS_MEMORY)


def test_an_attempt_ends_in_models_and_a_report(bench: Bench) -> None:
    resources = bench.resources()
    job_id = bench.submit(resources)
    run(resources, job_id)
    job = found(resources, job_id)
    assert job.status == "succeeded", job.error
    assert job.report is not None
    assert "ndcg@10" in job.report["arms"]["standard"]["test"]
    assert job.progress is not None
    assert job.progress["fraction"] == 1.0
    with resources.database.unit_of_work() as session:
        model = session.execute(select(Model)).scalar_one()
        assert (model.arm, model.seed, model.job_id) == ("standard", 0, job_id)
        rows = session.execute(select(ModelFile).where(ModelFile.model_id == model.id)).scalars().all()
        attempt = session.execute(select(JobAttempt)).scalar_one()
        assert attempt.environment is not None
        assert (attempt.outcome, attempt.environment["threads"]) == ("succeeded", 1)
        assert job.estimate is not None
        assert job.estimate["actual_peak_memory_bytes"] > 100 * 2**20  # torch alone has as much
        assert job.estimate["actual_stored_bytes"] > sum(row.bytes for row in rows) > 0
        said = session.execute(select(JobLog.text).order_by(JobLog.number)).scalars().all()
        assert any("epoch 2 in" in line and "validation NDCG@10" in line for line in said)
        assert any("checkpoint_saved: best checkpoint" in line for line in said)
        phases = select(JobEvent.data["phase"].astext).where(JobEvent.type == "job.phase")
        seen = list(dict.fromkeys(session.execute(phases.order_by(JobEvent.sequence)).scalars()))
        assert seen == ["training", "evaluating", "attacking", "packaging"]
    files = {row.path: b"".join(resources.blobs.read(row.blob_id)) for row in rows}
    assert all(hashlib.sha256(files[row.path]).hexdigest() == row.sha256 for row in rows)
    assert len(load_model(files).recommend(["i1", "i2"], k=3)) == 3
    with resources.database.unit_of_work() as session:
        rows = session.execute(select(JobFile).where(JobFile.job_id == job_id)).scalars().all()
    documents = {row.path: b"".join(resources.blobs.read(row.blob_id)) for row in rows}
    assert json.loads(documents["report.json"]) == job.report
    assert documents["manifest.json"] == files["manifest.json"]
    assert documents["report.html"].lstrip().startswith(b"<!DOCTYPE html>")
    assert {"figures/pareto.svg", "figures/learning_curves.svg", "report.md"} <= documents.keys()
    assert {row.media_type for row in rows if row.path.endswith(".svg")} == {"image/svg+xml"}
    run(resources, job_id)  # the same message again
    assert attempts(resources) == ["succeeded"]


def test_a_job_starts_from_an_earlier_jobs_model(bench: Bench, tmp_path: Path) -> None:
    resources = bench.resources()
    run(resources, bench.submit(resources))
    with resources.database.unit_of_work() as session:
        model_id = session.execute(select(Model.id)).scalar_one()
        dataset = session.execute(select(Dataset)).scalar_one()
        job_id = make_job(session, dataset, **SPEC, init_from=model_id).id
        late_id = make_job(session, dataset, **SPEC, init_from=model_id).id
    run(resources, job_id)
    job = found(resources, job_id)
    assert job.status == "succeeded", job.error
    assert job.report is not None
    started = job.report["warm_start"]
    assert (started["from"], started["items_new"], started["items_dropped"]) == (model_id, 0, 0)
    assert job.report["spec"]["init_from"] == model_id
    with resources.database.unit_of_work() as session:
        session.delete(session.get_one(Model, model_id))
    late = end_here(resources, late_id, tmp_path)
    assert late.kind == "error"
    assert model_id in late.message


def test_damaged_interactions_fail_the_job_with_a_hint(bench: Bench) -> None:
    resources = bench.resources()
    job_id = bench.submit(resources)
    with resources.database.unit_of_work() as session:
        canonical = session.execute(select(Dataset.canonical_blob)).scalar_one()
        session.execute(update(BlobChunk).where(BlobChunk.blob_id == canonical).values(data=b"garbage"))
    run(resources, job_id)
    job = found(resources, job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert (job.error["code"], job.error["phase"]) == ("blob_damaged", "preparing")
    assert job.error["hint"]


def test_what_cannot_be_learnt_ends_the_attempt_with_the_librarys_reason(
    bench: Bench, tmp_path: Path
) -> None:
    resources = bench.resources()
    end = end_here(resources, bench.submit(resources, k_core=1000), tmp_path)
    assert (end.kind, end.code) == ("error", "dataset_changed")


def test_a_process_that_does_not_move_is_ended(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    resources = bench.resources(hang_seconds=0.3)  # less than importing torch takes
    job_id = bench.submit(resources)
    run(resources, job_id)
    assert found(resources, job_id).status == "queued"
    assert attempts(resources) == ["lost"]
    assert trainers_of(job_id) == []
    assert list(tmp_path.iterdir()) == []  # nor does its copy of the data stay


def test_what_was_saved_on_another_machine_is_not_used_and_costs_the_job_nothing(bench: Bench) -> None:
    resources = bench.resources()
    job_id = bench.submit(resources, epochs=200, min_epochs=200, warmup_epochs=1, checkpoint_minutes=0)
    stopping = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, resources, job_id, stopping)
        wait_until(lambda: "warmup" in kinds_of_checkpoints(resources))
        stopping.set()
        running.result(60)
    assert found(resources, job_id).status == "queued"
    other = bench.resources(threads=2)
    run(other, job_id)
    assert found(other, job_id).error is None
    assert attempts(other) == ["released", "succeeded"]
    with other.database.unit_of_work() as session:
        told = session.execute(select(JobEvent).where(JobEvent.type == "training.begun_anew")).scalar_one()
        assert (told.level, "threads was 1 and is 2" in told.message) == ("warning", True)
        metrics = session.execute(select(JobMetric.epoch, JobMetric.attempt).order_by(JobMetric.epoch)).all()
        assert [tuple(row) for row in metrics] == [(epoch, 2) for epoch in range(1, 201)]
    assert "progress" not in kinds_of_checkpoints(other)


def test_a_job_that_runs_too_long_fails(bench: Bench) -> None:
    resources = bench.resources(max_runtime_seconds=1, shutdown_grace_seconds=20)
    job_id = bench.submit(resources, epochs=5000, min_epochs=5000, warmup_epochs=1, checkpoint_minutes=60)
    run(resources, job_id)
    job = found(resources, job_id)
    assert (job.status, (job.error or {}).get("code")) == ("failed", "max_runtime_exceeded")


@pytest.mark.parametrize("measures", [True, False], ids=["to_train", "to_measure"])
def test_a_job_whose_time_is_over_ends_with_the_model_that_it_has(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, measures: bool
) -> None:
    late = threading.Event()

    class Limit(float):
        """Seconds that are over once the event is set: how fast a busy machine trains is no matter."""

        def __le__(self, now: float) -> bool:
            return late.is_set()

        def __sub__(self, used: float) -> Limit:
            return self

    limits = (Limit(), 3600.0 if measures else Limit(), 3600.0)
    monkeypatch.setattr("worker.runner.runtime_limits", lambda *_: limits)
    resources = bench.resources()
    endless = {"epochs": 10_000, "min_epochs": 10_000, "patience": 10_000, "arms": ["standard", "cascade"]}
    job_id = bench.submit(resources, **endless)
    validated = select(JobMetric.epoch).where(JobMetric.arm == "standard", JobMetric.validation.is_not(None))

    def was_validated() -> bool:
        with resources.database.unit_of_work() as session:
            return session.execute(validated.limit(1)).first() is not None

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, resources, job_id)
        wait_until(was_validated)
        late.set()
        running.result(60)
    job = found(resources, job_id)
    assert (job.status, job.stop_reason) == ("succeeded", "max_runtime"), job.error
    assert job.report is not None
    assert list(job.report["arms"]) == ["standard"]
    codes = [row["code"] for row in job.report["warnings"]]
    assert codes[:2] == ["max_runtime", "not_run"]
    assert codes.count("not_attacked") == (0 if measures else 3)
    with resources.database.unit_of_work() as session:
        model = session.execute(select(Model).where(Model.job_id == job_id)).scalar_one()
        told = select(JobEvent.level, JobEvent.message).where(JobEvent.type == "training.not_run")
        ((level, message),) = session.execute(told).all()
    assert model.arm == "standard"
    assert (level, "cascade, seed 0 was not run" in message) == ("warning", True)


def test_measuring_that_takes_far_too_long_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.runner.runtime_limits", lambda *_: (0.0, 0.0, 0.5))
    resources = bench.resources()
    job_id = bench.submit(resources, epochs=5000, min_epochs=5000)
    run(resources, job_id)
    job = found(resources, job_id)
    assert (job.status, (job.error or {}).get("code")) == ("failed", "max_runtime_exceeded")
    assert "retry" in (job.error or {})["hint"]
    assert (job.error or {})["retryable"] is True


def test_a_lost_lease_ends_the_process_and_changes_nothing_more(bench: Bench) -> None:
    resources = bench.resources()
    job_id = bench.submit(resources, epochs=5000, min_epochs=5000)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, resources, job_id)
        wait_until(lambda: trainers_of(job_id))
        with resources.database.unit_of_work() as session:
            expire(session, session.get_one(Job, job_id))
            assert reap_expired(session) == [job_id]
        running.result(60)
    assert trainers_of(job_id) == []
    assert found(resources, job_id).status == "queued"
    assert attempts(resources) == ["lost"]


def test_a_message_taken_while_leaving_is_passed_on(bench: Bench) -> None:
    resources = bench.resources()
    job_id = bench.submit(resources)
    sender = RecordingSender()
    resources.database.sessions.configure(info={"steadyrank.sender": sender})
    leaving = threading.Event()
    leaving.set()
    run(resources, job_id, leaving)
    assert [(message.args, message.queue) for message in sender.sent] == [((job_id,), "train")]
    assert (found(resources, job_id).status, attempts(resources)) == ("queued", [])

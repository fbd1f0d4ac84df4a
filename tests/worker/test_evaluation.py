"""Evaluating stored models as a light worker does: a real measuring process, killed, cancelled, repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import undefer

import worker.evaluation
from app.config import Settings
from app.db.models.dataset import Dataset
from app.db.models.evaluation import Evaluation
from app.db.models.job import Job
from app.db.models.model import Model
from app.db.session import Database
from app.evaluations import service
from app.evaluations.life import NEEDS_MEMORY, claim, recover_evaluations
from app.evaluations.schemas import EvaluationCreate
from app.jobs.claims import LeaseLost
from app.storage.database import DatabaseBlobStore
from app.task_names import EVALUATE_MODEL, MEASURE_QUEUE
from tests.factories import RecordingSender
from tests.trained_jobs import log_of, measure_claimed, measure_here, store_log, train_job
from tests.waiting import wait_until
from worker.child import EXIT_FAILED, end_of
from worker.child_process import ChildProcess
from worker.evaluation import evaluate_model
from worker.evaluation_run import DatasetGoneError, ModelGoneError
from worker.pipe import End
from worker.resources import Resources
from worker.training.evaluation.outcomes import read_outcomes
from worker.training.progress import Stopped, TrainingError


@pytest.fixture
def resources(database: Database, blobs: DatabaseBlobStore, database_url: str) -> Resources:
    settings = Settings(database_url=database_url, max_attempts=2, lease_seconds=6, device="cpu")
    return Resources(settings, database, blobs)


@pytest.fixture
def trained(resources: Resources) -> tuple[str, str, list[str]]:
    """The data set's id, the job's, and its models'."""
    dataset = store_log(resources, log_of(40))
    return dataset, *train_job(resources, dataset)


def ask(resources: Resources, model: str, dataset: str, **settings: Any) -> Evaluation:
    with resources.database.unit_of_work() as session:
        project = session.get_one(Dataset, dataset).project_id
        asked = EvaluationCreate(model=model, dataset=dataset, **settings)
        return service.create(session, resources.settings, project, asked)


def again(resources: Resources, row: Evaluation) -> Evaluation:
    with resources.database.unit_of_work() as session:
        return session.get_one(Evaluation, row.id, options=[undefer("*")])


def run(resources: Resources, row: Evaluation) -> Evaluation:
    evaluate_model(row.id, resources=resources, stopping=threading.Event())
    return again(resources, row)


def run_here(resources: Resources, row: Evaluation, folder: Path) -> Evaluation:
    """Without a process of its own: the same code, and no import of torch to wait for."""
    measure_here(resources, row.id, folder)
    return again(resources, row)


class Ended:
    """Stands for a measuring process that has ended, and how it said that it did."""

    moved_at = float("inf")

    def __init__(self, code: int, end: End | None = None) -> None:
        self.code, self.end = code, end

    def wait(self, seconds: float) -> int:
        return self.code

    def kill(self) -> int:
        return self.code


def test_on_its_own_data_a_model_has_its_jobs_figures(
    resources: Resources, trained: tuple[str, str, list[str]], sender: RecordingSender
) -> None:
    dataset, job_id, models = trained
    row = ask(resources, "films-sasrec-cascade@latest", dataset)
    assert (EVALUATE_MODEL, (row.id,), MEASURE_QUEUE) in [(m.task_name, m.args, m.queue) for m in sender.sent]
    done = run(resources, row)
    assert (done.status, done.error, done.attempts, done.progress) == ("succeeded", None, 1, 1.0)
    with resources.database.unit_of_work() as session:
        report = session.get_one(Job, job_id).report
    assert report is not None
    assert done.report is not None
    own = report["arms"]["cascade"]
    for name in ("test", "validation", "attacks", "test_intervals", "slices"):
        assert done.report["arms"]["cascade"][name] == own[name]
    assert done.report["protocol_hash"] == report["protocol_hash"]
    assert done.report["training"] == {"checked": True, "targets_in_training": 0}
    assert done.model_facts["id"] == models[1]
    assert done.report_markdown is not None
    assert done.report_markdown.startswith("# Evaluation of films-sasrec-cascade, cascade, seed 0")
    assert done.outcomes_blob is not None
    outcomes = read_outcomes(b"".join(resources.blobs.read(done.outcomes_blob)))
    assert list(outcomes.figures) == [("cascade", 0)]
    assert run(resources, row).attempts == 1  # a second message changes nothing


def test_another_data_set_with_unknown_items_and_other_attacks(
    resources: Resources, trained: tuple[str, str, list[str]], tmp_path: Path
) -> None:
    _, _, models = trained
    strange = pl.concat([log_of(30), log_of(3, prefix="new").with_columns(pl.col("user") + "x")])
    row = ask(resources, models[1], store_log(resources, strange, "b.csv"), attack_positions=["end", "start"])
    done = run_here(resources, row, tmp_path)
    assert done.report is not None
    assert {(a["position"], a["count"]) for a in done.report["arms"]["cascade"]["attacks"]} == {
        ("end", 1),
        ("start", 1),
    }
    assert done.report["unknown"]["users_without_known_history"] == 3
    assert "new0" in done.report["unknown"]["examples"]
    # The data set is another one, but its users and items are those that the model was trained with.
    assert done.report["model"]["trained_on_this"] is False
    assert done.report["training"] == {"checked": True, "targets_in_training": 0}
    assert set(done.report["baselines"]) == {"popularity", "markov"}


def test_one_that_knows_no_item_fails_and_says_so(
    resources: Resources,
    trained: tuple[str, str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strange = store_log(resources, log_of(5, prefix="other"), "c.csv")
    with pytest.raises(TrainingError) as raised:
        run_here(resources, ask(resources, trained[2][0], strange), tmp_path)
    ended = Ended(EXIT_FAILED, end_of(raised.value, "evaluation", needs_memory=NEEDS_MEMORY))
    monkeypatch.setattr(worker.evaluation, "ChildProcess", lambda *_, **__: ended)
    failed = run(resources, ask(resources, trained[2][1], strange))
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "no_known_items")
    assert "none of the data set's 12 items" in failed.error["message"]


def in_the_background(resources: Resources, row: Evaluation) -> threading.Thread:
    stopping = threading.Event()
    thread = threading.Thread(
        target=evaluate_model, args=(row.id,), kwargs={"resources": resources, "stopping": stopping}
    )
    thread.start()
    return thread


def test_a_worker_killed_while_it_measures_is_recovered(
    resources: Resources,
    trained: tuple[str, str, list[str]],
    tmp_path: Path,
    database_url: str,
    sender: RecordingSender,
) -> None:
    row = ask(resources, trained[2][0], trained[0])
    program = (
        "import sys, threading; from app.config import Settings; from worker.resources import *\n"
        "from worker.evaluation import evaluate_model\n"
        "settings = Settings(database_url=sys.argv[1], lease_seconds=6, device='cpu')\n"
        "evaluate_model(sys.argv[2], resources=open_resources(settings, sends=False),"
        " stopping=threading.Event())"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, database_url, row.id])
    wait_until(lambda: again(resources, row).status == "running")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    sender.sent.clear()
    with resources.database.unit_of_work() as session:
        held = session.get_one(Evaluation, row.id)
        held.lease_until = session.execute(select(func.now())).scalar_one() - timedelta(seconds=1)
    with resources.database.unit_of_work() as session:
        assert recover_evaluations(session, resources.settings) == 1
    assert [message.args for message in sender.sent] == [(row.id,)]
    done = run_here(resources, row, tmp_path)
    assert (done.status, done.attempts, done.attempts_lost) == ("succeeded", 2, 1)


def test_a_measuring_process_killed_twice_is_a_failure_that_names_memory(
    resources: Resources, trained: tuple[str, str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ask(resources, trained[2][0], trained[0])
    monkeypatch.setattr(worker.evaluation, "ChildProcess", lambda *_, **__: Ended(-signal.SIGKILL))
    assert run(resources, row).status == "queued"
    failed = run(resources, row)
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "out_of_memory")


def test_one_that_was_signalled_beside_its_worker_is_given_back(
    resources: Resources, trained: tuple[str, str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ask(resources, trained[2][0], trained[0], attack_repeats=100, attack_counts=[1, 2, 3])

    class Signalled(ChildProcess):
        def wait(self, seconds: float) -> int | None:
            if again(resources, row).progress > 0:
                os.kill(self.pid, signal.SIGTERM)
            return super().wait(seconds)

    monkeypatch.setattr(worker.evaluation, "ChildProcess", Signalled)
    back = run(resources, row)
    assert (back.status, back.attempts_lost) == ("queued", 0)


def test_one_that_takes_longer_than_the_service_allows_fails(
    resources: Resources, trained: tuple[str, str, list[str]]
) -> None:
    row = ask(resources, trained[2][0], trained[0], attack_repeats=100, attack_counts=[1, 2, 3])
    settings = resources.settings.model_copy(update={"max_runtime_seconds": 1})
    evaluate_model(row.id, resources=replace(resources, settings=settings), stopping=threading.Event())
    failed = again(resources, row)
    assert failed.error is not None
    assert (failed.status, failed.error["code"]) == ("failed", "max_runtime_exceeded")
    assert "fewer attacks" in failed.error["hint"]


def test_cancelled_while_it_runs(resources: Resources, trained: tuple[str, str, list[str]]) -> None:
    row = ask(resources, trained[2][0], trained[0], attack_repeats=100, attack_counts=[1, 2, 3])
    thread = in_the_background(resources, row)
    wait_until(lambda: again(resources, row).status == "running")
    with resources.database.unit_of_work() as session:
        service.cancel(session, row.project_id, row.id)
    thread.join(60)
    cancelled = again(resources, row)
    assert (cancelled.status, cancelled.report, cancelled.lease_until) == ("cancelled", None, None)


def test_cancelled_when_all_is_measured_and_not_stored_yet(
    resources: Resources, trained: tuple[str, str, list[str]], tmp_path: Path
) -> None:
    row = ask(resources, trained[2][0], trained[0])
    with resources.database.unit_of_work() as session:
        claimed = claim(session, row.id, lease_seconds=60)
        assert claimed is not None
        service.cancel(session, row.project_id, row.id)
    with pytest.raises(Stopped):
        measure_claimed(resources, claimed, tmp_path)
    waits = again(resources, row)
    assert (waits.status, waits.cancel_requested, waits.report) == ("running", True, None)


def test_given_back_when_the_worker_leaves(resources: Resources, trained: tuple[str, str, list[str]]) -> None:
    row = ask(resources, trained[2][0], trained[0])
    stopping = threading.Event()
    stopping.set()
    evaluate_model(row.id, resources=resources, stopping=stopping)
    back = again(resources, row)
    assert (back.status, back.attempts_lost) == ("queued", 0)


def test_what_was_deleted_ends_it(
    resources: Resources, trained: tuple[str, str, list[str]], tmp_path: Path
) -> None:
    row = ask(resources, trained[2][0], trained[0])
    with resources.database.unit_of_work() as session:
        claimed = claim(session, row.id, lease_seconds=30)
        service.delete(session, resources.blobs, row.project_id, row.id)
    assert claimed is not None
    with pytest.raises(LeaseLost):
        measure_claimed(resources, claimed, tmp_path)


def test_without_its_model_or_data_set_it_fails_and_says_so(
    resources: Resources, trained: tuple[str, str, list[str]], tmp_path: Path
) -> None:
    on_another = ask(resources, trained[2][0], store_log(resources, log_of(9), "d.csv"))
    of_a_model = ask(resources, trained[2][1], trained[0])
    with resources.database.unit_of_work() as session:
        session.delete(session.get_one(Dataset, on_another.dataset_id))
        session.delete(session.get_one(Model, trained[2][1]))
    with pytest.raises(DatasetGoneError):
        run_here(resources, on_another, tmp_path)
    with pytest.raises(ModelGoneError):
        run_here(resources, of_a_model, tmp_path)

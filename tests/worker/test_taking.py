"""Light work that workers take up and cannot begin: counted, told, and failed at last."""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.config import Settings, get_settings
from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.dataset import Dataset
from app.db.models.evaluation import Evaluation
from app.db.models.worker import Worker
from app.db.session import Database
from app.db.takes import take
from app.evaluations import service
from app.evaluations.life import claim, recover_evaluations
from app.evaluations.schemas import EvaluationCreate
from app.jobs.light_line import light_line
from app.models import batches
from app.models.batch_schemas import BatchCreate
from app.storage.database import DatabaseBlobStore
from tests.trained_jobs import log_of, store_log, train_job
from worker.resources import Resources
from worker.taking import taken


@pytest.fixture
def resources(database: Database, blobs: DatabaseBlobStore, database_url: str) -> Resources:
    return Resources(Settings(database_url=database_url, max_attempts=2, device="cpu"), database, blobs)


def look_later(resources: Resources) -> None:
    """What the reaper does when wake-ups are old."""
    with resources.database.unit_of_work() as session:
        for table in (Evaluation, BatchRecommendation):
            session.execute(update(table).values(sent_at=table.sent_at - timedelta(minutes=5)))
        recover_evaluations(session, resources.settings)
        batches.recover_batches(session, resources.settings)


def test_what_no_worker_can_begin_fails_and_says_why(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = store_log(resources, log_of(20))
    _, (model, _) = train_job(resources, dataset)
    with resources.database.unit_of_work() as session:
        project = session.get_one(Dataset, dataset).project_id
        asked = BatchCreate(dataset=dataset)
        batch_id = batches.create(session, resources.settings, project, model, asked).id
        to_measure = EvaluationCreate(model=model, dataset=dataset)
        evaluation_id = service.create(session, resources.settings, project, to_measure).id
        other_id = service.create(session, resources.settings, project, to_measure).id

    monkeypatch.setitem(sys.modules, "worker.recommend", None)
    for takes in (1, 2):
        with pytest.raises(ImportError), taken(resources, BatchRecommendation, batch_id):
            import worker.recommend  # noqa: F401, PLC0415
        with pytest.raises(FileNotFoundError), taken(resources, Evaluation, evaluation_id):
            open("/nowhere/evaluation_child.py").close()
        with resources.database.unit_of_work() as session:
            batch = session.get_one(BatchRecommendation, batch_id)
            row = session.get_one(Evaluation, evaluation_id)
            assert (batch.status, batch.takes, row.status, row.takes) == ("queued", takes, "queued", takes)
            if takes == 1:
                assert light_line(session, [row])[row.id].code == "no_worker_alive"
            session.merge(Worker(id="w@host/measure", queue="measure", versions={}))
            session.flush()
            told = light_line(session, [row])[row.id]
            assert (told.position, told.code) == (1, "could_not_begin")
            assert "FileNotFoundError" in told.reason
            second = session.get_one(Evaluation, other_id)
            assert light_line(session, [second])[other_id].code == "waiting_for_worker"
        look_later(resources)
    with resources.database.unit_of_work() as session:
        for table, row_id, why in (
            (BatchRecommendation, batch_id, "worker.recommend"),
            (Evaluation, evaluation_id, "evaluation_child.py"),
        ):
            ended = session.get_one(table, row_id)
            assert (ended.status, ended.attempts) == ("failed", 0)
            assert ended.error is not None
            assert ended.error["code"] == "worker_cannot_begin"
            assert why in ended.error["message"]
            assert light_line(session, [ended]) == {}
        assert session.get_one(Evaluation, other_id).status == "queued", "it was only never taken"
        assert claim(session, evaluation_id, lease_seconds=9) is None, "what failed is not run after all"


def test_a_claim_forgets_what_went_wrong_before(resources: Resources) -> None:
    dataset = store_log(resources, log_of(20))
    _, (model, _) = train_job(resources, dataset)
    with resources.database.unit_of_work() as session:
        project = session.get_one(Dataset, dataset).project_id
        asked = EvaluationCreate(model=model, dataset=dataset)
        row_id = service.create(session, resources.settings, project, asked).id
        take(session, Evaluation, row_id)
        assert claim(session, row_id, lease_seconds=9) is not None
        take(session, Evaluation, row_id)  # a second message, too late
    with resources.database.unit_of_work() as session:
        row = session.get_one(Evaluation, row_id)
        assert (row.status, row.takes, row.take_error) == ("running", 0, None)


@pytest.mark.parametrize(
    ("task", "module", "table"),
    [
        ("recommend_batch_task", "worker.recommend", BatchRecommendation),
        ("validate_dataset_task", "worker.datasets", Dataset),
    ],
)
def test_the_tasks_count_what_they_could_not_begin(
    resources: Resources,
    broker_url: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    task: str,
    module: str,
    table: type[BatchRecommendation | Dataset],
) -> None:
    monkeypatch.setenv("REDIS_URL", broker_url)  # the Celery application is made when it is imported
    get_settings.cache_clear()
    tasks = importlib.import_module("worker.tasks")
    get_settings.cache_clear()
    monkeypatch.setattr(tasks, "process_resources", lambda: resources)
    monkeypatch.setitem(sys.modules, module, None)
    dataset = store_log(resources, log_of(20))
    _, (model, _) = train_job(resources, dataset)
    with resources.database.unit_of_work() as session:
        row = session.get_one(Dataset, dataset)
        if table is Dataset:
            row.status, row.validated_at, row_id = "validating", None, dataset
        else:
            asked = BatchCreate(dataset=dataset)
            row_id = batches.create(session, resources.settings, row.project_id, model, asked).id
    with pytest.raises(ImportError):
        getattr(tasks, task).run(row_id)
    with resources.database.unit_of_work() as session:
        noted = session.get_one(table, row_id)
        assert noted.takes == 1
        assert module in (noted.take_error or "")

"""The plain command, `celery -A worker.celery_app worker`: one process that serves both queues."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import select

from app.accounts.service import project_id
from app.datasets import service as datasets
from app.datasets.schemas import UploadOptions
from app.db.models.dataset import Dataset
from app.db.models.worker import Worker
from app.jobs.workers import alive, any_alive
from tests.e2e.conftest import SHORT_SPEC, Workshop, interactions
from tests.factories import make_job

pytestmark = pytest.mark.slow


def test_upload_train_and_leave(workshop: Workshop) -> None:
    command = ("celery", "-A", "worker.celery_app", "worker", "-n", "plain@test")
    worker = workshop.start(*command, "--without-gossip", "--without-mingle", name="plain")
    with workshop.database.unit_of_work() as session:
        writer = workshop.blobs.open_writer()
        writer.write(interactions().write_csv().encode())
        options = UploadOptions(filename="log.csv")
        dataset_id = datasets.create(session, project_id(session), writer, options).id

    def read() -> bool:
        with workshop.database.unit_of_work() as session:
            dataset = session.get_one(Dataset, dataset_id)
            assert dataset.status != "rejected", dataset.problems
            return dataset.status == "ready"

    workshop.wait(read)
    with workshop.database.unit_of_work() as session:
        job_id = make_job(session, session.get_one(Dataset, dataset_id), **SHORT_SPEC).id
    workshop.wait(lambda: workshop.job(job_id).status in {"succeeded", "failed"})
    assert workshop.job(job_id).error is None

    with workshop.database.unit_of_work() as session:
        shown = {row.queue: row for row in alive(session)}
        assert set(shown) == {"light", "measure", "train"}
        assert shown["train"].device == "cpu"
        assert "torch" in shown["train"].versions
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    with workshop.database.unit_of_work() as session:
        assert not any_alive(session, "train")
        assert session.execute(select(Worker)).scalars().all() == []

"""Who asks for probes at once, and what is known of one whose worker vanished."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update

from app.config import Settings
from app.db.models.dataset import Dataset
from app.db.models.probe import Probe
from app.db.session import Database
from app.jobs import probes
from app.jobs.probes import Unprobed, claim, known
from app.storage.database import DatabaseBlobStore
from tests.trained_jobs import TINY, log_of, store_log
from worker.resources import Resources
from worker.training.spec import TrainSpec

SPEC = TrainSpec(**TINY)


@pytest.fixture
def dataset(database: Database, blobs: DatabaseBlobStore, database_url: str) -> Dataset:
    stored = store_log(Resources(Settings(database_url=database_url), database, blobs), log_of(10))
    with database.unit_of_work() as session:
        return session.get_one(Dataset, stored)


def test_who_asks_in_the_same_moment_waits_for_the_same_probe(database: Database, dataset: Dataset) -> None:
    together = threading.Barrier(4)

    def ask() -> str | None:
        with database.unit_of_work() as session:
            session.execute(select(1))
            together.wait(timeout=30)
            found = probes._request(session, dataset.project_id, SPEC, dataset)
            session.execute(select(func.pg_sleep(0.1)))
            return found

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(ask) for _ in range(4)]
    assert len({one.result() for one in asked}) == 1
    with database.unit_of_work() as session:
        assert session.execute(select(func.count()).select_from(Probe)).scalar_one() == 1


def test_a_probe_whose_worker_vanished_is_soon_none_at_all(database: Database, dataset: Dataset) -> None:
    with database.unit_of_work() as session:
        lost = probes._request(session, dataset.project_id, SPEC, dataset)
        assert lost is not None
        assert claim(session, lost)
        told = known(session, dataset.project_id, SPEC, dataset)
        assert isinstance(told, Unprobed)
        assert told.code == "probe_not_ready"
        session.execute(update(Probe).values(created_at=func.now() - probes._FORGOTTEN))
        told = known(session, dataset.project_id, SPEC, dataset)
        assert isinstance(told, Unprobed)
        assert told.code == "not_probed"
        assert probes._request(session, dataset.project_id, SPEC, dataset) != lost

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.db.models.dataset import Dataset
from app.db.session import Database
from app.jobs import watching
from app.jobs.claims import Claim, claim
from app.sdk.client import SteadyRank
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset


class Bench:
    """Jobs on one data set, and what a worker does to them."""

    lease = timedelta(seconds=30)

    def __init__(self, database: Database, dataset_id: str) -> None:
        self.database = database
        self.dataset_id = dataset_id

    def submit(self, **spec: Any) -> str:
        with self.database.unit_of_work() as session:
            return make_job(session, session.get_one(Dataset, self.dataset_id), **spec).id

    def take(self, job_id: str) -> Claim:
        with self.database.unit_of_work() as session:
            claimed = claim(session, job_id, worker="w@host", lease=self.lease)
        assert claimed is not None
        return claimed


@pytest.fixture
def waiters(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The job that each long poll waits for, from the moment when it begins to wait; looks are quick."""
    begun: list[str] = []
    wait = watching.wait_for_change

    async def told(*arguments: Any, job_id: str, **given: Any) -> watching.Seen:
        begun.append(job_id)
        return await wait(*arguments, job_id=job_id, **given)

    monkeypatch.setattr(watching, "wait_for_change", told)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    return begun


@pytest.fixture
def bench(database: Database, blobs: DatabaseBlobStore) -> Bench:
    with database.unit_of_work() as session:
        return Bench(database, make_ready_dataset(session, blobs).id)


@pytest.fixture
def service(service_url: str, api_key: str) -> Iterator[SteadyRank]:
    """The SDK, on the real service."""
    with SteadyRank(service_url, api_key) as made:
        yield made

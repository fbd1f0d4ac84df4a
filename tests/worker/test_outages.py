"""What a worker reads and writes while the database is away comes through whole once it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

import worker.datasets
from app.config import Settings
from app.db.models.dataset import Dataset
from app.db.session import Database
from app.jobs.claims import claim
from app.storage.database import DatabaseBlobStore
from tests.factories import make_dataset, make_job, make_ready_dataset
from tests.outages import away
from tests.waiting import wait_until
from worker.blob_files import download, read_model_files
from worker.dataset_content import Content
from worker.datasets import validate_dataset
from worker.job_checkpoints import JobCheckpoints
from worker.resources import Resources
from worker.training.progress import CheckpointKey

T = TypeVar("T")
Outage = Callable[[Callable[[], T]], T]


@pytest.fixture
def in_an_outage(database_url: str, caplog: pytest.LogCaptureFixture) -> Outage[object]:
    """Begin a piece of work while the database is away, let it try, and give its result when it is back."""

    def meet(work: Callable[[], object]) -> object:
        with ThreadPoolExecutor(1) as pool:
            with away(database_url):
                result = pool.submit(work)
                wait_until(lambda: "database unreachable" in caplog.text or result.done())
                assert not result.done()
            return result.result(60)

    return meet


def test_a_checkpoint_is_read(
    database: Database, blobs: DatabaseBlobStore, in_an_outage: Outage[object]
) -> None:
    with database.unit_of_work() as session:
        job_id = make_job(session, make_ready_dataset(session, blobs)).id
    with database.unit_of_work() as session:
        claimed = claim(session, job_id, worker="w@host", lease=timedelta(seconds=600))
    assert claimed is not None
    checkpoints = JobCheckpoints(database, blobs, claimed, beat=lambda: None)
    key = CheckpointKey("warmup", 0, "warmup", 1, 9)
    checkpoints.save(key, b"weights")
    assert in_an_outage(lambda: checkpoints.load("warmup", 0, "warmup")) == [(key, b"weights")]


def test_a_file_is_downloaded(
    database: Database, blobs: DatabaseBlobStore, in_an_outage: Outage[object], tmp_path: Path
) -> None:
    with database.unit_of_work() as session:
        blob_id = blobs.put(session, b"interactions", "text/csv").id
    in_an_outage(lambda: download(blobs, blob_id, tmp_path / "source"))
    assert (tmp_path / "source").read_bytes() == b"interactions"


def test_a_connection_cut_within_a_file_begins_it_anew(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    class CutOnce(DatabaseBlobStore):
        """Loses the database for a moment, after the first chunk of the first reading."""

        chunks = 0

        def _row(self, blob_id: str, n: int) -> tuple[bytes, bytes] | None:
            self.chunks += 1
            if self.chunks == 2:
                with away(database_url):
                    return super()._row(blob_id, n)
            return super()._row(blob_id, n)

    blobs = CutOnce(database.engine)
    content = bytes(range(256)) * 4 * 1024 * 3  # of three chunks
    with database.unit_of_work() as session:
        blob_id = blobs.put(session, content, "text/csv").id
    download(blobs, blob_id, tmp_path / "source")
    assert (tmp_path / "source").read_bytes() == content
    assert blobs.chunks == 2 + 3


def test_a_data_set_that_was_read_is_stored(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blobs = DatabaseBlobStore(database.engine)
    resources = Resources(Settings(database_url=database_url), database, blobs)
    with database.unit_of_work() as session:
        dataset_id = make_dataset(session, blobs).id
    read, outage = worker.datasets.content_of_file, ExitStack()

    def read_then_lose_it(*arguments: Any) -> Content:
        content = read(*arguments)
        outage.enter_context(away(database_url))
        return content

    monkeypatch.setattr(worker.datasets, "content_of_file", read_then_lose_it)
    with ThreadPoolExecutor(1) as pool, outage:
        done = pool.submit(validate_dataset, dataset_id, resources=resources, stopping=threading.Event())
        wait_until(lambda: "database unreachable" in caplog.text or done.done())
        assert not done.done()
        outage.close()
        done.result(60)
    with database.unit_of_work() as session:
        dataset = session.get_one(Dataset, dataset_id)
        assert (dataset.status, dataset.attempts) == ("ready", 1)
        assert b"".join(blobs.read(dataset.canonical_blob or "")).startswith(b"PAR1")


def test_a_models_files_are_read(
    database: Database, blobs: DatabaseBlobStore, in_an_outage: Outage[object]
) -> None:
    with database.unit_of_work() as session:
        blob_id = blobs.put(session, b"{}", "application/json").id
    assert in_an_outage(lambda: read_model_files(blobs, {"config.json": blob_id})) == {"config.json": b"{}"}

"""What a worker reads and writes while the database is away comes through whole once it is back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from app.db.session import Database
from app.jobs.claims import claim
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset
from tests.outages import away
from tests.waiting import wait_until
from worker.blob_files import download, read_model_files
from worker.job_checkpoints import JobCheckpoints
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


def test_a_models_files_are_read(
    database: Database, blobs: DatabaseBlobStore, in_an_outage: Outage[object]
) -> None:
    with database.unit_of_work() as session:
        blob_id = blobs.put(session, b"{}", "application/json").id
    assert in_an_outage(lambda: read_model_files(blobs, {"config.json": blob_id})) == {"config.json": b"{}"}

"""What a job has made is read back before the job succeeds."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.models.blob import BlobChunk
from app.db.models.job import Job
from app.db.models.job_file import JobFile
from app.db.models.model import Model
from app.db.session import Database
from app.errors import BlobDamagedError
from app.storage.blobs import DEFAULT_CONTENT_TYPE, BlobInfo
from app.storage.database import DatabaseBlobStore, DatabaseBlobWriter
from tests.trained_jobs import log_of, store_log, train_job
from worker.resources import Resources


class DamagingWriter(DatabaseBlobWriter):
    """Writes all, and then one chunk is another."""

    def __init__(self, engine: Engine, content_type: str) -> None:
        super().__init__(engine, content_type)
        self._disk = engine

    def finish(self, session: Session) -> BlobInfo:
        info = super().finish(session)
        with self._disk.begin() as connection:
            damaged = update(BlobChunk).where(BlobChunk.blob_id == info.id, BlobChunk.n == 0)
            assert connection.execute(damaged.values(data=b"x" * info.size)).rowcount == 1
        return info


class DamagingStore(DatabaseBlobStore):
    """Damages what is of one type."""

    def __init__(self, engine: Engine, damaged: str) -> None:
        super().__init__(engine)
        self._disk, self._damaged = engine, damaged

    def open_writer(self, content_type: str = DEFAULT_CONTENT_TYPE) -> DatabaseBlobWriter:
        damages = content_type.startswith(self._damaged)
        return DamagingWriter(self._disk, content_type) if damages else super().open_writer(content_type)


@pytest.mark.parametrize("damaged", ["application/x-safetensors", "text/html"], ids=["weights", "report"])
def test_a_job_whose_files_cannot_be_read_back_does_not_succeed(
    database: Database, database_url: str, damaged: str
) -> None:
    settings = Settings(database_url=database_url, device="cpu")
    resources = Resources(settings, database, DamagingStore(database.engine, damaged))
    dataset = store_log(resources, log_of(40))
    with pytest.raises(BlobDamagedError):
        train_job(resources, dataset)
    with database.unit_of_work() as session:
        assert session.execute(select(Job.status)).scalar_one() == "running"
        for table in (Model, JobFile):
            assert session.execute(select(func.count()).select_from(table)).scalar_one() == 0


class CutWriter(DatabaseBlobWriter):
    """Loses its connection at the first write of all."""

    cut = False

    def write(self, data: bytes) -> None:
        if not CutWriter.cut:
            CutWriter.cut = True
            raise OperationalError("INSERT", {}, Exception("the connection was closed"))
        super().write(data)


class CutStore(DatabaseBlobStore):
    """Hands out such writers."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._disk = engine

    def open_writer(self, content_type: str = DEFAULT_CONTENT_TYPE) -> DatabaseBlobWriter:
        return CutWriter(self._disk, content_type)


def test_a_file_whose_writing_was_cut_off_is_written_anew(database: Database, database_url: str) -> None:
    CutWriter.cut = False
    resources = Resources(
        Settings(database_url=database_url, device="cpu"), database, CutStore(database.engine)
    )
    dataset = store_log(
        Resources(resources.settings, database, DatabaseBlobStore(database.engine)), log_of(40)
    )
    train_job(resources, dataset)
    assert CutWriter.cut
    with database.unit_of_work() as session:
        assert session.execute(select(Job.status)).scalar_one() == "succeeded"

"""What goes when its time is over, what stays, and that every delete tells the bytes that it freed."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, update

from app.config import Settings
from app.db.models.blob import BlobChunk
from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.job_log import JobLog
from app.db.models.model import Model
from app.db.models.project import Project
from app.db.session import Database
from app.jobs.life import record
from app.jobs.reaper import sweep_retained
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV
from tests.stored_models import store_models


@pytest.fixture
def model_id(database: Database, blobs: DatabaseBlobStore) -> str:
    """A model whose job ended ten days ago, with a checkpoint, an event and a line of its log."""
    (model_id,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        job = session.get_one(Job, session.get_one(Model, model_id).job_id)
        blob = blobs.put(session, b"s" * 1000)
        where = {"kind": "best", "seed": 0, "arm": "cascade", "epoch": 1, "step": 1, "attempt": 1}
        stored = {"blob_id": blob.id, "bytes": blob.size, "sha256": blob.sha256}
        session.add(Checkpoint(job_id=job.id, **where, **stored))
        first = session.execute(select(JobEvent).where(JobEvent.job_id == job.id, JobEvent.sequence == 1))
        first.scalar_one().type = "note"
        record(session, job, "note", "the last one")
        session.add(JobLog(job_id=job.id, attempt=1, number=1, at=func.now(), level="info", text="hello"))
        job.ended_at = func.now() - timedelta(days=10)
    return model_id


def chunk_bytes(database: Database) -> int:
    with database.unit_of_work() as session:
        size = func.coalesce(func.sum(func.octet_length(BlobChunk.data)), 0)
        return int(session.execute(select(size)).scalar_one())


def left(database: Database) -> tuple[int, int, int]:
    """Checkpoints, events that tell no status, log lines."""
    with database.unit_of_work() as session:
        kinds = (
            select(func.count()).select_from(Checkpoint),
            select(func.count()).select_from(JobEvent).where(JobEvent.type == "note"),
            select(func.count()).select_from(JobLog),
        )
        a, b, c = (session.execute(kind).scalar_one() for kind in kinds)
        return a, b, c


def test_what_expired_goes_and_the_rest_stays(
    database: Database, blobs: DatabaseBlobStore, model_id: str, client: httpx.Client
) -> None:
    before = chunk_bytes(database)
    for settings in (Settings(), Settings(retain_checkpoints_days=11, retain_events_days=11)):
        sweep_retained(database, blobs, settings)
        assert left(database) == (1, 2, 1)
    sweep_retained(database, blobs, Settings(retain_checkpoints_days=9))
    assert left(database) == (0, 2, 1)
    assert chunk_bytes(database) == before - 1000
    with database.unit_of_work() as session:
        session.execute(update(Project).values(retention={"events_days": 9}))
    sweep_retained(database, blobs, Settings())
    assert left(database) == (0, 1, 0), "the last event stays"
    job = client.get(f"/v1/models/{model_id}").json()["job"]
    shown = client.get(f"/v1/jobs/{job}").json()
    assert (shown["status"], shown["status_history"][-1]["status"]) == ("succeeded", "succeeded")
    streamed = client.get(f"/v1/jobs/{job}/events", headers={"Accept": "text/event-stream"}, timeout=10)
    assert "the last one" in streamed.text, "and the stream ends"


def test_a_project_may_keep_what_the_settings_would_not(
    database: Database, blobs: DatabaseBlobStore, model_id: str
) -> None:
    with database.unit_of_work() as session:
        session.execute(update(Project).values(retention={"checkpoints_days": 0, "events_days": 0}))
    sweep_retained(database, blobs, Settings(retain_checkpoints_days=1, retain_events_days=1))
    assert left(database) == (1, 2, 1)


def test_what_runs_is_not_swept(database: Database, blobs: DatabaseBlobStore, model_id: str) -> None:
    with database.unit_of_work() as session:
        lease = func.now() + timedelta(seconds=60)
        session.execute(update(Job).values(status="running", ended_at=None, lease_until=lease))
    sweep_retained(database, blobs, Settings(retain_checkpoints_days=1, retain_events_days=1))
    assert left(database) == (1, 2, 1)


def test_every_delete_frees_the_bytes_that_it_says(
    database: Database, model_id: str, client: httpx.Client
) -> None:
    uploaded = client.post("/v1/datasets?filename=a.csv", content=CSV).json()["id"]
    upload = client.post("/v1/uploads", json={}).json()["id"]
    assert client.put(f"/v1/uploads/{upload}/parts/1", content=b"y" * 777).is_success
    model = client.get(f"/v1/models/{model_id}").json()
    paths = (
        f"/v1/datasets/{uploaded}",
        f"/v1/uploads/{upload}",
        f"/v1/jobs/{model['job']}?models=true",
        f"/v1/datasets/{model['dataset']}",
    )
    freed = []
    for path in paths:
        before = chunk_bytes(database)
        answer = client.delete(path)
        assert answer.is_success, answer.text
        freed.append(answer.json()["freed_bytes"])
        assert freed[-1] == before - chunk_bytes(database) > 0, path
    assert freed[:2] == [len(CSV), 777]
    assert chunk_bytes(database) == 0


def test_deleting_a_model_alone_frees_its_files(
    database: Database, model_id: str, client: httpx.Client
) -> None:
    before = chunk_bytes(database)
    freed = client.delete(f"/v1/models/{model_id}").json()["freed_bytes"]
    assert freed == before - chunk_bytes(database) > 0

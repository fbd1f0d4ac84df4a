"""Rows for tests, made through the services where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts import service as accounts
from app.config import Settings
from app.datasets import validation, versions
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.session import Database, Message
from app.jobs import submitting
from app.jobs.request_schemas import JobCreate
from app.storage.blobs import BlobStore

CSV = b"user_id,item_id,timestamp\n" + b"".join(
    b"u%d,i%d,%d\n" % (user, (user + step) % 7, 1_700_000_000 + 10 * user + step)
    for user in range(6)
    for step in range(5)
)


class RecordingSender:
    """A queue that keeps what was sent, for tests without a broker."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def ping(self) -> None:
        """There is nothing to reach."""


@contextmanager
def opened(url: str, sender: RecordingSender) -> Iterator[Database]:
    """A way to the database while the block runs."""
    database = Database(url, sender=sender)
    yield database
    database.dispose()


def make_dataset(
    session: Session, blobs: BlobStore, *, project: str = "default", name: str = "log.csv", data: bytes = CSV
) -> Dataset:
    """A data set `validating`, whose wake-up was sent at the start of the transaction."""
    original = blobs.put(session, data)
    project_id = accounts.project_id(session, project)
    dataset = Dataset(
        project_id=project_id,
        name=name,
        version=versions.next_version(session, project_id, name),
        status="validating",
        filename=name,
        bytes=original.size,
        sha256=original.sha256,
        options={},
        problems=[],
        original_blob=original.id,
    )
    session.add(dataset)
    session.flush()
    return dataset


def make_ready_dataset(
    session: Session,
    blobs: BlobStore,
    *,
    canonical: bytes = b"PAR1PAR1PAR1",
    stats: dict[str, Any] | None = None,
    time_column: str | None = "timestamp",
    **given: Any,
) -> Dataset:
    """A data set `ready`, moved there as the light worker does."""
    dataset = make_dataset(session, blobs, **given)
    claim = validation.claim_validation(session, dataset.id, lease_seconds=60)
    assert claim is not None
    counts = stats or {"users": 6, "items": 7, "interactions": 30, "first_at": None, "last_at": None}
    columns = {"user": "user_id", "item": "item_id", "time": time_column, "rating": None, "guessed": True}
    reading = validation.Reading(format="csv", columns=columns, stats=counts, problems=[])
    assert validation.accept(session, claim, reading, blobs.put(session, canonical).id)
    session.refresh(dataset)
    return dataset


def age(session: Session, dataset: Dataset, seconds: float) -> None:
    """Let the data set's wake-up and claim have happened that much earlier."""
    now = session.execute(select(func.now())).scalar_one()
    dataset.sent_at = now - timedelta(seconds=seconds)
    if dataset.lease_until is not None:
        dataset.lease_until = now - timedelta(seconds=seconds)
    session.flush()


def make_job(session: Session, dataset: Dataset, *, max_attempts: int = 3, **spec: Any) -> Job:
    """A queued job on that data set, made through the service."""
    settings = Settings(max_attempts=max_attempts)
    return submitting.create(session, settings, dataset.project_id, JobCreate(dataset=dataset.id, **spec))


def expire(session: Session, job: Job) -> None:
    """Let the job's lease have run out a second ago."""
    job.lease_until = session.execute(select(func.clock_timestamp())).scalar_one() - timedelta(seconds=1)
    session.flush()

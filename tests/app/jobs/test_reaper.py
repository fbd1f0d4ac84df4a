from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.clock import clock_time
from app.db.models.blob import Blob
from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.models.worker import Worker
from app.db.session import Database
from app.jobs import reaper
from app.jobs.claims import claim
from app.jobs.reaper import look, reap_expired, reap_once, resend_waiting
from app.jobs.steering import cancel
from app.jobs.workers import forget_gone
from app.queue import CeleryQueue, make_celery
from app.storage.database import DatabaseBlobStore
from app.task_names import TRAIN_QUEUE
from tests.factories import RecordingSender, expire, make_job, make_ready_dataset
from tests.waiting import wait_until
from worker.child_process import as_environment

LEASE = timedelta(seconds=30)
Prepare = Callable[[Session, Job], None]


def make(database: Database, blobs: DatabaseBlobStore, *, max_attempts: int = 3) -> Job:
    with database.unit_of_work() as session:
        return make_job(session, make_ready_dataset(session, blobs), max_attempts=max_attempts)


def run(database: Database, job: Job, *, expired: bool = True) -> None:
    with database.unit_of_work() as session:
        assert claim(session, job.id, worker="w@host", lease=LEASE)
    if expired:
        with database.unit_of_work() as session:
            expire(session, session.get_one(Job, job.id))


def status_of(database: Database, job: Job) -> str:
    with database.unit_of_work() as session:
        return session.get_one(Job, job.id).status


def test_an_expired_job_is_queued_again_and_sent_after_the_commit(
    database: Database, blobs: DatabaseBlobStore, sender: RecordingSender
) -> None:
    job = make(database, blobs)
    run(database, job)
    sender.sent.clear()
    with database.unit_of_work() as session:
        assert reap_expired(session) == [job.id]
        assert sender.sent == []
    assert [(m.args, m.queue) for m in sender.sent] == [((job.id,), TRAIN_QUEUE)]
    assert status_of(database, job) == "queued"


def test_what_a_rolled_back_look_wanted_to_send_is_not_sent(
    database: Database, blobs: DatabaseBlobStore, sender: RecordingSender
) -> None:
    job = make(database, blobs)
    run(database, job)
    sender.sent.clear()
    with database.sessions() as session:
        assert reap_expired(session) == [job.id]
        session.rollback()
    assert sender.sent == []
    assert status_of(database, job) == "running"


def test_the_last_attempt_that_is_lost_fails_the_job(database: Database, blobs: DatabaseBlobStore) -> None:
    job = make(database, blobs, max_attempts=1)
    run(database, job)
    with database.unit_of_work() as session:
        reap_expired(session)
    with database.unit_of_work() as session:
        found = session.get_one(Job, job.id)
        assert found.status == "failed"
        assert found.error is not None
        assert found.error["code"] == "worker_lost"


def test_a_job_that_was_being_cancelled_is_cancelled(database: Database, blobs: DatabaseBlobStore) -> None:
    job = make(database, blobs, max_attempts=1)
    run(database, job, expired=False)
    with database.unit_of_work() as session:
        expire(session, cancel(session, job.project_id, job.id))
    with database.unit_of_work() as session:
        reap_expired(session)
    assert status_of(database, job) == "cancelled"


def test_a_job_whose_lease_lasts_is_left_alone(database: Database, blobs: DatabaseBlobStore) -> None:
    job = make(database, blobs)
    run(database, job, expired=False)
    with database.unit_of_work() as session:
        assert reap_expired(session) == []
    assert status_of(database, job) == "running"


def test_two_reapers_move_a_job_once(
    database: Database, blobs: DatabaseBlobStore, settings: Settings
) -> None:
    jobs = [make(database, blobs) for _ in range(5)]
    for job in jobs:
        run(database, job)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: look(database, blobs, settings), range(4)))
    with database.unit_of_work() as session:
        requeued = select(func.count()).select_from(JobEvent).where(JobEvent.data["from"].astext == "running")
        assert session.execute(requeued).scalar_one() == len(jobs)
    assert {status_of(database, job) for job in jobs} == {"queued"}


def test_a_locked_row_is_another_reapers(database: Database, blobs: DatabaseBlobStore) -> None:
    job = make(database, blobs)
    run(database, job)
    with database.unit_of_work() as first, database.unit_of_work() as second:
        assert reap_expired(first) == [job.id]
        assert reap_expired(second) == []


def wait_for(session: Session, job: Job, *, queued: float, sent: float) -> None:
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    found = session.get_one(Job, job.id)
    found.queued_at, found.sent_at = now - timedelta(seconds=queued), now - timedelta(seconds=sent)


@pytest.mark.parametrize(
    ("queued", "sent", "again"),
    [
        (5, 5, False),
        (31, 31, True),
        (100, 31, True),
        (1000, 31, False),  # workers are busy: less often
        (1000, 251, True),
        (1_000_000, 270, False),
        (1_000_000, 301, True),  # but never less than every tenth time
    ],
)
def test_a_waiting_job_is_sent_again_when_its_wakeup_is_old(
    database: Database,
    blobs: DatabaseBlobStore,
    settings: Settings,
    sender: RecordingSender,
    *,
    queued: float,
    sent: float,
    again: bool,
) -> None:
    assert settings.resend_after_seconds == 30
    job = make(database, blobs)
    with database.unit_of_work() as session:
        wait_for(session, job, queued=queued, sent=sent)
    sender.sent.clear()
    with database.unit_of_work() as session:
        resend_waiting(session, settings)
    assert [message.args for message in sender.sent] == ([(job.id,)] if again else [])
    sender.sent.clear()
    with database.unit_of_work() as session:
        assert resend_waiting(session, settings) == []


def test_a_flushed_broker_loses_nothing(
    database_url: str, blobs: DatabaseBlobStore, settings: Settings, broker_url: str
) -> None:
    celery = make_celery(settings)
    sending = Database(database_url, sender=CeleryQueue(celery))
    broker = redis.Redis.from_url(broker_url)
    try:
        job = make(sending, blobs)
        assert broker.llen(TRAIN_QUEUE) == 1
        broker.flushdb()
        with sending.unit_of_work() as session:
            wait_for(session, job, queued=40, sent=40)
        with sending.unit_of_work() as session:
            reap_once(session, settings)
            assert broker.llen(TRAIN_QUEUE) == 0
        assert broker.llen(TRAIN_QUEUE) == 1
    finally:
        broker.close()
        sending.dispose()
        celery.close()


def test_a_database_that_is_away_is_survived(caplog: pytest.LogCaptureFixture, settings: Settings) -> None:
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    look(away, DatabaseBlobStore(away.engine), settings)
    assert "could not look" in caplog.text


def test_the_process_reaps_and_ends_promptly(
    database: Database, blobs: DatabaseBlobStore, database_url: str, broker_url: str
) -> None:
    job = make(database, blobs)
    run(database, job)
    settings = Settings(database_url=database_url, redis_url=broker_url, reaper_seconds=60.0)
    reaper = subprocess.Popen(
        [sys.executable, "-m", "app.jobs.reaper"], env=as_environment(settings), stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: status_of(database, job) == "queued")
        reaper.send_signal(signal.SIGTERM)
        assert reaper.wait(30) == 0  # half of its pause
    finally:
        reaper.kill()
        reaper.wait()


@pytest.mark.parametrize(
    "part",
    [
        *("reap_expired", "recover_validating", "recover_batches", "recover_evaluations", "tidy_probes"),
        *(
            "fail_those_that_waited_too_long",
            "resend_waiting",
            "forget_gone",
            "forget_deliveries",
            "forget_old",
        ),
    ],
)
def test_every_part_belongs_to_a_look(
    database: Database,
    blobs: DatabaseBlobStore,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    *,
    part: str,
) -> None:
    done, whole = [], getattr(reaper, part)

    def noted(*given: Any, **named: Any) -> Any:
        done.append(part)
        return whole(*given, **named)

    monkeypatch.setattr(reaper, part, noted)
    blobs.open_writer().write(b"abandoned")
    assert look(database, blobs, settings.model_copy(update={"abandoned_upload_seconds": 0}))
    assert done == [part]
    with database.unit_of_work() as session:
        assert session.execute(select(func.count()).select_from(Blob)).scalar_one() == 0


def test_a_part_that_always_fails_keeps_no_other_from_its_work(
    database: Database,
    blobs: DatabaseBlobStore,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(session: Session, _: Settings) -> None:
        session.execute(text("SELECT no_such_column"))

    done = []
    monkeypatch.setattr(reaper, "recover_validating", broken)
    monkeypatch.setattr(reaper, "tidy_probes", lambda session: done.append(session.execute(text("SELECT 1"))))
    assert look(database, blobs, settings)
    assert len(done) == 1
    assert "no_such_column" in caplog.text


def test_the_process_sweeps_and_spares_after_an_absence(
    database: Database, blobs: DatabaseBlobStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept, stopped = threading.Event(), threading.Event()
    monkeypatch.setattr(reaper, "sweep_retained", lambda *_: swept.set())  # comes after the look
    monkeypatch.setattr(reaper.Absence, "spares", lambda *_: True)
    job = make(database, blobs)
    run(database, job)
    often = settings.model_copy(update={"reaper_seconds": 0.05})
    thread = threading.Thread(target=reaper.run, args=(often, stopped))
    thread.start()
    try:
        assert swept.wait(60)
    finally:
        stopped.set()
        thread.join(60)
    assert status_of(database, job) == "running"


def test_a_worker_that_was_not_seen_for_long_is_forgotten(session: Session) -> None:
    now = clock_time(session)
    for name, ago in (("gone", timedelta(hours=2)), ("here", timedelta(0))):
        session.add(Worker(id=name, queue=TRAIN_QUEUE, versions={}, seen_at=now - ago))
    session.flush()
    forget_gone(session)
    assert session.execute(select(Worker.id)).scalars().all() == ["here"]

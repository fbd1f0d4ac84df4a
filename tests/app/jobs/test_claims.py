from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.db.models.job import Job
from app.db.models.job_event import JobEvent
from app.db.session import Database
from app.jobs.attempts import note_environment, seconds_used
from app.jobs.claims import Claim, LeaseLost, claim, hold, lose_attempt, release, renew, wanted
from app.jobs.life import Status, lock, move, record
from app.jobs.steering import cancel
from app.storage.database import DatabaseBlobStore
from tests.factories import RecordingSender, make_job, make_ready_dataset

LEASE = timedelta(seconds=30)


@pytest.fixture
def job_id(database: Database, blobs: DatabaseBlobStore, sender: RecordingSender) -> str:
    with database.unit_of_work() as session:
        job_id = make_job(session, make_ready_dataset(session, blobs), max_attempts=2).id
    sender.sent.clear()
    return job_id


def take(database: Database, job_id: str) -> Claim | None:
    with database.unit_of_work() as session:
        return claim(session, job_id, worker="w@host", lease=LEASE)


def taken(database: Database, job_id: str) -> Claim:
    claimed = take(database, job_id)
    assert claimed is not None
    return claimed


def row(database: Database, job_id: str) -> Job:
    with database.unit_of_work() as session:
        return session.execute(select(Job).where(Job.id == job_id)).scalar_one()


def test_of_many_claims_at_once_one_wins(database: Database, job_id: str) -> None:
    together = threading.Barrier(6)

    def race(_: int) -> Claim | None:
        together.wait()
        return take(database, job_id)

    with ThreadPoolExecutor(6) as pool:
        claims = [claimed for claimed in pool.map(race, range(6)) if claimed is not None]
    assert claims == [Claim(job_id, 1)]
    assert row(database, job_id).attempt == 1


def test_a_message_delivered_again_finds_nothing(database: Database, job_id: str) -> None:
    assert take(database, job_id) is not None
    assert take(database, job_id) is None
    assert take(database, "job_00000000000000000000000000") is None


def test_a_job_cancelled_while_queued_is_never_taken(database: Database, job_id: str) -> None:
    with database.unit_of_work() as session:
        cancel(session, row(database, job_id).project_id, job_id)
    assert take(database, job_id) is None


def test_an_old_attempt_can_write_nothing(database: Database, job_id: str) -> None:
    old = taken(database, job_id)
    with database.unit_of_work() as session:
        release(session, old, message="bye")
    between = row(database, job_id)
    for held in (False, True):
        if held:
            taken(database, job_id)
        for write in (
            lambda session: hold(session, old),
            lambda session: renew(session, old, lease=LEASE),
            lambda session: wanted(session, old),
            lambda session: release(session, old, message="again"),
            lambda session: note_environment(session, old, {}),
        ):
            with pytest.raises(LeaseLost), database.unit_of_work() as session:
                write(session)
    after = row(database, job_id)
    assert (after.status, after.attempt) == ("running", between.attempt + 1)


def test_nothing_can_be_written_after_the_end(database: Database, job_id: str) -> None:
    claimed = taken(database, job_id)
    with database.unit_of_work() as session:
        error = {"code": "diverged", "message": "no"}
        move(session, hold(session, claimed), Status.FAILED, message="no", error=error)
    with pytest.raises(LeaseLost), database.unit_of_work() as session:
        hold(session, claimed)


def test_renewing_pushes_the_end_away_and_is_not_a_change_that_clients_see(
    database: Database, job_id: str
) -> None:
    claimed = taken(database, job_id)
    before = row(database, job_id)
    with database.unit_of_work() as session:
        renew(session, claimed, lease=timedelta(seconds=300))
    after = row(database, job_id)
    assert before.lease_until is not None
    assert after.lease_until is not None
    assert after.lease_until - before.lease_until > timedelta(seconds=200)
    assert after.updated_at == before.updated_at


def test_giving_back_in_order_costs_no_attempt_and_wakes_a_worker(
    database: Database, job_id: str, sender: RecordingSender
) -> None:
    for attempt in (1, 2, 3):
        claimed = taken(database, job_id)
        assert claimed.attempt == attempt
        with database.unit_of_work() as session:
            release(session, claimed, message="bye")
            assert sender.sent == []
        assert [message.args for message in sender.sent] == [(job_id,)]
        sender.sent.clear()
    assert (row(database, job_id).status, row(database, job_id).attempts_lost) == ("queued", 0)


def test_lost_attempts_are_counted_until_none_is_left(database: Database, job_id: str) -> None:
    def lose() -> None:
        with database.unit_of_work() as session:
            job = lock(session, job_id)
            lose_attempt(session, job, code="out_of_memory", message="killed", hint="less")

    taken(database, job_id)
    lose()
    assert row(database, job_id).status == "queued"
    assert row(database, job_id).error is None
    taken(database, job_id)
    lose()
    job = row(database, job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "out_of_memory"
    assert job.error["attempt"] == 2
    assert job.error["phase"] == "preparing"
    assert "attempt 2 of 2" in job.error["message"]


def test_a_cancelled_job_that_loses_its_worker_is_cancelled(database: Database, job_id: str) -> None:
    claimed = taken(database, job_id)
    with database.unit_of_work() as session:
        cancel(session, row(database, job_id).project_id, job_id)
    with database.unit_of_work() as session:
        assert wanted(session, claimed) == "cancelling"
        lose_attempt(session, lock(session, job_id), code="worker_lost", message="gone", hint="")
    assert row(database, job_id).status == "cancelled"


def test_the_time_of_ended_attempts_adds_up(database: Database, job_id: str) -> None:
    with database.unit_of_work() as session:
        assert seconds_used(session, job_id) == 0.0
    claimed = taken(database, job_id)
    with database.unit_of_work() as session:
        assert seconds_used(session, job_id) == 0.0
        release(session, claimed, message="bye")
    with database.unit_of_work() as session:
        assert 0.0 < seconds_used(session, job_id) < 30.0


def test_events_written_at_once_keep_their_numbers_gapless(database: Database, job_id: str) -> None:
    claimed = taken(database, job_id)

    def write(number: int) -> None:
        with database.unit_of_work() as session:
            record(session, hold(session, claimed), "training.note", str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(12)))
    with database.unit_of_work() as session:
        numbers = session.execute(select(JobEvent.sequence).order_by(JobEvent.sequence)).scalars().all()
        assert numbers == list(range(1, 15))
        assert session.execute(select(func.max(Job.last_sequence))).scalar_one() == 14

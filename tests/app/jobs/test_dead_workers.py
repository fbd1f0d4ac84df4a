"""A worker that is known to be dead: the reaper takes its jobs at the next look, and no other's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.config import Settings
from app.db.clock import clock_time
from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.session import Database
from app.jobs.absence import Absence
from app.jobs.attempts import seconds_used
from app.jobs.claims import LeaseLost, claim, end_leases, hold
from app.jobs.reaper import reap_expired, reap_once
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset

LEASE = timedelta(hours=1)


def test_its_jobs_are_queued_again_at_the_next_look_and_no_others(
    database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs)
        dead, living = (make_job(session, dataset).id for _ in range(2))
    with database.unit_of_work() as session:
        claimed = claim(session, dead, worker="train1@here", lease=LEASE)
        claim(session, living, worker="train2@here", lease=LEASE)
    assert claimed is not None
    with database.unit_of_work() as session:
        assert end_leases(session, "train3@here") == []
        assert end_leases(session, "train1@here") == [dead]
    with database.unit_of_work() as session:
        assert reap_expired(session) == [dead]
    with database.unit_of_work() as session:
        assert [session.get_one(Job, job_id).status for job_id in (dead, living)] == ["queued", "running"]
    with database.unit_of_work() as session, pytest.raises(LeaseLost):
        hold(session, claimed)


def test_what_the_dead_one_had_before_is_anothers_now(database: Database, blobs: DatabaseBlobStore) -> None:
    with database.unit_of_work() as session:
        job_id = make_job(session, make_ready_dataset(session, blobs)).id
    with database.unit_of_work() as session:
        claim(session, job_id, worker="train1@here", lease=LEASE)
        end_leases(session, "train1@here")
    with database.unit_of_work() as session:
        reap_expired(session)
    with database.unit_of_work() as session:
        assert claim(session, job_id, worker="train2@here", lease=LEASE) is not None
        assert end_leases(session, "train1@here") == []


def test_a_job_is_not_charged_with_the_hours_in_which_the_machine_was_off(
    database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        job_id = make_job(session, make_ready_dataset(session, blobs)).id
    with database.unit_of_work() as session:
        claim(session, job_id, worker="train1@here", lease=timedelta(seconds=45))
    with database.unit_of_work() as session:  # twenty minutes of training, then nine hours of nothing
        job, began = session.get_one(Job, job_id), clock_time(session) - timedelta(hours=9, minutes=20)
        job.lease_until = began + timedelta(minutes=20)
        session.execute(update(JobAttempt).values(started_at=began))
    with database.unit_of_work() as session:
        assert reap_expired(session) == [job_id]
    with database.unit_of_work() as session:
        assert seconds_used(session, job_id) == 20 * 60


def test_after_an_absence_a_living_worker_has_a_lease_of_time_to_show_itself() -> None:
    absence = Absence(45.0)
    assert not absence.spares(1000.0)  # a service that starts: whose lease ran out is dead
    absence.seen(1000.0)
    assert not absence.spares(1020.0)
    absence.seen(1020.0)
    assert absence.spares(9000.0)  # the machine slept
    assert absence.spares(9005.0)  # and the database was not there yet: the time begins when it is
    absence.seen(9005.0)
    for at in (9025.0, 9045.0):
        assert absence.spares(at)
        absence.seen(at)
    assert not absence.spares(9051.0)


def test_a_look_that_spares_takes_nothing_from_anybody(
    database: Database, blobs: DatabaseBlobStore, settings: Settings
) -> None:
    with database.unit_of_work() as session:
        job_id = make_job(session, make_ready_dataset(session, blobs)).id
    with database.unit_of_work() as session:
        claim(session, job_id, worker="train1@here", lease=timedelta(0))
    for spare, status in ((True, "running"), (False, "queued")):
        with database.unit_of_work() as session:
            reap_once(session, settings, spare=spare)
        with database.unit_of_work() as session:
            assert session.get_one(Job, job_id).status == status

"""A worker that is known to be dead: the reaper takes its jobs at the next look, and no other's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.db.models.job import Job
from app.db.session import Database
from app.jobs.claims import LeaseLost, claim, end_leases, hold
from app.jobs.reaper import reap_expired
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

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.session import Database
from app.jobs.claims import Claim, LeaseLost, claim, release
from app.jobs.steering import cancel, pause
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset
from worker.ending import settle
from worker.pipe import End
from worker.watch import Asked

KILLED = -int(signal.SIGKILL)
DIVERGED = End("error", code="diverged", message="step 3 is not finite", hint="less")


@pytest.fixture
def claimed(database: Database, blobs: DatabaseBlobStore) -> Claim:
    with database.unit_of_work() as session:
        job = make_job(session, make_ready_dataset(session, blobs), max_attempts=1)
        found = claim(session, job.id, worker="w@host", lease=timedelta(seconds=30))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("end", "asked", "code", "status", "error"),
    [
        (DIVERGED, Asked.NOTHING, 4, "failed", "diverged"),
        (DIVERGED, Asked.SHUTDOWN, 4, "failed", "diverged"),
        (End("stopped", saved=True), Asked.SHUTDOWN, 0, "queued", None),
        (None, Asked.SHUTDOWN, KILLED, "queued", None),
        (End("stopped", saved=True), Asked.NOTHING, 0, "queued", None),
        (End("stopped", saved=True), Asked.RUNTIME, 0, "failed", "max_runtime_exceeded"),
        (None, Asked.HUNG, KILLED, "failed", "worker_lost"),
        (None, Asked.NOTHING, KILLED, "failed", "out_of_memory"),
        (None, Asked.NOTHING, -int(signal.SIGSEGV), "failed", "internal"),
        (None, Asked.NOTHING, 1, "failed", "internal"),
        (End("unavailable", message="no database"), Asked.NOTHING, 4, "failed", "worker_lost"),
        (None, Asked.LEASE_LOST, KILLED, "running", None),
    ],
)
@pytest.mark.parametrize("cancelled", [False, True])
def test_every_end_has_its_status(
    *,
    database: Database,
    claimed: Claim,
    end: End | None,
    asked: Asked,
    code: int,
    status: str,
    error: str | None,
    cancelled: bool,
) -> None:
    if cancelled:
        with database.unit_of_work() as session:
            cancel(session, session.get_one(Job, claimed.job_id).project_id, claimed.job_id)
    with database.unit_of_work() as session:
        settle(session, claimed, end=end, asked=asked, code=code)
    with database.unit_of_work() as session:
        job = session.get_one(Job, claimed.job_id)
        attempt = session.execute(select(JobAttempt)).scalar_one()
        if cancelled:
            assert job.status == ("cancelling" if asked is Asked.LEASE_LOST else "cancelled")
            return
        assert job.status == status
        assert (job.error or {}).get("code") == error
        assert status != "failed" or (job.error or {})["hint"]
        assert (
            attempt.outcome
            == {
                "queued": "released",
                "running": "running",
                "failed": "failed" if error in {"diverged", "max_runtime_exceeded"} else "lost",
            }[status]
        )


@pytest.mark.parametrize(
    ("end", "asked", "code", "status", "outcome"),
    [
        (End("stopped", saved=True), Asked.PAUSE, 0, "paused", "paused"),
        (None, Asked.PAUSE, KILLED, "paused", "paused"),
        (End("stopped", saved=True), Asked.SHUTDOWN, 0, "paused", "paused"),
        (None, Asked.HUNG, KILLED, "paused", "paused"),
        (End("unavailable", message="no database"), Asked.NOTHING, 4, "paused", "lost"),
        (DIVERGED, Asked.PAUSE, 4, "failed", "failed"),
    ],
)
def test_a_job_that_is_to_pause_pauses(
    *,
    database: Database,
    claimed: Claim,
    end: End | None,
    asked: Asked,
    code: int,
    status: str,
    outcome: str,
) -> None:
    with database.unit_of_work() as session:
        assert (
            pause(session, session.get_one(Job, claimed.job_id).project_id, claimed.job_id).status
            == "pausing"
        )
    with database.unit_of_work() as session:
        settle(session, claimed, end=end, asked=asked, code=code)
    with database.unit_of_work() as session:
        job = session.get_one(Job, claimed.job_id)
        assert (job.status, job.lease_until) == (status, None)
        assert session.execute(select(JobAttempt.outcome)).scalar_one() == outcome


def test_an_attempt_that_is_over_is_left_alone(database: Database, claimed: Claim) -> None:
    with database.unit_of_work() as session:
        release(session, claimed, message="bye")
    with pytest.raises(LeaseLost), database.unit_of_work() as session:
        settle(session, claimed, end=DIVERGED, asked=Asked.NOTHING, code=4)

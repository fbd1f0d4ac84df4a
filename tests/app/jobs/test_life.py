from __future__ import annotations

import re
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models.job import Job
from app.db.models.job_attempt import JobAttempt
from app.db.models.job_event import JobEvent
from app.db.session import pending_messages
from app.jobs.attempts import seconds_used
from app.jobs.life import HELD, MOVES, TERMINAL, Status, move, record
from app.state_errors import JobStateError
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset

ROOT = Path(__file__).resolve().parents[3]
LEASE = timedelta(seconds=30)
WAYS: dict[Status, list[Status]] = {
    Status.QUEUED: [],
    Status.RUNNING: [Status.RUNNING],
    Status.PAUSING: [Status.RUNNING, Status.PAUSING],
    Status.PAUSED: [Status.PAUSED],
    Status.CANCELLING: [Status.RUNNING, Status.CANCELLING],
    Status.SUCCEEDED: [Status.RUNNING, Status.SUCCEEDED],
    Status.FAILED: [Status.RUNNING, Status.FAILED],
    Status.CANCELLED: [Status.CANCELLED],
}


def go(session: Session, job: Job, to: Status) -> Job:
    if to is Status.SUCCEEDED:
        job.report = {"schema_version": 1}
    error = {"code": "internal", "message": "no"} if to is Status.FAILED else None
    worker = "w" if to is Status.RUNNING else None
    return move(session, job, to, message=f"to {to}", error=error, worker=worker, lease=LEASE)


@pytest.fixture
def job(session: Session, blobs: DatabaseBlobStore) -> Job:
    return make_job(session, make_ready_dataset(session, blobs))


@pytest.mark.parametrize(("before", "to"), list(product(Status, Status)))
def test_only_the_moves_of_the_table_are_possible(
    session: Session, job: Job, before: Status, to: Status
) -> None:
    for step in WAYS[before]:
        go(session, job, step)
    assert job.status == before
    last = job.last_sequence
    if to in MOVES[before]:
        go(session, job, to)
        session.flush()
        assert job.status == to
        assert job.last_sequence == last + 1
        assert (job.lease_until is not None) == (to in HELD)
        assert (job.ended_at is not None) == (to in TERMINAL)
    else:
        with pytest.raises(JobStateError):
            go(session, job, to)
        assert (job.status, job.last_sequence) == (before, last)


def test_every_move_writes_one_event_and_numbers_have_no_gap(session: Session, job: Job) -> None:
    go(session, job, Status.RUNNING)
    record(session, job, "training.note", "between")
    go(session, job, Status.QUEUED)
    go(session, job, Status.RUNNING)
    go(session, job, Status.FAILED)
    events = session.execute(select(JobEvent).order_by(JobEvent.sequence)).scalars().all()
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    moves = [(event.data["from"], event.data["to"]) for event in events if event.type == "job.status"]
    assert moves == [
        (None, "queued"),
        ("queued", "running"),
        ("running", "queued"),
        ("queued", "running"),
        ("running", "failed"),
    ]


def test_attempts_tell_how_each_ended(session: Session, job: Job) -> None:
    go(session, job, Status.RUNNING)
    go(session, job, Status.QUEUED)
    go(session, job, Status.RUNNING)
    move(session, job, Status.QUEUED, message="bye", outcome="released")
    go(session, job, Status.RUNNING)
    go(session, job, Status.SUCCEEDED)
    attempts = session.execute(select(JobAttempt).order_by(JobAttempt.attempt)).scalars().all()
    assert [(a.attempt, a.outcome) for a in attempts] == [(1, "lost"), (2, "released"), (3, "succeeded")]
    assert all(a.ended_at is not None for a in attempts)
    assert job.attempts_lost == 1


def test_a_job_that_is_tried_again_has_its_past_behind_it(session: Session, job: Job) -> None:
    go(session, job, Status.RUNNING)
    go(session, job, Status.QUEUED)
    go(session, job, Status.RUNNING)
    go(session, job, Status.FAILED)
    before = [message.args for message in pending_messages(session)].count((job.id,))
    go(session, job, Status.QUEUED)
    assert (job.error, job.ended_at, job.attempts_lost, job.cancel_requested) == (None, None, 0, False)
    assert (job.attempt, job.tried_before) == (2, 2)
    assert [message.args for message in pending_messages(session)].count((job.id,)) == before + 1
    assert seconds_used(session, job.id) == 0.0
    go(session, job, Status.RUNNING)
    assert job.attempt == 3


def test_a_job_paused_before_it_ran_ends_no_attempt(session: Session, job: Job) -> None:
    go(session, job, Status.PAUSED)
    go(session, job, Status.QUEUED)
    go(session, job, Status.RUNNING)
    go(session, job, Status.PAUSING)
    go(session, job, Status.PAUSED)
    (attempt,) = session.execute(select(JobAttempt)).scalars()
    assert (attempt.attempt, attempt.outcome, job.attempts_lost) == (1, "paused", 0)


def test_a_queued_job_wakes_a_worker_only_after_the_commit(session: Session, job: Job) -> None:
    assert [message.args for message in pending_messages(session)].count((job.id,)) == 1
    go(session, job, Status.RUNNING)
    go(session, job, Status.QUEUED)
    assert [message.args for message in pending_messages(session)].count((job.id,)) == 2


def test_nobody_else_writes_a_jobs_status() -> None:
    assignment = re.compile(r"\bjob\.status\s*=[^=]|update\(Job\)[^#]*?\.values\([^)]*\bstatus=", re.DOTALL)
    guilty = [
        path.relative_to(ROOT).as_posix()
        for folder in ("app", "worker")
        for path in (ROOT / folder).rglob("*.py")
        if assignment.search(path.read_text(encoding="utf-8"))
    ]
    assert guilty == ["app/jobs/life.py"]


def test_a_job_that_does_not_run_tells_no_speed_and_no_end(session: Session, job: Job) -> None:
    go(session, job, Status.RUNNING)
    job.progress = {"fraction": 0.4, "eta_at": "2025-11-23T13:52:40Z", "examples_per_second": 9.0}
    go(session, job, Status.PAUSING)
    assert job.progress["eta_at"] is not None
    go(session, job, Status.PAUSED)
    assert job.progress == {"fraction": 0.4, "eta_at": None, "examples_per_second": None}

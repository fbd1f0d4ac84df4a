"""Jobs that are cancelled, and that cannot be any more, over real HTTP."""

from __future__ import annotations

import httpx

from app.db.session import Database
from app.jobs.claims import hold
from app.jobs.life import Status, move
from tests.app.jobs.conftest import Bench
from tests.problems import problem


def test_cancelling_a_queued_job_ends_it_and_a_second_time_is_refused(
    client: httpx.Client, bench: Bench
) -> None:
    job_id = bench.submit()
    job = client.post(f"/v1/jobs/{job_id}/cancel")
    assert job.status_code == 200
    assert job.json()["status"] == "cancelled"
    assert job.json()["ended_at"] is not None
    body = problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "job_already_cancelled")
    assert body["hint"]
    assert "retry-after" not in client.get(f"/v1/jobs/{job_id}").headers


def test_cancelling_a_running_job_asks_it_to_stop(
    client: httpx.Client, database: Database, bench: Bench
) -> None:
    job_id = bench.submit()
    claimed = bench.take(job_id)
    job = client.post(f"/v1/jobs/{job_id}/cancel").json()
    assert (job["status"], job["ended_at"]) == ("cancelling", None)
    problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "job_already_cancelled")
    with database.unit_of_work() as session:
        assert hold(session, claimed).cancel_requested


def test_a_failed_job_says_why_and_cannot_be_cancelled(
    client: httpx.Client, database: Database, bench: Bench
) -> None:
    job_id = bench.submit()
    error = {"code": "diverged", "message": "no", "hint": "less", "phase": "training", "attempt": 1}
    claimed = bench.take(job_id)
    with database.unit_of_work() as session:
        move(session, hold(session, claimed), Status.FAILED, message="no", error=error)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert job["error"] == {**error, "retryable": False}
    assert job["attempts"][0]["outcome"] == "failed"
    problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "job_not_cancellable")
    problem(client.get(f"/v1/jobs/{job_id}/report"), 409, "report_not_ready")

"""Who is next: priorities, places in the line with their reasons, and the end of waiting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import func, select

from app.config import Settings
from app.db.models.job import Job
from app.db.models.worker import Worker
from app.db.session import Database
from app.jobs.claims import claim_next
from app.jobs.limits import fail_those_that_waited_too_long, runtime_limits
from app.sdk.client import SteadyRank
from tests.waiting import wait_for_a_waiting_request


def take_next(database: Database, named: str) -> str | None:
    with database.unit_of_work() as session:
        claimed = claim_next(session, named, worker="w@host", lease=timedelta(seconds=30))
        return claimed and claimed.job_id


def test_a_message_takes_the_job_that_is_next_whatever_it_names(bench: Any, database: Database) -> None:
    low, first, second, high = (bench.submit(priority=priority) for priority in (-5, 0, 0, 7))
    taken = [take_next(database, low) for _ in range(4)]
    assert taken == [high, first, second, low]
    assert take_next(database, low) is None


def test_a_row_in_other_hands_is_passed_over_and_the_only_one_is_waited_for(
    bench: Any, database: Database
) -> None:
    first, second = bench.submit(), bench.submit()
    with database.unit_of_work() as session:
        session.execute(select(Job).where(Job.id == first).with_for_update())
        assert take_next(database, first) == second
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(take_next, database, first)
            wait_for_a_waiting_request(database)
            session.rollback()
            assert waiting.result(60) == first


def test_of_many_messages_each_takes_another_job(bench: Any, database: Database) -> None:
    jobs = [bench.submit() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda job_id: take_next(database, job_id), jobs))
    assert sorted(filter(None, taken)) == sorted(set(filter(None, taken)))
    left = [take_next(database, job_id) for job_id in jobs]
    assert sorted(filter(None, [*taken, *left])) == sorted(jobs)


def test_the_line_goes_by_priority_which_can_be_changed_while_waiting(
    client: httpx.Client, bench: Any, database: Database
) -> None:
    first, second = bench.submit(), bench.submit(priority=1)

    def line() -> dict[str, Any]:
        return {job["id"]: job["queue"] for job in client.get("/v1/jobs").json()["data"]}

    assert (line()[second]["position"], line()[first]["position"]) == (1, 2)
    assert line()[first]["code"] == "no_worker_alive"
    with database.unit_of_work() as session:
        session.add_all(
            Worker(id=f"t{number}@h/train", queue="train", device="cpu", versions={}) for number in range(2)
        )
    changed = client.patch(f"/v1/jobs/{first}", json={"priority": 2}).json()
    assert (changed["priority"], changed["queue"]["position"]) == (2, 1)
    assert changed["queue"]["code"] == "starting"
    assert take_next(database, second) == first
    third = bench.submit()
    assert take_next(database, third) == second
    assert line()[third] == {
        "position": 1,
        "reason": "waiting for a free worker (all 2 workers are busy)",
        "code": "waiting_for_worker",
    }
    late = client.patch(f"/v1/jobs/{first}", json={"priority": 3})
    assert (late.status_code, late.json()["code"]) == (409, "job_not_waiting")
    for wrong in (11, -11, 1.5):
        assert client.patch(f"/v1/jobs/{third}", json={"priority": wrong}).status_code == 422


def test_who_waits_too_long_fails_and_can_be_tried_again(
    client: httpx.Client, bench: Any, database: Database
) -> None:
    patient, hasty = bench.submit(max_pending=1000), bench.submit(max_pending=60)
    settings = Settings(max_pending_seconds=5000)

    def look(waited: float) -> list[str]:
        with database.unit_of_work() as session:
            for job in session.execute(select(Job).where(Job.status == "queued")).scalars():
                job.queued_at = session.execute(select(func.now())).scalar_one() - timedelta(seconds=waited)
            session.flush()
            return list(fail_those_that_waited_too_long(session, settings))

    assert look(50) == []
    assert look(70) == [hasty]
    job = client.get(f"/v1/jobs/{hasty}").json()
    assert (job["status"], job["queue"]) == ("failed", None)
    assert (job["error"]["code"], job["error"]["retryable"]) == ("max_pending_exceeded", True)
    assert "60 seconds" in job["error"]["message"]
    assert client.post(f"/v1/jobs/{hasty}/retry").json()["status"] == "queued"
    assert look(999) == [hasty]
    assert client.get(f"/v1/jobs/{patient}").json()["status"] == "queued"


def test_limits_above_the_services_are_refused(client: httpx.Client, bench: Any, settings: Settings) -> None:
    wanted = {"max_runtime": settings.max_runtime_seconds, "max_pending": settings.max_pending_seconds}
    path, body = "/v1/jobs?validate_only=true", {"dataset": bench.dataset_id}
    assert client.post(path, json={**body, **wanted}).status_code == 200
    refused = client.post(path, json={**body, **{name: most + 1 for name, most in wanted.items()}})
    assert refused.status_code == 422
    assert [(item["pointer"], item["code"]) for item in refused.json()["errors"]] == [
        ("/max_runtime", "over_limit"),
        ("/max_pending", "over_limit"),
    ]


def test_a_share_of_the_runtime_is_kept_for_measuring() -> None:
    settings = Settings(max_runtime_seconds=10_000, evaluation_share=0.2)
    assert runtime_limits(1000, settings) == (800, 1300, 1600)
    assert runtime_limits(50_000, settings) == runtime_limits(None, settings) == (8000, 12_000, 12_300)


def test_the_sdk_gives_and_changes_a_priority(service: SteadyRank, bench: Any) -> None:
    job = service.jobs.create(bench.dataset_id, priority=3, max_runtime=60, max_pending=600)
    assert (job.priority, job.raw["max_runtime"], job.raw["max_pending"]) == (3, 60, 600)
    assert service.jobs.update(job, priority=-1).priority == -1

"""Pause, resume, retry, change and find by label, over real HTTP, the SDK and the command."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from app.cli import main
from app.config import Settings
from app.db.models.job import Job
from app.jobs.claims import claim, hold, release, wanted
from app.jobs.life import Status, move
from app.jobs.reaper import reap_once
from app.sdk.client import SteadyRank
from app.sdk.errors import JobStateError, ValidationFailedError
from tests.factories import expire


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return dict(response.json())


def test_a_queued_job_is_paused_at_once_and_nobody_takes_it(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit()
    paused = client.post(f"/v1/jobs/{job_id}/pause")
    assert (paused.status_code, paused.json()["status"], paused.json()["queue"]) == (200, "paused", None)
    refused(client.post(f"/v1/jobs/{job_id}/pause"), 409, "job_not_pausable")
    with bench.database.unit_of_work() as session:
        assert claim(session, job_id, worker="w", lease=bench.lease) is None
    refused(client.delete(f"/v1/jobs/{job_id}"), 409, "job_in_use")
    refused(client.delete(f"/v1/datasets/{bench.dataset_id}"), 409, "dataset_in_use")
    resumed = client.post(f"/v1/jobs/{job_id}/resume").json()
    assert (resumed["status"], resumed["queue"]["position"]) == ("queued", 1)
    refused(client.post(f"/v1/jobs/{job_id}/resume"), 409, "job_not_paused")
    bench.take(job_id)


def test_a_running_job_is_asked_to_pause_and_goes_on_later(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit()
    claimed = bench.take(job_id)
    assert client.post(f"/v1/jobs/{job_id}/pause").json()["status"] == "pausing"
    refused(client.post(f"/v1/jobs/{job_id}/resume"), 409, "job_not_paused")
    with bench.database.unit_of_work() as session:
        assert wanted(session, claimed) == "pausing"
        release(session, claimed, message="bye")
    paused = client.get(f"/v1/jobs/{job_id}").json()
    assert (paused["status"], paused["ended_at"], paused["attempts"][0]["outcome"]) == (
        "paused",
        None,
        "paused",
    )
    assert client.post(f"/v1/jobs/{job_id}/resume").json()["status"] == "queued"
    bench.take(job_id)
    assert client.get(f"/v1/jobs/{job_id}").json()["attempts"][1]["outcome"] == "running"


def test_a_pausing_job_that_loses_its_worker_is_paused(
    client: httpx.Client, bench: Any, settings: Settings
) -> None:
    job_id = bench.submit(max_attempts=1)
    bench.take(job_id)
    client.post(f"/v1/jobs/{job_id}/pause")
    with bench.database.unit_of_work() as session:
        expire(session, session.get_one(Job, job_id))
    with bench.database.unit_of_work() as session:
        reap_once(session, settings)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["attempts"][0]["outcome"]) == ("paused", "lost")


@pytest.mark.parametrize("running", [False, True])
def test_a_paused_or_pausing_job_can_be_cancelled(client: httpx.Client, bench: Any, running: bool) -> None:
    job_id = bench.submit()
    if running:
        bench.take(job_id)
    client.post(f"/v1/jobs/{job_id}/pause")
    cancelled = client.post(f"/v1/jobs/{job_id}/cancel").json()
    assert cancelled["status"] == ("cancelling" if running else "cancelled")


def test_a_failed_job_is_tried_again_with_all_that_it_had(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit()
    refused(client.post(f"/v1/jobs/{job_id}/retry"), 409, "job_not_retryable")
    claimed = bench.take(job_id)
    error = {"code": "out_of_memory", "message": "no", "phase": "training", "attempt": 1}
    with bench.database.unit_of_work() as session:
        move(session, hold(session, claimed), Status.FAILED, message="no", error=error)
    again = client.post(f"/v1/jobs/{job_id}/retry").json()
    assert (again["status"], again["error"], again["ended_at"]) == ("queued", None, None)
    assert [attempt["outcome"] for attempt in again["attempts"]] == ["failed"]
    assert again["attempts"][0]["error"]["code"] == "out_of_memory"
    assert bench.take(job_id).attempt == 2
    assert [change["status"] for change in client.get(f"/v1/jobs/{job_id}").json()["status_history"]] == [
        "queued",
        "running",
        "failed",
        "queued",
        "running",
    ]


def test_a_cancelled_job_is_tried_again_unless_its_data_set_is_gone(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit()
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.post(f"/v1/jobs/{job_id}/retry").json()["status"] == "queued"
    bench.take(job_id)
    assert client.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelling"
    refused(client.post(f"/v1/jobs/{job_id}/retry"), 409, "job_not_retryable")
    gone = bench.submit()
    client.post(f"/v1/jobs/{gone}/cancel")
    with bench.database.unit_of_work() as session:
        session.get_one(Job, gone).dataset_id = None
    refused(client.post(f"/v1/jobs/{gone}/retry"), 409, "dataset_deleted")


def test_a_stream_of_a_job_that_was_tried_again_does_not_end_at_its_first_end(
    client: httpx.Client, bench: Any
) -> None:
    job_id = bench.submit()
    for verb in ("cancel", "retry", "cancel"):
        client.post(f"/v1/jobs/{job_id}/{verb}")
    text = client.get(f"/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"}).text
    assert [line for line in text.splitlines() if line.startswith("id:")] == [
        "id: 1",
        "id: 2",
        "id: 3",
        "id: 4",
    ]


def test_name_and_labels_are_changed_one_by_one(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit(name="old", labels={"team": "search", "stage": "draft"})
    path = f"/v1/jobs/{job_id}"
    etag = client.get(path).headers["etag"]
    changed = client.patch(path, json={"labels": {"stage": None, "run": "2"}}).json()
    assert (changed["name"], changed["labels"]) == ("old", {"team": "search", "run": "2"})
    assert client.get(path).headers["etag"] != etag
    assert client.patch(path, json={"name": "new"}).json()["name"] == "new"
    assert client.patch(path, json={"name": None}).json()["name"] is None
    assert client.get(path).json()["labels"] == {"team": "search", "run": "2"}
    assert (
        refused(client.patch(path, json={"epochs": 3}), 422, "invalid_request")["errors"][0]["pointer"]
        == "/epochs"
    )
    many = {f"k{number}": "" for number in range(31)}
    refused(client.patch(path, json={"labels": many}), 422, "invalid_request")
    assert client.patch("/v1/jobs/job_x", json={"name": "x"}).status_code == 404


def test_jobs_are_found_by_their_labels(client: httpx.Client, bench: Any) -> None:
    first = bench.submit(labels={"team": "search", "run": "1"})
    second = bench.submit(labels={"team": "search", "run": "2", "a=b": "c=d"})
    bench.submit(labels={"team": "ads"})

    def ids(query: str) -> list[str]:
        return [job["id"] for job in client.get(f"/v1/jobs?{query}").json()["data"]]

    assert ids("label=team=search") == [second, first]
    assert ids("label=run") == [second, first]
    assert ids("label=team=search&label=run=1") == [first]
    assert ids("label=team=sea") == []
    assert ids("label=run=1&status=running") == []
    assert len(ids("label=team")) == 3
    assert client.get("/v1/jobs?label=%00").status_code < 500


def test_others_cannot_steer(client: httpx.Client, bench: Any, stranger_headers: dict[str, str]) -> None:
    job_id = bench.submit()
    for verb in ("pause", "resume", "retry"):
        refused(client.post(f"/v1/jobs/{job_id}/{verb}", headers=stranger_headers), 404, "job_not_found")
    refused(client.patch(f"/v1/jobs/{job_id}", json={}, headers=stranger_headers), 404, "job_not_found")
    with bench.database.unit_of_work() as session:
        assert session.execute(select(func.count()).where(Job.status == "queued")).scalar_one() == 1


def test_the_sdk_steers(service: SteadyRank, bench: Any) -> None:
    job = service.jobs.create(bench.dataset_id, labels={"team": "search"})
    assert service.jobs.pause(job).status == "paused"
    assert [found.id for found in service.jobs.list(labels={"team": "search"}, status="paused")] == [job.id]
    assert list(service.jobs.list(labels={"team": None, "other": None})) == []
    assert service.jobs.resume(job).status == "queued"
    with pytest.raises(JobStateError):
        service.jobs.retry(job)
    service.jobs.cancel(job)
    assert service.jobs.retry(job).status == "queued"
    changed = service.jobs.update(job, name="mine", labels={"team": None, "x": "y"})
    assert (changed.name, changed.labels) == ("mine", {"x": "y"})
    assert service.jobs.update(job, name="").name is None
    with pytest.raises(ValidationFailedError):
        service.jobs.update(job, labels={"": "x"})


def test_the_command_steers(
    service_url: str, api_key: str, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEADYRANK_URL", service_url)
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main.app, ["jobs", *arguments])
        assert result.exit_code == code, result.output
        return result.stdout.strip()

    job_id = run("submit", bench.dataset_id, "--label", "team=search", "--label", "a=b=c")
    assert run("pause", job_id) == f"{job_id} is paused"
    assert job_id in run("list", "--label", "team=search", "--label", "a", "--status", "paused")
    assert job_id not in run("list", "--label", "team=ads")
    assert run("resume", job_id) == f"{job_id} is queued"
    run("retry", job_id, code=2)
    run("cancel", job_id)
    assert run("retry", job_id) == f"{job_id} is queued"
    shown = run("update", job_id, "--name", "mine", "--label", "x=y", "--unlabel", "team")
    assert "mine" in shown
    assert "a=b=c, x=y" in shown
    run("submit", bench.dataset_id, "--label", "team", code=2)

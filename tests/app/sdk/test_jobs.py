from __future__ import annotations

import httpx
import pytest

from app.sdk.errors import (
    DatasetRejectedError,
    ServiceUnreachableError,
    UnauthorizedError,
    WaitTimeoutError,
)


def job(status: str, **more: object) -> httpx.Response:
    return httpx.Response(200, json={"id": "job_1", "status": status, **more})


def test_waiting_ends_with_the_job_and_tells_every_look(script, client):
    script.answers = [
        job("queued"),
        job("running"),
        job("failed", error={"code": "diverged", "message": "NaN"}),
    ]
    seen: list[str] = []
    ended = client.jobs.wait("job_1", lambda found: seen.append(found.status))
    assert seen == ["queued", "running", "failed"]
    assert ended.error is not None
    assert (ended.error.code, ended.is_terminal) == ("diverged", True)
    assert script.slept == [1.0, 1.0]


def test_waiting_outlives_a_restart_of_the_service(script, client):
    script.answers = [job("running"), *[httpx.ConnectError("refused")] * 9, job("succeeded")]
    assert client.jobs.wait("job_1").status == "succeeded"


def test_waiting_gives_up_when_the_service_stays_away(script, client):
    script.answers = [job("running"), *[httpx.ConnectError("refused")] * 4]
    with pytest.raises(ServiceUnreachableError):
        client.jobs.wait("job_1", outage=-1.0)


def test_waiting_does_not_sit_out_a_wrong_key(script, client):
    script.answers = [httpx.Response(401)]
    with pytest.raises(UnauthorizedError):
        client.jobs.wait("job_1")


def test_waiting_has_an_end(script, client):
    script.answers = [job("running")]
    with pytest.raises(WaitTimeoutError):
        client.jobs.wait("job_1", timeout=0.0)


def test_a_job_is_read_with_all_its_parts(script, client):
    script.answers = [
        job(
            "running",
            phase="training",
            arm="cascade",
            dataset="ds_1",
            model="sasrec",
            arms=["standard", "cascade"],
            spec={"epochs": 3},
            progress={"fraction": 0.5, "epoch": 2, "eta_at": "2026-01-01T00:00:00Z"},
            models=["mdl_1"],
            created_at="2025-12-31T23:00:00.5Z",
            something_new=1,
        )
    ]
    found = client.jobs.get("job_1")
    assert (found.phase, found.arm, found.arms) == ("training", "cascade", ("standard", "cascade"))
    assert found.progress.fraction == 0.5
    assert found.progress.eta_at is not None
    assert found.created_at is not None
    assert (found.progress.eta_at - found.created_at).total_seconds() == pytest.approx(3599.5)
    assert found.raw["something_new"] == 1


def test_a_rejected_data_set_is_an_error_with_its_problems(script, client):
    problems = [{"code": "missing_id", "message": "no user", "severity": "error", "line": 7}]
    script.answers = [
        httpx.Response(201, json={"id": "ds_1", "status": "validating"}),
        httpx.Response(200, json={"id": "ds_1", "status": "validating"}),
        httpx.Response(200, json={"id": "ds_1", "status": "rejected", "problems": problems}),
    ]
    with pytest.raises(DatasetRejectedError, match="no user") as caught:
        client.datasets.upload(b"user,item\n", filename="log.csv")
    assert caught.value.dataset.problems[0].line == 7


def test_uploading_can_wait_in_vain_but_not_for_ever(script, client):
    script.answers = [
        httpx.Response(201, json={"id": "ds_1"}),
        httpx.Response(200, json={"id": "ds_1", "status": "validating"}),
    ]
    with pytest.raises(WaitTimeoutError, match="still being read"):
        client.datasets.upload(b"user,item\n", filename="log.csv", timeout=0.0)


def test_validating_is_repeatable_since_it_makes_nothing(script, client):
    script.answers = [httpx.ReadError("cut"), httpx.Response(200, json={"spec": {"epochs": 200}})]
    assert client.jobs.validate("ds_1").spec == {"epochs": 200}
    assert script.requests[-1].url.params["validate_only"] == "true"

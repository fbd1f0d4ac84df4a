"""Evaluations through HTTP, the SDK and the command, with the measuring in the test's own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.db.session import Database
from app.evaluations.life import claim
from app.sdk.client import SteadyRank
from app.sdk.errors import ConflictError
from app.storage.database import DatabaseBlobStore
from tests.factories import make_dataset, make_ready_dataset
from tests.problems import problem
from tests.report_schema import EVALUATION_REPORT
from tests.trained_jobs import log_of, measure_here, store_log, train_job
from worker.resources import Resources


@pytest.fixture
def resources(settings: Settings, database: Database, blobs: DatabaseBlobStore) -> Resources:
    return Resources(settings, database, blobs)


@pytest.fixture
def trained(resources: Resources) -> tuple[str, str]:
    """A data set's id, and that of a model trained on it."""
    dataset = store_log(resources, log_of(40))
    return dataset, train_job(resources, dataset)[1][1]


def test_a_model_whose_share_was_searched_is_measured_as_one_at_that_share(
    service_url: str, api_key: str, resources: Resources, tmp_path: Path
) -> None:
    dataset = store_log(resources, log_of(40))
    job, (_, model) = train_job(resources, dataset, search_shares=(0.05, 0.9), search_floor=0.0)
    with SteadyRank(service_url, api_key) as service:
        found = service.jobs.report(job)["search"]
        assert found is not None
        queued = service.evaluations.create(model, dataset)
        measure_here(resources, queued.id, tmp_path)
        spec = service.evaluations.report(queued)["spec"]
    assert spec["perturb_share"] == found["arms"]["cascade"]["share"] != 0.1


def test_from_the_request_to_the_report(
    service_url: str, api_key: str, resources: Resources, trained: tuple[str, str], tmp_path: Path
) -> None:
    dataset, model = trained
    with SteadyRank(service_url, api_key) as service:
        queued = service.evaluations.create(
            "films-sasrec-cascade@latest", dataset, name="again", attack_counts=[1, 2]
        )
        assert (queued.status, queued.model, queued.dataset, queued.progress) == ("queued", model, dataset, 0)
        assert queued.raw["settings"]["attack_counts"] == [1, 2]
        assert queued.raw["settings"]["attack_positions"] == ["end"]  # as in the job
        with pytest.raises(ConflictError) as refused:
            service.evaluations.report(queued)
        assert refused.value.code == "report_not_ready"
        measure_here(resources, queued.id, tmp_path)
        done = service.evaluations.wait(queued, timeout=30)
        report = service.evaluations.report(done)
        assert (done.status, done.progress) == ("succeeded", 1.0)
        EVALUATION_REPORT.validate(report)
        with pytest.raises(ConflictError) as ended:
            service.evaluations.cancel(done)
        assert ended.value.code == "evaluation_ended"
        assert done.metrics == report["arms"]["cascade"]["test"]
        assert done.protocol_hash == report["protocol_hash"]
        assert [row["count"] for row in report["arms"]["cascade"]["attacks"]] == [1, 2]
        assert service.evaluations.report_markdown(done).startswith("# Evaluation of films-sasrec-cascade")
        assert [one.id for one in service.evaluations.list(model=model, status="succeeded")] == [done.id]
        assert list(service.evaluations.list(status="failed")) == []
        bearer = {"Authorization": f"Bearer {api_key}"}
        with httpx.Client(base_url=service_url, headers=bearer, timeout=30) as client:
            etag = client.get(f"/v1/evaluations/{done.id}/report").headers["etag"]
            known = client.get(f"/v1/evaluations/{done.id}/report", headers={"If-None-Match": etag})
        assert (known.status_code, known.content) == (304, b"")
        assert service.models.delete(model)["deleted"]  # an evaluation outlives its model
        assert service.evaluations.get(done).model == model
        assert service.evaluations.delete(done)["freed_bytes"] > 0
        assert list(service.evaluations.list()) == []


def test_cancelled_before_it_began(client: httpx.Client, trained: tuple[str, str]) -> None:
    created = client.post("/v1/evaluations", json={"model": trained[1], "dataset": trained[0]}).json()
    path = f"/v1/evaluations/{created['id']}"
    for used, code in (
        (f"datasets/{trained[0]}", "dataset_in_use"),
        (f"models/{trained[1]}", "model_in_use"),
    ):
        assert problem(client.delete(f"/v1/{used}"), 409, code)["used_by"] == [created["id"]]
    users = client.get(f"/v1/datasets/{trained[0]}").json()["used_by"]
    assert (users["evaluations"], users["evaluation_ids"]) == (1, [created["id"]])
    assert client.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert client.post(f"{path}/cancel").json()["status"] == "cancelled"
    problem(client.get(f"{path}/report"), 409, "report_not_ready")
    assert client.delete(f"/v1/models/{trained[1]}").status_code == 200


def test_one_that_runs_is_cancelling(
    client: httpx.Client, trained: tuple[str, str], database: Database
) -> None:
    created = client.post("/v1/evaluations", json={"model": trained[1], "dataset": trained[0]}).json()
    with database.unit_of_work() as session:
        assert claim(session, created["id"], lease_seconds=30)

    def listed(status: str) -> list[str]:
        rows = client.get("/v1/evaluations", params={"status": status}).json()["data"]
        return [row["status"] for row in rows]

    assert client.get(f"/v1/evaluations/{created['id']}").json()["status"] == "running"
    assert (listed("running"), listed("cancelling")) == (["running"], [])
    assert client.post(f"/v1/evaluations/{created['id']}/cancel").json()["status"] == "cancelling"
    assert (listed("running"), listed("cancelling")) == ([], ["cancelling"])


def test_the_same_key_asks_once(client: httpx.Client, trained: tuple[str, str]) -> None:
    body, headers = {"model": trained[1], "dataset": trained[0]}, {"Idempotency-Key": "once"}
    first = client.post("/v1/evaluations", json=body, headers=headers).json()
    assert client.post("/v1/evaluations", json=body, headers=headers).json()["id"] == first["id"]
    assert len(client.get("/v1/evaluations").json()["data"]) == 1


def test_what_cannot_be_done_is_said(
    client: httpx.Client,
    stranger_headers: dict[str, str],
    database: Database,
    blobs: DatabaseBlobStore,
    trained: tuple[str, str],
) -> None:
    dataset, model = trained
    with database.unit_of_work() as session:
        validating = make_dataset(session, blobs).id
        bare = make_ready_dataset(session, blobs, time_column=None).id

    def asked(**body: Any) -> httpx.Response:
        return client.post("/v1/evaluations", json={"model": model, "dataset": dataset, **body})

    gone = problem(asked(model="films@77"), 404, "model_not_found")
    assert gone["errors"][0]["pointer"] == "/model"
    problem(asked(dataset="ds_x"), 404, "dataset_not_found")
    problem(asked(dataset=validating), 409, "dataset_not_ready")
    problem(asked(attack_counts=[0]), 422, "invalid_request")
    for trains in ("epochs", "stability_changes"):  # and nothing is trained here
        (error,) = problem(asked(**{trains: 3}), 422, "invalid_request")["errors"]
        assert (error["pointer"], error["code"]) == (f"/{trains}", "unknown_field")
    for name, value, code in (("split", "temporal", "no_times"), ("min_rating", 3, "no_ratings")):
        (error,) = problem(asked(dataset=bare, **{name: value}), 422, "invalid_request")["errors"]
        assert (error["pointer"], error["code"], error["got"]) == (f"/{name}", code, value)
    shares = {"split": "temporal", "validation_share": 0.4, "test_share": 0.49}
    assert asked(**shares).status_code == 201
    problem(client.get("/v1/evaluations/eval_x"), 404, "evaluation_not_found")
    created = asked().json()
    path = f"/v1/evaluations/{created['id']}"
    problem(client.get(path, headers=stranger_headers), 404, "evaluation_not_found")
    assert client.get("/v1/evaluations", headers=stranger_headers).json()["data"] == []

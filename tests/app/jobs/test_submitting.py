"""Submitting jobs over real HTTP: what is taken, what is refused, and where it says so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.db.models.dataset import Dataset
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.app.jobs.conftest import Bench
from tests.factories import make_dataset, make_ready_dataset
from tests.problems import problem
from worker.training.spec import TrainSpec


def test_a_data_set_is_a_full_job(client: httpx.Client, bench: Bench) -> None:
    response = client.post("/v1/jobs", json={"dataset": bench.dataset_id})
    assert response.status_code == 201
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["object"] == "job"
    assert (job["status"], job["phase"], job["arm"], job["error"]) == ("queued", None, None, None)
    assert job["dataset"] == bench.dataset_id
    assert job["model"] == "sasrec"
    assert job["arms"] == ["standard", "adversarial", "cascade"]
    assert TrainSpec.model_validate(job["spec"]) == TrainSpec()
    assert job["queue"] == {"position": 1, "reason": "no worker is alive", "code": "no_worker_alive"}
    assert [change["status"] for change in job["status_history"]] == ["queued"]
    assert (job["attempts"], job["models"], job["progress"]["fraction"]) == ([], [], 0.0)
    found = client.get(f"/v1/jobs/{job['id']}")
    assert found.json() == job
    assert int(found.headers["retry-after"]) > 0


def test_settings_stand_flat_and_are_kept(client: httpx.Client, bench: Bench) -> None:
    sent = {"model": "gru4rec", "arms": ["cascade"], "epochs": 4, "seeds": [3, 4], "gamma": 0.5}
    body = {"dataset": bench.dataset_id, "name": "mine", "labels": {"team": "search"}, **sent}
    job = client.post("/v1/jobs", json=body).json()
    assert {name: job["spec"][name] for name in sent} == sent
    assert (job["spec"]["seed"], job["spec"]["warmup_epochs"]) == (3, 2)
    assert (job["name"], job["labels"]) == ("mine", {"team": "search"})


def test_validate_only_submits_nothing(client: httpx.Client, bench: Bench) -> None:
    body = {"dataset": bench.dataset_id, "epochs": 20, "arms": ["standard", "cascade"], "warmup_epochs": 5}
    response = client.post("/v1/jobs?validate_only=true", json=body)
    assert response.status_code == 200
    checked = response.json()
    assert (checked["object"], checked["valid"]) == ("job.validation", True)
    assert checked["dataset"] == bench.dataset_id
    assert checked["spec"]["epochs"] == 20
    assert checked["estimate"]["epochs"] == 5 + 2 * 15
    assert checked["estimate"]["models"] == 2
    refused = client.post("/v1/jobs?estimate=probe", json=body)
    (item,) = refused.json()["errors"]
    assert (refused.status_code, item["pointer"], item["code"]) == (422, "?estimate", "without_validate_only")
    assert client.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"epochs": 0}, "/epochs", "out_of_range"),
        ({"epochs": 20_000}, "/epochs", "over_limit"),
        ({"epocs": 3}, "/epocs", "unknown_field"),
        ({"model": "bert"}, "/model", "not_a_choice"),
        ({"arms": ["standard", "best"]}, "/arms/1", "not_a_choice"),
        ({"min_rating": 3}, "/min_rating", "no_ratings"),
        ({"labels": {"": "x"}}, None, None),
        ({"dropout": "NaN"}, "/dropout", None),
        ({"warmup_epochs": 9, "epochs": 9}, "/warmup_epochs", "invalid"),
        ({"dataset": None}, "/dataset", None),
    ],
)
@pytest.mark.parametrize("query", ["", "?validate_only=true"])
def test_a_spec_that_cannot_run_is_refused_where_it_is_wrong(
    *,
    client: httpx.Client,
    bench: Bench,
    body: dict[str, Any],
    pointer: str | None,
    code: str | None,
    query: str,
) -> None:
    response = client.post(f"/v1/jobs{query}", json={"dataset": bench.dataset_id, **body})
    errors = problem(response, 422, "invalid_request")["errors"]
    assert pointer is None or errors[0]["pointer"] == pointer
    assert code is None or (errors[0]["code"], bool(errors[0]["hint"])) == (code, True)
    assert client.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize("query", ["", "?validate_only=true"])
def test_a_temporal_split_needs_times(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, query: str
) -> None:
    with database.unit_of_work() as session:
        untimed = make_ready_dataset(session, blobs, time_column=None).id
        timed = make_ready_dataset(session, blobs).id
    body = {"dataset": untimed, "split": "temporal"}
    (error,) = problem(client.post(f"/v1/jobs{query}", json=body), 422, "invalid_request")["errors"]
    assert (error["pointer"], error["code"], error["got"]) == ("/split", "no_times", "temporal")
    assert client.post(f"/v1/jobs{query}", json={**body, "dataset": timed}).is_success


def test_only_a_ready_data_set_of_the_own_project_is_trained_on(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        waiting = make_dataset(session, blobs).id
        other = make_ready_dataset(session, blobs, project="other").id
    body = problem(client.post("/v1/jobs", json={"dataset": waiting}), 409, "dataset_not_ready")
    assert (body["detail"], f"/v1/datasets/{waiting}" in body["hint"]) == (
        f"Data set {waiting} is validating and cannot be used yet.",
        True,
    )
    problem(client.post("/v1/jobs", json={"dataset": other}), 404, "dataset_not_found")
    problem(client.post("/v1/jobs", json={"dataset": "ds_x"}), 404, "dataset_not_found")
    with database.unit_of_work() as session:
        row = session.get_one(Dataset, waiting)
        row.status, row.validated_at = "rejected", session.execute(select(func.now())).scalar_one()
    problem(client.post("/v1/jobs", json={"dataset": waiting}), 409, "dataset_rejected")


REFUSED = ("unstorable_text", "invalid_request")


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b"], ids=["nul", "half a letter"])
@pytest.mark.parametrize("where", ["name", "dataset", "label", "label key"])
def test_text_that_cannot_be_stored_is_refused(
    client: httpx.Client, bench: Bench, text: str, where: str
) -> None:
    parts = {
        "name": f'"name": "{text}"',
        "dataset": f'"dataset": "{text}"',
        "label": f'"labels": {{"a": "{text}"}}',
        "label key": f'"labels": {{"{text}": "a"}}',
    }
    body = f'{{"dataset": "{bench.dataset_id}", {parts[where]}}}'
    response = client.post("/v1/jobs", content=body.encode(), headers={"Content-Type": "application/json"})
    if where == "dataset":
        assert response.status_code in {404, 422}, response.text
    else:
        assert problem(response, 422, response.json()["code"])["code"] in {
            "unstorable_text",
            "invalid_request",
        }

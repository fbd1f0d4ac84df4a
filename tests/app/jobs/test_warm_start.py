"""`init_from` at submission: the model must be the project's, and its weights those of the job's network."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.db.models.dataset import Dataset
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import make_ready_dataset
from tests.problems import problem
from tests.stored_models import store_models


@pytest.fixture
def model_id(database: Database, blobs: DatabaseBlobStore) -> str:
    (model_id,) = store_models(database, blobs, name="films")
    return model_id


@pytest.fixture
def dataset(database: Database, blobs: DatabaseBlobStore) -> Dataset:
    with database.unit_of_work() as session:
        return make_ready_dataset(session, blobs)


def test_a_model_is_named_by_its_id_or_its_version(
    client: httpx.Client, dataset: Dataset, model_id: str
) -> None:
    name = client.get(f"/v1/models/{model_id}").json()["name"]
    jobs = []
    for reference in (model_id, f"{name}@1"):
        response = client.post("/v1/jobs", json={"dataset": dataset.id, "init_from": reference})
        assert response.status_code == 201, response.text
        assert response.json()["spec"]["init_from"] == model_id
        jobs.append(response.json()["id"])
    refused = client.delete(f"/v1/models/{model_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "model_in_use")
    assert refused.json()["used_by"] == jobs
    for job in jobs:
        assert client.post(f"/v1/jobs/{job}/cancel").status_code == 200
    assert client.delete(f"/v1/models/{model_id}").status_code == 200


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"hidden_size": 32}, "hidden_size was 64 and is 32"),
        ({"model": "gru4rec", "blocks": 1}, "model was sasrec and is gru4rec; blocks was 2 and is 1"),
    ],
)
@pytest.mark.parametrize("query", ["", "?validate_only=true"])
def test_a_model_of_other_weights_is_refused(
    *,
    client: httpx.Client,
    dataset: Dataset,
    model_id: str,
    settings: dict[str, Any],
    named: str,
    query: str,
) -> None:
    body = {"dataset": dataset.id, "init_from": model_id, **settings}
    response = client.post(f"/v1/jobs{query}", json=body)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/init_from", "model_does_not_fit")
    assert named in error["message"]


def test_a_model_that_is_not_there_is_refused(client: httpx.Client, dataset: Dataset, model_id: str) -> None:
    assert client.delete(f"/v1/models/{model_id}").is_success
    for missing in (model_id, "mdl_x", "films@9"):
        response = client.post("/v1/jobs", json={"dataset": dataset.id, "init_from": missing})
        assert (response.status_code, response.json()["code"]) == (404, "model_not_found")
        assert response.json()["errors"][0]["pointer"] == "/init_from"


def test_a_job_whose_first_model_was_deleted_is_not_tried_again(
    client: httpx.Client, dataset: Dataset, model_id: str
) -> None:
    job = client.post("/v1/jobs", json={"dataset": dataset.id, "init_from": model_id}).json()["id"]
    assert client.post(f"/v1/jobs/{job}/cancel").is_success
    assert client.post(f"/v1/jobs/{job}/retry").json()["status"] == "queued"
    assert client.delete(f"/v1/models/{model_id}").status_code == 409  # held again
    assert client.post(f"/v1/jobs/{job}/cancel").is_success
    assert client.delete(f"/v1/models/{model_id}").is_success
    problem(client.post(f"/v1/jobs/{job}/retry"), 409, "model_deleted")
    assert client.get(f"/v1/jobs/{job}").json()["status"] == "cancelled"

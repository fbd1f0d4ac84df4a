"""Batches of recommendations over real HTTP and through the SDK, computed by a worker's own code."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import httpx
import polars as pl
import pytest

from app.config import Settings
from app.db.session import Database
from app.sdk.client import SteadyRank
from app.storage.database import DatabaseBlobStore
from tests.factories import make_dataset, make_ready_dataset
from tests.problems import problem
from tests.stored_models import store_models
from worker.recommend import recommend_batch
from worker.resources import Resources


@pytest.fixture
def model_id(database: Database, blobs: DatabaseBlobStore) -> str:
    (model_id,) = store_models(database, blobs)
    return model_id


@pytest.fixture
def dataset_id(database: Database, blobs: DatabaseBlobStore) -> str:
    """Two users with items that the model knows."""
    file = io.BytesIO()
    columns = {"user": ["a", "b", "a"], "item": ["i1", "i2", "i3"], "timestamp": [1, 2, 3]}
    pl.DataFrame(columns).write_parquet(file)
    with database.unit_of_work() as session:
        return make_ready_dataset(session, blobs, canonical=file.getvalue()).id


def test_a_batch_from_the_request_to_the_file(
    service_url: str,
    api_key: str,
    settings: Settings,
    database: Database,
    blobs: DatabaseBlobStore,
    *,
    model_id: str,
    dataset_id: str,
    tmp_path: Path,
) -> None:
    with SteadyRank(service_url, api_key) as service:
        queued = service.models.recommend_batch(model_id, dataset_id, k=2)
        assert (queued.status, queued.model, queued.dataset) == ("queued", model_id, dataset_id)
        recommend_batch(queued.id, resources=Resources(settings, database, blobs), stopping=threading.Event())
        done = service.models.wait_for_batch(queued, timeout=30)
        assert (done.status, done.users_done, done.stats["rows"]) == ("succeeded", 2, 4)
        assert [batch.id for batch in service.models.batches(model_id)] == [queued.id]
        found = pl.read_parquet(service.models.download_batch(done, tmp_path / "out.parquet"))
        direct = service.models.recommend(model_id, [["i1", "i3"], ["i2"]], k=2)
        assert found["item"].to_list() == [row.item for answer in direct for row in answer]
        assert found["user"].to_list() == ["a", "a", "b", "b"]
        assert service.models.batch(queued.id, model=model_id) == done
        assert service.models.delete_batch(done)["freed_bytes"] == done.bytes
        assert list(service.models.batches(model_id)) == []


def test_what_cannot_be_done_is_said(
    client: httpx.Client,
    stranger_headers: dict[str, str],
    database: Database,
    blobs: DatabaseBlobStore,
    *,
    model_id: str,
    dataset_id: str,
) -> None:
    path = f"/v1/models/{model_id}/recommendations"
    with database.unit_of_work() as session:
        validating = make_dataset(session, blobs).id
    problem(client.post(path, json={"dataset": "ds_x"}), 404, "dataset_not_found")
    problem(client.post(path, json={"dataset": validating}), 409, "dataset_not_ready")
    problem(client.post(path, json={"dataset": dataset_id, "k": 0}), 422, "invalid_request")
    problem(
        client.post("/v1/models/mdl_x/recommendations", json={"dataset": dataset_id}), 404, "model_not_found"
    )
    problem(client.post(path, json={"dataset": dataset_id}, headers=stranger_headers), 404, "model_not_found")
    queued = client.post(path, json={"dataset": dataset_id})
    assert queued.status_code == 201
    one = f"{path}/{queued.json()['id']}"
    problem(client.get(f"{one}/content"), 409, "recommendation_not_ready")
    problem(client.get(f"{path}/rec_x"), 404, "recommendation_not_found")
    for response in (client.get(one, headers=stranger_headers), client.delete(one, headers=stranger_headers)):
        problem(response, 404, "recommendation_not_found")
    used = problem(client.delete(f"/v1/models/{model_id}"), 409, "model_in_use")
    assert used["used_by"] == [queued.json()["id"]]
    used = problem(client.delete(f"/v1/datasets/{dataset_id}"), 409, "dataset_in_use")
    assert used["used_by"] == [queued.json()["id"]]
    users = client.get(f"/v1/datasets/{dataset_id}").json()["used_by"]
    assert (users["batches"], users["batch_ids"]) == (1, [queued.json()["id"]])
    assert client.delete(one).status_code == 200
    assert client.delete(f"/v1/models/{model_id}").status_code == 200

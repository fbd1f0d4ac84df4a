"""Whatever a POST makes says in `Location` where it is: over HTTP, on the real stack."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.accounts.service import create_key
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, make_ready_dataset
from tests.stored_models import store_models


@pytest.fixture
def places(client: httpx.Client, database: Database, blobs: DatabaseBlobStore) -> dict[str, Any]:
    """What can be made, by path: the request's body."""
    (model,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs).id
    return {
        "/v1/datasets?filename=log.csv": CSV,
        f"/v1/datasets/{dataset}/transform": {"transforms": ["drop_duplicates"]},
        f"/v1/datasets/{dataset}/forget": {"users": ["u1"]},
        "/v1/uploads": {"filename": "log.csv"},
        "/v1/jobs": {"dataset": dataset},
        f"/v1/models/{model}/recommendations": {"dataset": dataset},
        "/v1/evaluations": {"model": model, "dataset": dataset},
        "/v1/api_keys": {"name": "notebook"},
        "/v1/webhook_endpoints": {"url": "https://1.1.1.1/hook"},
    }


def test_what_was_made_is_where_location_says(client: httpx.Client, places: dict[str, Any]) -> None:
    for path, body in places.items():
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        made = client.post(path, **sent)
        assert made.status_code == 201, (path, made.text)
        found = client.get(made.headers["Location"])
        assert (found.status_code, found.json()["id"]) == (200, made.json()["id"]), path
    (endpoint,) = client.get("/v1/webhook_endpoints").json()["data"]
    tested = client.post(f"/v1/webhook_endpoints/{endpoint['id']}/test")
    assert client.get(tested.headers["Location"]).json()["id"] == tested.json()["id"]


def test_a_completed_upload_and_a_new_project_are_found_too(client: httpx.Client, database: Database) -> None:
    upload = client.post("/v1/uploads", json={"filename": "log.csv"}).headers["Location"]
    assert client.put(f"{upload}/parts/1", content=CSV).status_code == 200
    for status in (201, 200):
        done = client.post(f"{upload}/complete")
        assert done.status_code == status
        assert client.get(done.headers["Location"]).json()["id"] == done.json()["id"]
    with database.unit_of_work() as session:
        secret = create_key(session, name="operator", scopes=["operator"])[1]
    client.headers["Authorization"] = f"Bearer {secret}"
    made = client.post("/v1/projects", json={"name": "search"})
    assert client.get(made.headers["Location"]).json()["id"] == made.json()["id"]

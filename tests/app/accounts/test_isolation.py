"""Another project's ids answer 404 on every path there is, whatever is asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.db.base import Base
from app.db.models.checkpoint import Checkpoint
from app.db.models.model import Model
from app.db.session import Database
from app.main import create_app
from app.storage.database import DatabaseBlobStore
from tests.factories import make_ready_dataset
from tests.stored_models import store_models

_NOT_OF_PROJECTS = ("/v1/capabilities", "/v1/projects")
_OTHER_NAMES = {"recommendation_id": "batch_recommendations", "delivery_id": "webhook_deliveries"}


def _paths_with_ids() -> Iterator[tuple[str, str]]:
    from app.config import Settings  # noqa: PLC0415

    settings = Settings(database_url="postgresql://nobody@localhost/none", redis_url="redis://localhost/0")
    for path, operations in create_app(settings).openapi()["paths"].items():
        if path.startswith("/v1/") and "{" in path and not path.startswith(_NOT_OF_PROJECTS):
            yield from ((method, path) for method in operations)


@pytest.fixture
def ids(database: Database, blobs: DatabaseBlobStore, client: httpx.Client) -> dict[str, str]:
    """An id of the default project for every parameter of a path."""
    (model_id,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        model = session.get_one(Model, model_id)
        blob = blobs.put(session, b"state")
        where = {"kind": "best", "seed": 0, "arm": "cascade", "epoch": 1, "step": 1, "attempt": 1}
        stored = {"blob_id": blob.id, "bytes": blob.size, "sha256": blob.sha256}
        session.add(Checkpoint(job_id=model.job_id, **where, **stored))
        dataset = make_ready_dataset(session, blobs)
        name, dataset_id = model.name, dataset.id
    made = [
        client.post("/v1/uploads", json={"bytes": 10, "filename": "a.csv"}),
        client.post(f"/v1/models/{model_id}/recommendations", json={"dataset": dataset_id}),
        client.post("/v1/evaluations", json={"model": model_id, "dataset": dataset_id}),
        client.put(f"/v1/models/{name}/aliases/production", json={"version": 1}),
        endpoint := client.post(
            "/v1/webhook_endpoints", json={"url": "https://1.1.1.1/hook", "events": ["*"]}
        ),
        client.post(f"/v1/webhook_endpoints/{endpoint.json().get('id')}/test"),
    ]
    for response in made:
        assert response.is_success, response.text
    found = {"n": "1", "name": name, "alias": "production", "path": "config.json", "model_id": model_id}
    with database.unit_of_work() as session:
        for parameter in {word for _, path in _paths_with_ids() for word in _words(path)} - set(found):
            table = Base.metadata.tables[_OTHER_NAMES.get(parameter, f"{parameter.removesuffix('_id')}s")]
            found[parameter] = session.execute(select(table.c.id)).scalars().first() or ""
    assert all(found.values()), found
    return found


def _words(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    """The first example of the body, as the page shows it."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return {}
    kind, described = next(iter(content.items()))
    if kind != "application/json":
        return {"content": b"x"}
    examples = described.get("examples") or {"only": {"value": described["example"]}}
    return {"json": next(iter(examples.values()))["value"]}


def test_every_path_with_an_id_is_404_to_a_stranger(
    ids: dict[str, str],
    client: httpx.Client,
    stranger_headers: dict[str, str],
    application: FastAPI,
    database: Database,
) -> None:
    document = application.openapi()["paths"]
    asked = list(_paths_with_ids())
    assert len(asked) > 30
    wrong = []
    for method, path in asked:
        address = path.format(**ids)
        response = client.request(method, address, headers=stranger_headers, **_body(document[path][method]))
        problem = response.json() if response.content else {}
        if response.status_code != 404 or not str(problem.get("code")).endswith("_not_found"):
            wrong.append((method, path, response.status_code, problem.get("code")))
        assert not any(
            value in str(problem.get("errors")) + str(problem.get("used_by"))
            for name, value in ids.items()
            if name not in {"n", "name", "alias", "path"} and value not in address
        )
    assert wrong == []
    for path in ("/v1/models/{model_id}", "/v1/jobs/{job_id}", "/v1/datasets/{dataset_id}"):
        assert client.get(path.format(**ids)).status_code == 200, "to its owner it is still there"
    for path, operations in document.items():
        if "get" in operations and "{" not in path and path.startswith("/v1/") and path != "/v1/api_keys":
            listed = client.get(path, headers=stranger_headers).json()
            assert listed.get("data", []) == [], path

"""What new work names is deleted while it is being asked for: the answer is that of asking a moment later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import delete

from app.db.models.batch_recommendation import BatchRecommendation
from app.db.models.dataset import Dataset
from app.db.models.model import Model
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import make_ready_dataset
from tests.problems import problem
from tests.stored_models import store_models
from tests.waiting import wait_for_a_waiting_request


@pytest.mark.parametrize("table", [Model, Dataset])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", {"dataset": "{dataset}", "init_from": "{model}"}),
        ("/v1/evaluations", {"dataset": "{dataset}", "model": "{model}"}),
        ("/v1/models/{model}/recommendations", {"dataset": "{dataset}"}),
    ],
)
def test_work_on_what_is_being_deleted_finds_nothing(
    table: type[Model | Dataset],
    path: str,
    body: dict[str, str],
    *,
    client: httpx.Client,
    database: Database,
    blobs: DatabaseBlobStore,
) -> None:
    (model_id,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        dataset_id = make_ready_dataset(session, blobs).id
    ids = {"model": model_id, "dataset": dataset_id}
    given = {name: value.format_map(ids) for name, value in body.items()}
    with ThreadPoolExecutor(1) as other:
        with database.unit_of_work() as session:
            kind = "model" if table is Model else "dataset"
            session.execute(delete(table).where(table.id == ids[kind]))
            answer = other.submit(client.post, path.format_map(ids), json=given, timeout=100)
            wait_for_a_waiting_request(database)
        problem(answer.result(), 404, f"{kind}_not_found")


def test_a_batch_that_another_request_deletes_is_not_found(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore
) -> None:
    (model_id,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        dataset_id = make_ready_dataset(session, blobs).id
    path = f"/v1/models/{model_id}/recommendations"
    batch_id = client.post(path, json={"dataset": dataset_id}).json()["id"]
    with ThreadPoolExecutor(1) as other:
        with database.unit_of_work() as session:
            session.execute(delete(BatchRecommendation).where(BatchRecommendation.id == batch_id))
            answer = other.submit(client.delete, f"{path}/{batch_id}", timeout=100)
            wait_for_a_waiting_request(database)
        problem(answer.result(), 404, "recommendation_not_found")

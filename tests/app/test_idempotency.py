"""`Idempotency-Key` over real HTTP: the same request twice has its effect once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import func, select, update

from app.config import Settings
from app.db.models.blob import Blob
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.kept_answer import KeptAnswer
from app.db.models.project import Project
from app.db.session import Database
from app.idempotency import IdempotentRoute
from app.jobs.reaper import reap_once
from app.sdk.client import SteadyRank
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, make_ready_dataset

KEY = {"Idempotency-Key": "one"}
REPLAYED = "idempotency-replayed"


@pytest.fixture
def ready(database: Database, blobs: DatabaseBlobStore) -> str:
    with database.unit_of_work() as session:
        return make_ready_dataset(session, blobs).id


def count(database: Database, table: type[Any]) -> int:
    with database.unit_of_work() as session:
        return int(session.execute(select(func.count()).select_from(table)).scalar_one())


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return dict(response.json())


def test_a_repeat_gets_the_first_answer_and_no_second_job(
    client: httpx.Client, database: Database, ready: str
) -> None:
    body = {"dataset": ready, "epochs": 3}
    first = client.post("/v1/jobs", json=body, headers=KEY)
    assert first.status_code == 201
    assert REPLAYED not in first.headers
    assert client.post(f"/v1/jobs/{first.json()['id']}/cancel").status_code == 200
    again = client.post("/v1/jobs", json=body, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers[REPLAYED] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert count(database, Job) == 1


def test_another_body_or_query_under_the_same_key_is_refused(client: httpx.Client, ready: str) -> None:
    assert client.post("/v1/jobs", json={"dataset": ready}, headers=KEY).status_code == 201
    for path, body in (
        ("/v1/jobs", {"dataset": ready, "epochs": 3}),
        ("/v1/jobs?validate_only=true", {"dataset": ready}),
    ):
        refused(client.post(path, json=body, headers=KEY), 422, "idempotency_key_reused")


def test_a_key_counts_for_one_caller_and_one_path(
    client: httpx.Client, stranger_headers: dict[str, str], ready: str
) -> None:
    job = client.post("/v1/jobs", json={"dataset": ready}, headers=KEY).json()["id"]
    stranger = client.post("/v1/jobs", json={"dataset": ready}, headers={**KEY, **stranger_headers})
    refused(stranger, 404, "dataset_not_found")
    cancelled = client.post(f"/v1/jobs/{job}/cancel", headers=KEY)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    again = client.post(f"/v1/jobs/{job}/cancel", headers=KEY)
    assert (again.content, again.headers[REPLAYED]) == (cancelled.content, "true")
    refused(client.post(f"/v1/jobs/{job}/cancel"), 409, "job_already_cancelled")


def test_what_was_refused_is_not_kept(client: httpx.Client, database: Database, ready: str) -> None:
    with database.unit_of_work() as session:
        session.get_one(Dataset, ready).status = "rejected"
    refused(client.post("/v1/jobs", json={"dataset": ready}, headers=KEY), 409, "dataset_rejected")
    with database.unit_of_work() as session:
        session.get_one(Dataset, ready).status = "ready"
    assert client.post("/v1/jobs", json={"dataset": ready}, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_what_cannot_be_a_key_is_refused(client: httpx.Client, ready: str, key: str) -> None:
    response = client.post("/v1/jobs", json={"dataset": ready}, headers={"Idempotency-Key": key})
    assert refused(response, 422, "invalid_request")["errors"][0]["pointer"] == "header:idempotency-key"


def test_while_the_first_is_running_a_second_is_told_to_wait(
    client: httpx.Client, database: Database, ready: str
) -> None:
    """The first one waits for the data set's row, which this test holds."""
    answered = threading.Event()

    def post() -> httpx.Response:
        return client.post("/v1/jobs", json={"dataset": ready}, headers=KEY)

    with ThreadPoolExecutor(2) as pool:
        with database.unit_of_work() as session:
            session.execute(select(Dataset).where(Dataset.id == ready).with_for_update())
            both = [pool.submit(post) for _ in range(2)]
            for future in both:
                future.add_done_callback(lambda _: answered.set())
            assert answered.wait(10)
            (early,) = [future.result() for future in both if future.done()]
            refused(early, 409, "idempotency_in_progress")
            assert early.json()["retryable"] is True
            assert int(early.headers["retry-after"]) >= 1
        assert sorted(future.result().status_code for future in both) == [201, 409]
    assert post().headers[REPLAYED] == "true"
    assert count(database, Job) == 1


def test_the_answer_is_kept_with_the_effect_or_not_at_all(
    client: httpx.Client, database: Database, ready: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("the machine broke just before the commit")

    with monkeypatch.context() as broken:
        broken.setattr("app.accounts.answers.keep", break_down)
        assert client.post("/v1/jobs", json={"dataset": ready}, headers=KEY).status_code == 500
    assert (count(database, Job), count(database, KeptAnswer)) == (0, 0)
    assert client.post("/v1/jobs", json={"dataset": ready}, headers=KEY).status_code == 201
    assert (count(database, Job), count(database, KeptAnswer)) == (1, 1)


def chunks(data: bytes) -> Iterator[bytes]:
    yield data[:50]
    yield data[50:]


def test_an_upload_is_compared_by_its_digest(client: httpx.Client, database: Database) -> None:
    path = "/v1/datasets?filename=log.csv"
    first = client.post(path, content=chunks(CSV), headers=KEY)
    assert first.status_code == 201
    again = client.post(path, content=CSV, headers=KEY)
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
    refused(
        client.post(path, content=CSV + b"u9,i1,1700000000\n", headers=KEY), 422, "idempotency_key_reused"
    )
    assert count(database, Dataset) == 1
    with database.unit_of_work() as session:
        finished = select(func.count()).select_from(Blob).where(Blob.sha256.is_not(None))
        assert session.execute(finished).scalar_one() == 1
    form = {"key": {"Idempotency-Key": "form"}, "file": {"file": ("log.csv", CSV)}}
    made = [client.post("/v1/datasets", files=form["file"], headers=form["key"]) for _ in range(2)]
    assert made[0].headers["content-type"] == made[1].headers["content-type"]
    assert (made[0].content, made[1].headers.get(REPLAYED)) == (made[1].content, "true")


def test_answers_are_kept_for_a_day(
    client: httpx.Client, database: Database, settings: Settings, ready: str
) -> None:
    def aged(hours: int) -> None:
        with database.unit_of_work() as session:
            session.execute(update(KeptAnswer).values(created_at=func.now() - timedelta(hours=hours)))

    def post() -> bool:
        return REPLAYED in client.post("/v1/jobs", json={"dataset": ready}, headers=KEY).headers

    assert not post()
    aged(23)
    assert post()
    with database.unit_of_work() as session:
        reap_once(session, settings)
    assert count(database, KeptAnswer) == 1
    aged(25)
    assert not post()
    aged(25)
    with database.unit_of_work() as session:
        reap_once(session, settings)
    assert count(database, KeptAnswer) == 0


def test_the_sdk_repeats_a_request_whose_answer_was_lost(
    service_url: str, api_key: str, database: Database, ready: str
) -> None:
    lost: list[int] = []

    class Cut(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if not lost:
                lost.append(response.status_code)
                raise httpx.ReadError("cut")
            return response

    with SteadyRank(service_url, api_key, transport=Cut(), sleep=lambda _: None) as service:
        job = service.jobs.create(ready)
    assert lost == [201]
    assert job.status == "queued"
    assert count(database, Job) == 1


def test_a_repeated_upload_is_not_refused_for_what_it_stored_the_first_time(
    client: httpx.Client, database: Database
) -> None:
    with database.unit_of_work() as session:
        project = session.execute(select(Project)).scalar_one()
        project.limits = {"stored_bytes": len(CSV) + 10}
    first = client.post("/v1/datasets?filename=a.csv", content=CSV, headers=KEY)
    again = client.post("/v1/datasets?filename=a.csv", content=CSV, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers[REPLAYED] == "true"
    refused(client.post("/v1/datasets?filename=a.csv", content=CSV), 403, "quota_exceeded")
    assert (count(database, Dataset), count(database, Blob)) == (1, 1)


def test_every_post_is_of_that_kind_and_says_so(application: FastAPI) -> None:
    posts = [
        route.original_route
        for route in iter_route_contexts(application.routes)
        if "POST" in (getattr(route, "methods", None) or ()) and isinstance(route.original_route, APIRoute)
    ]
    assert len(posts) >= 4
    assert [route.path for route in posts if not isinstance(route, IdempotentRoute)] == []

    def calls(dependant: Any) -> set[str]:
        return {getattr(dependant.call, "__name__", "")}.union(*map(calls, dependant.dependencies))

    sessions = {"get_session", "get_late_session"}
    assert [route.path for route in posts if not sessions & calls(route.dependant)] == []
    for path, operations in application.openapi()["paths"].items():
        if "post" in operations and path.startswith("/v1/"):
            assert "Idempotency-Key" in [item["name"] for item in operations["post"]["parameters"]], path

"""Quotas: what is over is refused with numbers, and two at once cannot both have the last of something."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from app.accounts import quotas
from app.accounts.stored import stored_bytes, tables
from app.config import Settings
from app.db.models.blob import BlobChunk
from app.db.models.project import DEFAULT_PROJECT, Project
from app.db.session import Database
from app.jobs import submitting
from app.jobs.request_schemas import JobCreate
from app.limit_errors import QuotaExceeded
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, make_ready_dataset
from tests.stored_models import store_models


@pytest.fixture
def limited(database: Database, api_key: str) -> Any:
    """Sets limits of the default project; returns its id."""

    def limit(**limits: int) -> str:
        with database.unit_of_work() as session:
            found = select(Project).where(Project.name == DEFAULT_PROJECT)
            project = session.execute(found).scalar_one()
            project.limits = limits
            return project.id

    return limit


def quota(client: httpx.Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/usage").json()["quotas"][name]
    return found


def test_bytes_of_every_kind_are_those_of_the_chunks(database: Database, blobs: DatabaseBlobStore) -> None:
    store_models(database, blobs)
    with database.unit_of_work() as session:
        project = session.execute(select(Project.id)).scalar_one()
        found = stored_bytes(session, project)
        chunks = session.execute(select(func.sum(func.octet_length(BlobChunk.data)))).scalar_one()
        assert sum(found.values()) == chunks > 0
        assert (found["models"] > 0, found["datasets"] > 0, found["uploads"]) == (True, True, 0)
        assert set(stored_bytes(session, "prj_none").values()) == {0}
    assert {"datasets", "checkpoints", "model_files", "upload_parts"} <= {table.name for table in tables()}


def test_bytes_over_the_quota_are_refused_and_leave_nothing(
    client: httpx.Client, database: Database, limited: Any
) -> None:
    limited(stored_bytes=len(CSV) + 10)
    assert client.post("/v1/datasets?filename=a.csv", content=CSV).status_code == 201
    whole = client.post("/v1/datasets?filename=b.csv", content=CSV)
    streamed = client.post("/v1/datasets?filename=c.csv", content=iter([CSV]))
    upload = client.post("/v1/uploads", json={"bytes": len(CSV)})
    for response in (whole, streamed, upload):
        problem = response.json()
        assert (response.status_code, problem["code"], problem["quota"]) == (
            403,
            "quota_exceeded",
            "stored_bytes",
        )
        assert (problem["used"], problem["wanted"] >= 1, problem["limit"]) == (len(CSV), True, len(CSV) + 10)
    assert quota(client, "stored_bytes")["remaining"] == 10
    unsized = client.post("/v1/uploads", json={}).json()["id"]
    assert client.put(f"/v1/uploads/{unsized}/parts/1", content=CSV[:10]).status_code == 200
    assert client.put(f"/v1/uploads/{unsized}/parts/1", content=b"x" * 10).status_code == 200, "it replaces"
    assert client.put(f"/v1/uploads/{unsized}/parts/1", content=b"x" * 11).json()["code"] == "quota_exceeded"
    with database.unit_of_work() as session:
        chunks = session.execute(select(func.sum(func.octet_length(BlobChunk.data)))).scalar_one()
        assert chunks == len(CSV) + 10


def test_what_is_made_of_what_is_there_needs_room_too(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, limited: Any
) -> None:
    (model,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs).id
    limited(stored_bytes=1)
    for path, body in (
        (f"/v1/datasets/{dataset}/transform", {"transforms": ["drop_duplicates"]}),
        (f"/v1/datasets/{dataset}/forget", {"users": ["u1"]}),
        ("/v1/evaluations", {"model": model, "dataset": dataset}),
    ):
        refused = client.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "quota_exceeded"), refused.text


def test_two_uploads_at_once_do_not_both_take_the_last_room(client: httpx.Client, limited: Any) -> None:
    limited(stored_bytes=len(CSV))

    def send(number: int) -> int:
        return client.post(f"/v1/datasets?filename={number}.csv", content=CSV).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, range(4))) == [201, 403, 403, 403]


def test_jobs_at_once_and_a_day(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, limited: Any
) -> None:
    project = limited(jobs_at_once=1)
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs).id

    def submit(_: int = 0) -> httpx.Response:
        return client.post("/v1/jobs", json={"dataset": dataset})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(submit, range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 429, 429, 429]
    (made,) = (answer.json()["id"] for answer in answers if answer.status_code == 201)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("quota_used_up", "30")
    assert (refused.json()["quota"], refused.json()["used"]) == ("jobs_at_once", 1)
    checked = client.post("/v1/jobs?validate_only=true", json={"dataset": dataset})
    assert checked.is_success, "checking takes no place"

    assert client.post(f"/v1/jobs/{made}/pause").json()["status"] == "paused"
    second = submit().json()["id"]
    assert client.post(f"/v1/jobs/{made}/resume").json()["code"] == "quota_used_up"
    assert client.post(f"/v1/jobs/{second}/cancel").is_success
    assert client.post(f"/v1/jobs/{made}/resume").json()["status"] == "queued"
    assert client.post(f"/v1/jobs/{second}/retry").json()["code"] == "quota_used_up"
    assert client.delete(f"/v1/jobs/{second}").is_success

    assert limited(jobs_a_day=2) == project
    assert quota(client, "jobs_a_day")["used"] == 2, "deleting a job gives nothing back"
    over = submit()
    assert (over.status_code, over.json()["quota"]) == (429, "jobs_a_day")
    midnight = datetime.fromisoformat(quota(client, "jobs_a_day")["resets_at"])
    assert abs(int(over.headers["retry-after"]) - (midnight - datetime.now(UTC)).total_seconds()) < 60


@pytest.mark.parametrize("what", ["evaluations", "batches"])
def test_evaluations_and_batches_at_once(
    what: str, client: httpx.Client, database: Database, blobs: DatabaseBlobStore, limited: Any
) -> None:
    (model,) = store_models(database, blobs)
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs).id
    name = f"{what}_at_once"
    limited(**{name: 1})
    path = "/v1/evaluations" if what == "evaluations" else f"/v1/models/{model}/recommendations"
    body = {"dataset": dataset, **({"model": model} if what == "evaluations" else {})}

    def ask(_: int = 0) -> httpx.Response:
        return client.post(path, json=body)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 3
    assert {(one.json()["code"], one.json()["quota"], one.json()["used"]) for one in refused} == {
        ("quota_used_up", name, 1)
    }
    assert quota(client, name) == {"used": 1, "limit": 1, "remaining": 0, "resets_at": None}
    (made,) = (answer.json()["id"] for answer in answers if answer.is_success)
    assert client.delete(f"{path}/{made}").is_success
    assert ask().is_success


def test_runtime_counts_ended_and_running_attempts(
    database: Database, blobs: DatabaseBlobStore, limited: Any
) -> None:
    store_models(database, blobs)
    project = limited(runtime_seconds_a_month=100)
    settings = Settings()
    with database.unit_of_work() as session:
        now = session.execute(select(func.now())).scalar_one().astimezone(UTC)
        ended = quotas.runtime_of_month(session, project, now)
        assert 0 < ended < 30
        quotas.add_runtime(session, project, 100.0)
        assert quotas.runtime_of_month(session, project, now) == pytest.approx(ended + 100)
        body = JobCreate(dataset=make_ready_dataset(session, blobs).id)
        with pytest.raises(quotas.QuotaUsedUp) as raised:
            submitting.create(session, settings, project, body)
        wait = timedelta(seconds=int(raised.value.headers["Retry-After"]))
        assert timedelta(0) < wait <= timedelta(days=31)


def test_rows_are_those_of_the_data_sets(
    database: Database, blobs: DatabaseBlobStore, limited: Any, client: httpx.Client
) -> None:
    project = limited(rows=40)
    with database.unit_of_work() as session:
        make_ready_dataset(session, blobs)
    assert quota(client, "rows") == {"used": 30, "limit": 40, "remaining": 10, "resets_at": None}
    with database.unit_of_work() as session:
        quotas.require_rows(session, Settings(), project, 10)
        with pytest.raises(QuotaExceeded, match="11 more rows; the project has 30 of 40"):
            quotas.require_rows(session, Settings(), project, 11)


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        (datetime(2025, 12, 31, 23, 59, tzinfo=UTC), (2026, 1, 1), (2026, 1, 1)),
        (datetime(2024, 1, 31, tzinfo=UTC), (2024, 2, 1), (2024, 2, 1)),
    ],
)
def test_periods_end_at_midnight_utc(
    now: datetime, day: tuple[int, int, int], month: tuple[int, int, int]
) -> None:
    assert quotas.next_day(now) == datetime(*day, tzinfo=UTC)
    assert quotas.next_month(now) == datetime(*month, tzinfo=UTC)

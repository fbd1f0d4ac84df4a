"""Jobs over real HTTP, on a real database and broker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.models.blob import Blob, BlobChunk
from app.db.models.checkpoint import Checkpoint
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.models.job_metric import JobMetric
from app.db.models.worker import Worker
from app.db.session import Database
from app.jobs.claims import Claim, claim, hold
from app.jobs.life import Status, move
from app.jobs.results import FinishedModel, succeed
from app.storage.database import DatabaseBlobStore
from tests.factories import make_dataset, make_job, make_ready_dataset
from worker.training.spec import TrainSpec

LEASE = timedelta(seconds=30)
REPORT = {"schema_version": 1, "arms": {"cascade": {"test": {"ndcg@10": 0.1}}}}


@pytest.fixture
def dataset(database: Database, blobs: DatabaseBlobStore) -> Dataset:
    with database.unit_of_work() as session:
        return make_ready_dataset(session, blobs)


def submitted(database: Database, dataset: Dataset, **spec: Any) -> str:
    with database.unit_of_work() as session:
        return make_job(session, session.get_one(Dataset, dataset.id), **spec).id


def taken(database: Database, job_id: str) -> Claim:
    with database.unit_of_work() as session:
        claimed = claim(session, job_id, worker="w@host", lease=LEASE)
    assert claimed is not None
    return claimed


def finished(database: Database, blobs: DatabaseBlobStore, dataset: Dataset) -> str:
    """A job that succeeded with one model of 3 + 4 bytes, and one checkpoint of 5."""
    job_id = submitted(database, dataset, name="films", arms=["cascade"])
    claimed = taken(database, job_id)
    with database.unit_of_work() as session:
        kept = blobs.put(session, b"state")
        session.add(
            Checkpoint(
                job_id=job_id,
                attempt=1,
                kind="best",
                seed=0,
                arm="cascade",
                epoch=3,
                step=30,
                blob_id=kept.id,
                bytes=kept.size,
                sha256=kept.sha256,
            )
        )
    with database.unit_of_work() as session:
        files = tuple((path, blobs.put(session, data)) for path, data in (("a", b"abc"), ("b.json", b"[12]")))
        model = FinishedModel("cascade", 0, {"test": {"ndcg@10": 0.1}}, files)
        succeed(session, claimed, models=[model], report=REPORT, report_markdown="# Report\n")
    return job_id


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    return body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        *(("GET", f"/v1/jobs/job_x{end}") for end in ("", "/events", "/metrics", "/report", "/checkpoints")),
        ("POST", "/v1/jobs/job_x/cancel"),
        ("DELETE", "/v1/jobs/job_x"),
        ("GET", "/v1/checkpoints/ckpt_x"),
        ("GET", "/v1/checkpoints/ckpt_x/content"),
    ],
)
def test_without_a_key_nothing(anonymous: httpx.Client, method: str, path: str) -> None:
    problem(anonymous.request(method, path), 401, "unauthorized")


def test_a_data_set_is_a_full_job(client: httpx.Client, dataset: Dataset) -> None:
    response = client.post("/v1/jobs", json={"dataset": dataset.id})
    assert response.status_code == 201
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["object"] == "job"
    assert (job["status"], job["phase"], job["arm"], job["error"]) == ("queued", None, None, None)
    assert job["dataset"] == dataset.id
    assert job["model"] == "sasrec"
    assert job["arms"] == ["standard", "adversarial", "cascade"]
    assert TrainSpec.model_validate(job["spec"]) == TrainSpec()
    assert job["queue"] == {"position": 1, "reason": "no worker is alive", "code": "no_worker_alive"}
    assert [change["status"] for change in job["status_history"]] == ["queued"]
    assert (job["attempts"], job["models"], job["progress"]["fraction"]) == ([], [], 0.0)
    found = client.get(f"/v1/jobs/{job['id']}")
    assert found.json() == job
    assert int(found.headers["retry-after"]) > 0


def test_settings_stand_flat_and_are_kept(client: httpx.Client, dataset: Dataset) -> None:
    sent = {"model": "gru4rec", "arms": ["cascade"], "epochs": 4, "seeds": [3, 4], "gamma": 0.5}
    body = {"dataset": dataset.id, "name": "mine", "labels": {"team": "search"}, **sent}
    job = client.post("/v1/jobs", json=body).json()
    assert {name: job["spec"][name] for name in sent} == sent
    assert (job["spec"]["seed"], job["spec"]["warmup_epochs"]) == (3, 2)
    assert (job["name"], job["labels"]) == ("mine", {"team": "search"})


def test_validate_only_submits_nothing(client: httpx.Client, dataset: Dataset) -> None:
    body = {"dataset": dataset.id, "epochs": 20, "arms": ["standard", "cascade"], "warmup_epochs": 5}
    response = client.post("/v1/jobs?validate_only=true", json=body)
    assert response.status_code == 200
    checked = response.json()
    assert (checked["object"], checked["valid"], checked["dataset"]) == ("job.validation", True, dataset.id)
    assert checked["spec"]["epochs"] == 20
    assert checked["estimate"]["epochs"] == 5 + 2 * 15
    assert checked["estimate"]["models"] == 2
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
    dataset: Dataset,
    body: dict[str, Any],
    pointer: str | None,
    code: str | None,
    query: str,
) -> None:
    response = client.post(f"/v1/jobs{query}", json={"dataset": dataset.id, **body})
    errors = problem(response, 422, "invalid_request")["errors"]
    assert pointer is None or errors[0]["pointer"] == pointer
    assert code is None or (errors[0]["code"], bool(errors[0]["hint"])) == (code, True)
    assert client.get("/v1/jobs").json()["data"] == []


def test_only_a_ready_data_set_of_the_own_project_is_trained_on(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        waiting = make_dataset(session, blobs).id
        other = make_ready_dataset(session, blobs, project="other").id
    body = problem(client.post("/v1/jobs", json={"dataset": waiting}), 409, "dataset_not_ready")
    assert "validating" in body["hint"]
    problem(client.post("/v1/jobs", json={"dataset": other}), 404, "dataset_not_found")
    problem(client.post("/v1/jobs", json={"dataset": "ds_x"}), 404, "dataset_not_found")
    with database.unit_of_work() as session:
        row = session.get_one(Dataset, waiting)
        row.status, row.validated_at = "rejected", session.execute(select(func.now())).scalar_one()
    problem(client.post("/v1/jobs", json={"dataset": waiting}), 409, "dataset_rejected")


def test_another_projects_job_is_not_there(
    client: httpx.Client, stranger_headers: dict[str, str], database: Database, dataset: Dataset
) -> None:
    job_id = submitted(database, dataset)
    for method, end in (
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/report"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ):
        response = client.request(method, f"/v1/jobs/{job_id}{end}", headers=stranger_headers)
        problem(response, 404, "job_not_found")
    assert client.get("/v1/jobs", headers=stranger_headers).json()["data"] == []


def test_the_list_is_newest_first_filtered_and_paged(
    client: httpx.Client, database: Database, dataset: Dataset
) -> None:
    ids = [submitted(database, dataset) for _ in range(5)]
    taken(database, ids[0])
    first = client.get("/v1/jobs?limit=2").json()
    assert [job["id"] for job in first["data"]] == [ids[4], ids[3]]
    assert first["has_more"]
    submitted(database, dataset)
    second = client.get(f"/v1/jobs?limit=3&after={first['last_id']}").json()
    assert [job["id"] for job in second["data"]] == [ids[2], ids[1], ids[0]]
    assert not second["has_more"]
    running = client.get("/v1/jobs?status=running").json()["data"]
    assert [job["id"] for job in running] == [ids[0]]
    assert len(client.get(f"/v1/jobs?dataset={dataset.id}").json()["data"]) == 6
    assert client.get("/v1/jobs?dataset=ds_x").json()["data"] == []
    problem(client.get("/v1/jobs?status=lost"), 422, "invalid_request")


def test_a_queued_job_says_where_it_stands(
    client: httpx.Client, database: Database, dataset: Dataset
) -> None:
    first, second = submitted(database, dataset), submitted(database, dataset)
    with database.unit_of_work() as session:
        session.add(Worker(id="t@h/train", queue="train", device="cpu", versions={}))
    positions = {job["id"]: job["queue"] for job in client.get("/v1/jobs").json()["data"]}
    assert (positions[first]["position"], positions[first]["code"]) == (1, "starting")
    assert positions[second]["position"] == 2
    taken(database, first)
    assert client.get(f"/v1/jobs/{first}").json()["queue"] is None
    assert client.get(f"/v1/jobs/{second}").json()["queue"]["position"] == 1


def test_cancelling_a_queued_job_ends_it_and_a_second_time_is_refused(
    client: httpx.Client, database: Database, dataset: Dataset
) -> None:
    job_id = submitted(database, dataset)
    job = client.post(f"/v1/jobs/{job_id}/cancel")
    assert job.status_code == 200
    assert job.json()["status"] == "cancelled"
    assert job.json()["ended_at"] is not None
    body = problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "job_already_cancelled")
    assert body["hint"]
    assert "retry-after" not in client.get(f"/v1/jobs/{job_id}").headers


def test_cancelling_a_running_job_asks_it_to_stop(
    client: httpx.Client, database: Database, dataset: Dataset
) -> None:
    job_id = submitted(database, dataset)
    claimed = taken(database, job_id)
    job = client.post(f"/v1/jobs/{job_id}/cancel").json()
    assert (job["status"], job["ended_at"]) == ("cancelling", None)
    problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "job_already_cancelled")
    with database.unit_of_work() as session:
        assert hold(session, claimed).cancel_requested


def test_a_failed_job_says_why_and_cannot_be_cancelled(
    client: httpx.Client, database: Database, dataset: Dataset
) -> None:
    job_id = submitted(database, dataset)
    error = {"code": "diverged", "message": "no", "hint": "less", "phase": "training", "attempt": 1}
    claimed = taken(database, job_id)
    with database.unit_of_work() as session:
        move(session, hold(session, claimed), Status.FAILED, message="no", error=error)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert job["error"] == {**error, "retryable": False}
    assert job["attempts"][0]["outcome"] == "failed"
    problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "job_not_cancellable")
    problem(client.get(f"/v1/jobs/{job_id}/report"), 409, "report_not_ready")


def test_events_are_read_from_where_one_left_off(
    client: httpx.Client, database: Database, dataset: Dataset
) -> None:
    job_id = submitted(database, dataset)
    taken(database, job_id)
    client.post(f"/v1/jobs/{job_id}/cancel")
    page = client.get(f"/v1/jobs/{job_id}/events?limit=2").json()
    assert [event["sequence"] for event in page["data"]] == [1, 2]
    assert page["has_more"]
    assert page["data"][1]["data"] == {"from": "queued", "to": "running", "attempt": 1}
    for after in (page["last_id"], 2):
        rest = client.get(f"/v1/jobs/{job_id}/events?after={after}").json()
        assert [event["sequence"] for event in rest["data"]] == [3]
        assert not rest["has_more"]
    for wrong in ("x", "evt_00000000000000000000000000", "-1"):
        problem(client.get(f"/v1/jobs/{job_id}/events?after={wrong}"), 422, "unknown_cursor")


def test_metrics_come_in_the_order_in_which_epochs_ended(
    client: httpx.Client, database: Database, dataset: Dataset
) -> None:
    job_id = submitted(database, dataset)
    with database.unit_of_work() as session:
        for arm, epoch in (("warmup", 1), ("standard", 2), ("cascade", 2)):
            row = {"validation": {"ndcg@10": 0.5}, "seconds": 1.0, "loss": 0.25, "attempt": 1}
            session.add(JobMetric(job_id=job_id, seed=0, arm=arm, epoch=epoch, **row))
            session.flush()
    page = client.get(f"/v1/jobs/{job_id}/metrics?limit=2").json()
    assert [(row["arm"], row["epoch"]) for row in page["data"]] == [("warmup", 1), ("standard", 2)]
    assert page["data"][0]["validation"] == {"ndcg@10": 0.5}
    rest = client.get(f"/v1/jobs/{job_id}/metrics?after={page['last_id']}").json()
    assert [row["arm"] for row in rest["data"]] == ["cascade"]
    problem(client.get(f"/v1/jobs/{job_id}/metrics?after=0-cascade-9"), 422, "unknown_cursor")


def test_the_report_as_json_and_as_markdown(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, dataset: Dataset
) -> None:
    path = f"/v1/jobs/{finished(database, blobs, dataset)}/report"
    assert client.get(path).json() == REPORT
    for response in (client.get(f"{path}?format=md"), client.get(path, headers={"Accept": "text/markdown"})):
        assert response.text == "# Report\n"
        assert response.headers["content-type"].startswith("text/markdown")
    problem(client.get(f"{path}?format=pdf"), 422, "invalid_request")


def test_a_checkpoint_is_downloaded_in_parts(
    client: httpx.Client,
    database: Database,
    blobs: DatabaseBlobStore,
    dataset: Dataset,
    stranger_headers: dict[str, str],
) -> None:
    job_id = finished(database, blobs, dataset)
    (row,) = client.get(f"/v1/jobs/{job_id}/checkpoints").json()["data"]
    assert (row["kind"], row["arm"], row["step"], row["bytes"]) == ("best", "cascade", 30, 5)
    path = f"/v1/checkpoints/{row['id']}"
    assert client.get(path).json() == row
    whole = client.get(f"{path}/content")
    assert (whole.content, whole.headers["etag"]) == (b"state", f'"{row["sha256"]}"')
    part = client.get(f"{path}/content", headers={"Range": "bytes=2-"})
    assert (part.status_code, part.content) == (206, b"ate")
    problem(client.get(f"{path}/content", headers=stranger_headers), 404, "checkpoint_not_found")


def bytes_stored(session: Session) -> int:
    return int(session.execute(select(func.coalesce(func.sum(func.length(BlobChunk.data)), 0))).scalar_one())


def test_deleting_keeps_models_unless_told_and_frees_what_it_says(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, dataset: Dataset
) -> None:
    job_id = submitted(database, dataset)
    problem(client.delete(f"/v1/jobs/{job_id}"), 409, "job_in_use")
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.delete(f"/v1/jobs/{job_id}").json()["freed_bytes"] == 0
    problem(client.get(f"/v1/jobs/{job_id}"), 404, "job_not_found")

    kept = finished(database, blobs, dataset)
    (model,) = client.get(f"/v1/jobs/{kept}").json()["models"]
    deleted = client.delete(f"/v1/jobs/{kept}").json()
    assert (deleted["freed_bytes"], deleted["models"]) == (5, [])
    assert client.get(f"/v1/models/{model}").json()["job"] == kept

    gone = finished(database, blobs, dataset)
    (model,) = client.get(f"/v1/jobs/{gone}").json()["models"]
    with database.unit_of_work() as session:
        before = bytes_stored(session)
    deleted = client.delete(f"/v1/jobs/{gone}?models=true").json()
    assert (deleted["freed_bytes"], deleted["models"]) == (12, [model])
    problem(client.get(f"/v1/models/{model}"), 404, "model_not_found")
    with database.unit_of_work() as session:
        assert before - bytes_stored(session) == 12
        assert session.execute(select(func.count()).select_from(Blob).where(Blob.size == 5)).scalar_one() == 0


def test_a_job_outlives_its_data_set(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, dataset: Dataset
) -> None:
    job_id = finished(database, blobs, dataset)
    assert client.delete(f"/v1/datasets/{dataset.id}").status_code == 200
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["dataset"], job["dataset_facts"]["sha256"]) == (dataset.id, dataset.sha256)
    with database.unit_of_work() as session:
        assert session.get_one(Job, job_id).dataset_id is None


def test_a_data_set_cannot_be_deleted_under_a_waiting_job(
    client: httpx.Client, database: Database, dataset: Dataset, settings: Settings
) -> None:
    job_id = submitted(database, dataset)
    assert problem(client.delete(f"/v1/datasets/{dataset.id}"), 409, "dataset_in_use")["used_by"] == [job_id]


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b"], ids=["nul", "half a letter"])
@pytest.mark.parametrize("where", ["name", "dataset", "label", "label key"])
def test_text_that_cannot_be_stored_is_refused(
    client: httpx.Client, dataset: Dataset, text: str, where: str
) -> None:
    parts = {
        "name": f'"name": "{text}"',
        "dataset": f'"dataset": "{text}"',
        "label": f'"labels": {{"a": "{text}"}}',
        "label key": f'"labels": {{"{text}": "a"}}',
    }
    body = f'{{"dataset": "{dataset.id}", {parts[where]}}}'
    response = client.post("/v1/jobs", content=body.encode(), headers={"Content-Type": "application/json"})
    assert response.status_code in {404, 422}, response.text


@pytest.mark.parametrize(
    "path", ["/v1/jobs/%00", "/v1/jobs?dataset=%00", "/v1/models/%00", "/v1/models?job=%00"]
)
def test_a_nul_in_an_address_finds_nothing(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code < 500, response.text

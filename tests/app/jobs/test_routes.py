"""Jobs over real HTTP: who sees them, lists, what a finished one leaves, and deleting."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models.blob import Blob, BlobChunk
from app.db.models.checkpoint import Checkpoint
from app.db.models.job import Job
from app.db.models.worker import Worker
from app.db.session import Database
from app.jobs.results import FinishedModel, succeed
from app.storage.database import DatabaseBlobStore
from tests.app.jobs.conftest import Bench
from tests.problems import problem

REPORT = {"schema_version": 1, "arms": {"cascade": {"test": {"ndcg@10": 0.1}}}}


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


def test_another_projects_job_is_not_there(
    client: httpx.Client, stranger_headers: dict[str, str], bench: Bench
) -> None:
    job_id = bench.submit()
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


def test_the_list_is_newest_first_filtered_and_paged(client: httpx.Client, bench: Bench) -> None:
    ids = [bench.submit() for _ in range(5)]
    bench.take(ids[0])
    first = client.get("/v1/jobs?limit=2").json()
    assert [job["id"] for job in first["data"]] == [ids[4], ids[3]]
    assert first["has_more"]
    bench.submit()
    second = client.get(f"/v1/jobs?limit=3&after={first['last_id']}").json()
    assert [job["id"] for job in second["data"]] == [ids[2], ids[1], ids[0]]
    assert not second["has_more"]
    running = client.get("/v1/jobs?status=running").json()["data"]
    assert [job["id"] for job in running] == [ids[0]]
    assert len(client.get(f"/v1/jobs?dataset={bench.dataset_id}").json()["data"]) == 6
    assert client.get("/v1/jobs?dataset=ds_x").json()["data"] == []
    problem(client.get("/v1/jobs?status=lost"), 422, "invalid_request")


def test_a_queued_job_says_where_it_stands(client: httpx.Client, database: Database, bench: Bench) -> None:
    first, second = bench.submit(), bench.submit()
    with database.unit_of_work() as session:
        session.add(Worker(id="t@h/train", queue="train", device="cpu", versions={}))
    positions = {job["id"]: job["queue"] for job in client.get("/v1/jobs").json()["data"]}
    assert (positions[first]["position"], positions[first]["code"]) == (1, "starting")
    assert positions[second]["position"] == 2
    bench.take(first)
    assert client.get(f"/v1/jobs/{first}").json()["queue"] is None
    assert client.get(f"/v1/jobs/{second}").json()["queue"]["position"] == 1


def finished(bench: Bench, blobs: DatabaseBlobStore) -> str:
    """A job that succeeded with one model of 3 + 4 bytes, and one checkpoint of 5."""
    job_id = bench.submit(name="films", arms=["cascade"])
    claimed = bench.take(job_id)
    with bench.database.unit_of_work() as session:
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
    with bench.database.unit_of_work() as session:
        files = tuple((path, blobs.put(session, data)) for path, data in (("a", b"abc"), ("b.json", b"[12]")))
        model = FinishedModel("cascade", 0, {"test": {"ndcg@10": 0.1}}, files)
        succeed(session, claimed, models=[model], report=REPORT, report_markdown="# Report\n")
    return job_id


def test_the_report_as_json_and_as_markdown(
    client: httpx.Client, blobs: DatabaseBlobStore, bench: Bench
) -> None:
    path = f"/v1/jobs/{finished(bench, blobs)}/report"
    assert client.get(path).json() == REPORT
    for response in (client.get(f"{path}?format=md"), client.get(path, headers={"Accept": "text/markdown"})):
        assert response.text == "# Report\n"
        assert response.headers["content-type"].startswith("text/markdown")
    problem(client.get(f"{path}?format=pdf"), 422, "invalid_request")


def test_a_checkpoint_is_downloaded_in_parts(
    client: httpx.Client,
    blobs: DatabaseBlobStore,
    bench: Bench,
    stranger_headers: dict[str, str],
) -> None:
    job_id = finished(bench, blobs)
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
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, bench: Bench
) -> None:
    job_id = bench.submit()
    refused = client.delete(f"/v1/jobs/{job_id}")
    problem(refused, 409, "job_in_use")
    assert (refused.json()["used_by"], refused.json()["job_status"]) == ([], "queued")
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.delete(f"/v1/jobs/{job_id}").json()["freed_bytes"] == 0
    problem(client.get(f"/v1/jobs/{job_id}"), 404, "job_not_found")

    kept = finished(bench, blobs)
    (model,) = client.get(f"/v1/jobs/{kept}").json()["models"]
    deleted = client.delete(f"/v1/jobs/{kept}").json()
    assert (deleted["freed_bytes"], deleted["models"]) == (5, [])
    assert client.get(f"/v1/models/{model}").json()["job"] == kept

    gone = finished(bench, blobs)
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
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, bench: Bench
) -> None:
    job_id = finished(bench, blobs)
    sha256 = client.get(f"/v1/datasets/{bench.dataset_id}").json()["sha256"]
    assert client.delete(f"/v1/datasets/{bench.dataset_id}").status_code == 200
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["dataset"], job["dataset_facts"]["sha256"]) == (bench.dataset_id, sha256)
    with database.unit_of_work() as session:
        assert session.get_one(Job, job_id).dataset_id is None


def test_a_data_set_cannot_be_deleted_under_a_waiting_job(client: httpx.Client, bench: Bench) -> None:
    job_id = bench.submit()
    refused = problem(client.delete(f"/v1/datasets/{bench.dataset_id}"), 409, "dataset_in_use")
    assert refused["used_by"] == [job_id]


@pytest.mark.parametrize(
    "path", ["/v1/jobs/%00", "/v1/jobs?dataset=%00", "/v1/models/%00", "/v1/models?job=%00"]
)
def test_a_nul_in_an_address_finds_nothing(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code < 500, response.text

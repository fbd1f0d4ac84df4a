"""Reports, previews, transforms, versions and forgetting: over HTTP, with the light worker's code behind."""

from __future__ import annotations

import io
import json
import threading
from typing import Any, get_args

import httpx
import polars as pl
import pytest
from sqlalchemy import select, text

from app.config import Settings
from app.datasets.version_schemas import TransformName
from app.db.models.dataset import Dataset
from app.db.models.model import Model
from app.db.models.project import DEFAULT_PROJECT, Project
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import make_job, make_ready_dataset
from tests.stored_models import store_models
from worker.datasets import validate_dataset
from worker.resources import Resources
from worker.training.doctor.fixes import TRANSFORMS

ROWS = [
    (user, f"i{(step * 3 + place) % 7}", 1_700_000_000 + 100 * step)
    for place, user in enumerate(("anna", "ben", "cleo"))
    for step in range(5)
]
LOG = b"user_id,item_id,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in ROWS).encode()
WITH_FAULTS = LOG + b"anna,i0,1700000000\n" + b" ben,i1,1700000900\n"


class Service:
    """The API, and a light worker that is asked to work."""

    def __init__(self, client: httpx.Client, resources: Resources) -> None:
        self.client, self.resources = client, resources

    def post(self, path: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
        response = self.client.post(f"/v1/datasets/{path}", json=body)
        assert response.status_code == status, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str) -> dict[str, Any]:
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def upload(self, data: bytes, name: str = "clicks") -> str:
        made = self.client.post(f"/v1/datasets?name={name}&filename=log.csv.gz", content=data)
        assert made.status_code == 201, made.text
        return self.work(made.json()["id"])["id"]

    def work(self, dataset_id: str) -> dict[str, Any]:
        validate_dataset(dataset_id, resources=self.resources, stopping=threading.Event())
        return self.get(f"/v1/datasets/{dataset_id}")

    def refusals(self, dataset_id: str) -> set[tuple[str, str]]:
        """Code and detail of whatever is asked of a data set that is not ready: all alike, if it is one."""
        path, job = f"/v1/datasets/{dataset_id}", {"dataset": dataset_id}
        refused = [
            *(self.client.get(f"{path}/{part}") for part in ("preview", "content")),
            self.client.post(f"{path}/transform", json={"transforms": ["hash_ids"]}),
            self.client.post(f"{path}/forget", json={"users": ["anna"]}),
            self.client.post("/v1/jobs", json=job),
        ]
        assert {answer.status_code for answer in refused} == {409}
        return {(answer.json()["code"], answer.json()["detail"]) for answer in refused}

    def interactions(self, dataset_id: str) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO(self.client.get(f"/v1/datasets/{dataset_id}/content").content))


@pytest.fixture
def service(
    client: httpx.Client, settings: Settings, database: Database, blobs: DatabaseBlobStore
) -> Service:
    return Service(client, Resources(settings, database, blobs))


def test_names_of_transforms_are_those_of_the_library() -> None:
    assert set(get_args(TransformName)) == set(TRANSFORMS)


def test_the_report_names_lines_and_fixes(service: Service) -> None:
    dataset = service.upload(WITH_FAULTS)
    report = service.get(f"/v1/datasets/{dataset}/report")
    found = {finding["code"]: finding for finding in report["findings"]}
    assert (found["duplicates"]["count"], found["duplicates"]["lines"]) == (1, [17])
    assert found["duplicates"]["fix"]["name"] == "drop_duplicates"
    assert found["id_spaces"]["lines"] == [18]
    assert found["id_spaces"]["examples"] == ["'ben' = ' ben'"]
    page = service.client.get(f"/v1/datasets/{dataset}/report?format=md")
    assert page.headers["content-type"].startswith("text/markdown")
    assert "| warning | duplicates | 1 interaction " in page.text
    assert "transform `drop_duplicates`" in page.text
    assert service.client.get(f"/v1/datasets/{dataset}/report?format=pdf").status_code == 422


def test_fixes_make_another_version(service: Service) -> None:
    first = service.upload(WITH_FAULTS)
    before = service.client.get(f"/v1/datasets/{first}/content").content
    made = service.post(f"{first}/transform", {"transforms": ["strip_ids", "drop_duplicates"]})
    assert (made["status"], made["version"], made["name"], made["bytes"]) == ("validating", 2, "clicks", 0)
    waiting = service.client.get(f"/v1/datasets/{made['id']}/content")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "dataset_not_ready")
    in_use = service.client.delete(f"/v1/datasets/{first}")
    assert (in_use.status_code, in_use.json()["used_by"]) == (409, [made["id"]])

    second = service.work(made["id"])
    assert (second["status"], second["format"], second["filename"]) == ("ready", "parquet", "log.parquet")
    counts = [
        (step["name"], step["interactions_before"], step["interactions_after"], step["interactions_changed"])
        for step in second["lineage"]["transforms"]
    ]
    assert counts == [("strip_ids", 17, 17, 1), ("drop_duplicates", 17, 16, 0)]
    parent = service.get(f"/v1/datasets/{first}")
    assert second["lineage"]["parent"] == first
    assert second["lineage"]["parent_content_sha256"] == parent["content_sha256"] != second["content_sha256"]
    assert parent["used_by"]["dataset_ids"] == [second["id"]]
    assert parent["used_by"]["datasets"] == 1
    assert service.client.get(f"/v1/datasets/{first}/content").content == before
    frame = service.interactions(second["id"])
    assert (frame.columns, len(frame), frame["user"].n_unique()) == (["user", "item", "timestamp"], 16, 3)
    codes = {finding["code"] for finding in service.get(f"/v1/datasets/{second['id']}/report")["findings"]}
    assert not codes & {"duplicates", "id_spaces"}
    # its file is a data set like any other, and the service says that it is the same
    again = service.work(service.upload(service.client.get(f"/v1/datasets/{second['id']}/content").content))
    assert (again["same_content_as"], again["version"]) == (second["id"], 3)
    assert again["content_sha256"] == second["content_sha256"]
    freed = service.client.delete(f"/v1/datasets/{second['id']}").json()["freed_bytes"]
    assert freed == second["bytes"]  # one blob is both its file and its interactions


def test_what_cannot_be_made(service: Service, stranger_headers: dict[str, str]) -> None:
    dataset = service.upload(LOG)
    wrong = service.post(f"{dataset}/transform", {"transforms": ["polish"]}, 422)
    assert wrong["errors"][0]["pointer"] == "/transforms/0"
    assert (
        service.post(f"{dataset}/transform", {"transforms": []}, 422)["errors"][0]["pointer"] == "/transforms"
    )
    service.post(f"{dataset}/forget", {"users": []}, 422)
    other = service.client.post(
        f"/v1/datasets/{dataset}/transform", json={"transforms": ["hash_ids"]}, headers=stranger_headers
    )
    assert (other.status_code, other.json()["code"]) == (404, "dataset_not_found")
    waiting = service.post(f"{dataset}/transform", {"transforms": ["hash_ids"], "name": "hidden"})
    assert (waiting["name"], waiting["version"]) == ("hidden", 1)
    assert service.refusals(waiting["id"]) == {
        ("dataset_not_ready", f"Data set {waiting['id']} is validating and cannot be used yet.")
    }
    nothing = service.post(f"{dataset}/forget", {"users": ["anna", "ben", "cleo"]})
    left = service.work(nothing["id"])
    assert (left["status"], left["problems"][0]["code"]) == ("rejected", "nothing_left")
    assert service.refusals(nothing["id"]) == {
        ("dataset_rejected", f"Data set {nothing['id']} was rejected and cannot be used.")
    }


def test_a_preview_shows_rows_and_lines(service: Service) -> None:
    dataset = service.upload(WITH_FAULTS)
    preview = service.get(f"/v1/datasets/{dataset}/preview?limit=2")
    assert preview["lines"] == ["user_id,item_id,timestamp", "anna,i0,1700000000"]
    assert [row["user"] for row in preview["rows"]] == ["anna", "anna"]
    assert preview["rows"][0] == {
        "user": "anna",
        "item": "i0",
        "time": "2023-11-14T22:13:20Z",
        "rating": None,
    }
    assert service.client.get(f"/v1/datasets/{dataset}/preview?limit=101").status_code == 422
    made = service.post(f"{dataset}/transform", {"transforms": ["strip_ids"]})
    early = service.client.get(f"/v1/datasets/{made['id']}/preview")
    assert (early.status_code, early.json()["code"]) == (409, "dataset_not_ready")
    service.work(made["id"])
    assert service.get(f"/v1/datasets/{made['id']}/preview")["lines"] is None


def test_forgotten_users_leave_no_trace_and_models_are_warned_of(
    service: Service, database: Database
) -> None:
    first = service.upload(LOG)
    (model_id,) = store_models(database, service.resources.blobs)
    with database.unit_of_work() as session:
        model = session.get_one(Model, model_id)
        model.dataset_id, model.dataset_facts = first, {**model.dataset_facts, "id": first}
    assert service.get(f"/v1/datasets/{first}")["used_by"]["model_ids"] == [model_id]
    assert service.get(f"/v1/models/{model_id}")["warnings"] == []

    made = service.post(f"{first}/forget", {"users": ["anna", "nobody", "anna"], "delete_parent": True})
    with database.unit_of_work() as session:
        assert "anna" not in json.dumps(session.get_one(Dataset, made["id"]).to_forget)
    second = service.work(made["id"])
    (step,) = second["lineage"]["transforms"]
    assert step == {
        "name": "forget",
        "users_named": 2,
        "users_removed": 1,
        "users_unknown": 1,
        "unknown_at": [1],
        "interactions_before": 15,
        "interactions_after": 10,
    }
    assert second["lineage"]["deleted"] == [first]
    assert set(service.interactions(second["id"])["user"]) == {"ben", "cleo"}
    assert service.client.get(f"/v1/datasets/{first}").status_code == 404
    (warning,) = service.get(f"/v1/models/{model_id}")["warnings"]
    expected = ("trained_on_forgotten_users", first, second["id"], 1)
    assert tuple(warning[key] for key in ("code", "dataset", "made_dataset", "users")) == expected
    with database.unit_of_work() as session:
        assert session.get_one(Dataset, made["id"]).to_forget is None
        rows = session.execute(
            text("SELECT d::text FROM datasets d UNION ALL SELECT f::text FROM dataset_forgets f")
        )
        stored = "".join(rows.scalars())
        chunks = b"".join(session.execute(text("SELECT data FROM blob_chunks")).scalars())
        kept = "".join(session.execute(text("SELECT k::text FROM kept_answers k")).scalars())
    assert "anna" not in stored
    assert b"anna" not in chunks
    assert "anna" not in kept


def test_only_unknown_users_is_an_error(service: Service, database: Database) -> None:
    dataset = service.upload(LOG)
    made = service.work(service.post(f"{dataset}/forget", {"users": ["nobody"], "delete_parent": True})["id"])
    assert (made["status"], made["problems"][0]["code"]) == ("rejected", "unknown_users")
    assert made["problems"][0]["pointer"] == "/users"
    assert service.get(f"/v1/datasets/{dataset}")["status"] == "ready"
    with database.unit_of_work() as session:
        assert session.execute(select(Dataset.to_forget).where(Dataset.id == made["id"])).scalar_one() is None


def test_versions_that_are_in_use_stay(
    service: Service, database: Database, blobs: DatabaseBlobStore
) -> None:
    first = service.upload(LOG)
    second = service.work(service.post(f"{first}/transform", {"transforms": ["strip_ids"]})["id"])
    with database.unit_of_work() as session:
        job = make_job(session, session.get_one(Dataset, first)).id
    refused = service.post(f"{first}/forget", {"users": ["anna"], "delete_parent": True}, 409)
    assert (refused["code"], refused["used_by"]) == ("dataset_in_use", [job])
    third = service.work(
        service.post(f"{second['id']}/forget", {"users": ["anna"], "delete_parent": True})["id"]
    )
    assert third["version"] == 3
    assert (third["lineage"]["deleted"], third["lineage"]["kept_in_use"]) == ([second["id"]], [first])
    assert service.get(f"/v1/datasets/{first}")["used_by"]["job_ids"] == [job]


def test_what_is_made_of_another_is_within_the_quotas(service: Service, database: Database) -> None:
    first = service.upload(LOG)
    strip, forget = {"transforms": ["strip_ids"]}, {"users": ["anna"]}

    def limit(**limits: int) -> None:
        with database.unit_of_work() as session:
            found = select(Project).where(Project.name == DEFAULT_PROJECT)
            session.execute(found).scalar_one().limits = limits

    stored = service.get("/v1/usage")["quotas"]["stored_bytes"]["used"]
    for limits, quota in (({"rows": 20}, "rows"), ({"stored_bytes": stored + 10}, "stored bytes")):
        limit(**limits)
        for path, body in (("transform", strip), ("forget", forget)):
            made = service.work(service.post(f"{first}/{path}", body)["id"])
            (problem,) = service.get(f"/v1/datasets/{made['id']}/report")["problems"]
            assert (made["status"], problem["code"]) == ("rejected", "quota_exceeded")
            assert f"more {quota}; the project has" in problem["message"]
    assert service.get("/v1/usage")["quotas"]["stored_bytes"]["used"] == stored
    limit(stored_bytes=stored)
    for path, body in (("transform", strip), ("forget", forget)):
        assert service.post(f"{first}/{path}", body, 403)["code"] == "quota_exceeded"
    made = service.work(service.post(f"{first}/forget", {**forget, "delete_parent": True})["id"])
    assert (made["status"], made["lineage"]["deleted"]) == ("ready", [first])


def test_a_number_is_not_given_twice(service: Service, database: Database, blobs: DatabaseBlobStore) -> None:
    with database.unit_of_work() as session:
        versions = [make_ready_dataset(session, blobs, name="x").version for _ in range(2)]
        other = make_ready_dataset(session, blobs, name="x", project="other").version
    newest = service.get("/v1/datasets?limit=1")["data"][0]
    service.client.delete(f"/v1/datasets/{newest['id']}")
    assert (versions, other) == ([1, 2], 1)
    assert service.client.post("/v1/datasets?name=x", content=LOG).json()["version"] == 3

"""Data sets over real HTTP, on a real database and broker."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from sqlalchemy import func, select, text

from app.datasets.compressed_files import zstd
from app.db.ids import new_id
from app.db.models.blob import Blob, BlobChunk
from app.db.models.dataset import Dataset
from app.db.models.job import Job
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, make_dataset, make_ready_dataset
from tests.waiting import wait_until


def _count(database: Database, table: type[Any]) -> int:
    with database.unit_of_work() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def _wait_until_nothing_is_left(database: Database) -> None:
    wait_until(lambda: not _count(database, Blob))
    assert (_count(database, Blob), _count(database, BlobChunk), _count(database, Dataset)) == (0, 0, 0)


def test_upload_raw(client: httpx.Client, database: Database, broker_url: str) -> None:
    response = client.post("/v1/datasets?filename=dir%2Flog.csv&user_column=user_id", content=CSV)
    assert response.status_code == 201
    body = response.json()
    assert body["id"].startswith("ds_")
    expected = {
        "object": "dataset",
        "name": "log.csv",
        "filename": "log.csv",
        "status": "validating",
        "bytes": len(CSV),
        "sha256": hashlib.sha256(CSV).hexdigest(),
        "problems": [],
        "format": None,
    }
    assert {key: body[key] for key in expected} == expected
    assert body["created_at"].endswith("Z")
    with database.unit_of_work() as session:  # the 201 came after the commit
        row = session.get_one(Dataset, body["id"])
        assert row.options == {"user_column": "user_id"}
    message = json.loads(redis.Redis.from_url(broker_url).lindex("light", 0))  # and the wake-up before it
    assert message["headers"]["task"] == "steadyrank.validate_dataset"
    assert body["id"] in message["headers"]["argsrepr"]


def test_upload_multipart(client: httpx.Client, database: Database) -> None:
    response = client.post(
        "/v1/datasets",
        files={"file": ("clicks.tsv.gz", gzip.compress(CSV), "application/gzip")},
        data={"name": "Clicks", "item_column": "item_id"},
    )
    assert response.status_code == 201
    body = response.json()
    assert (body["name"], body["filename"]) == ("Clicks", "clicks.tsv.gz")
    content = client.get(f"/v1/datasets/{body['id']}/content")
    assert gzip.decompress(content.content) == CSV
    with database.unit_of_work() as session:
        assert session.get_one(Dataset, body["id"]).options == {"item_column": "item_id"}


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty_file"),
        (b"\x7fELF\0\0\0", 422, "binary_file"),
        (gzip.compress(CSV)[:-3], 422, "broken_gzip"),
        (b"x" * (3 * 1024 * 1024 + 1), 413, "payload_too_large"),
        (gzip.compress(b" " * (5 * 1024 * 1024)), 413, "decompressed_too_large"),
        (zstd.compress(CSV)[:-3], 422, "broken_zstd"),
        (zstd.compress(b" " * (5 * 1024 * 1024)), 413, "decompressed_too_large"),
        (lzma.compress(CSV), 422, "unsupported_compression"),
    ],
    ids=["empty", "binary", "broken gzip", "too large", "bomb", "broken zstd", "zstd bomb", "xz"],
)
@pytest.mark.parametrize("way", ["raw", "chunked", "multipart"])
def test_faults_that_show_at_once(
    client: httpx.Client, database: Database, *, content: bytes, status: int, code: str, way: str
) -> None:
    if way == "multipart":
        response = client.post("/v1/datasets", files={"file": ("x.csv", content)})
    else:
        response = client.post("/v1/datasets", content=content if way == "raw" else iter([content]))
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    (item,) = response.json()["errors"]
    assert (item["code"], item["pointer"]) == (code, "/")
    assert item["hint"]
    _wait_until_nothing_is_left(database)


@pytest.mark.parametrize(
    ("query", "form", "pointer"),
    [
        ("colour=red", None, "?colour"),
        ("format=xml", None, "?format"),
        ("", {"colour": "red"}, "/colour"),
        ("", {"format": "xml"}, "/format"),
        ("name=a%00b", None, "?name"),
        ("", {"user_column": "a\0b"}, "/user_column"),
    ],
)
def test_unknown_options(
    client: httpx.Client, database: Database, *, query: str, form: dict[str, str] | None, pointer: str
) -> None:
    url = f"/v1/datasets?{query}"
    response = (
        client.post(url, content=CSV)
        if form is None
        else client.post(url, files={"file": ("x.csv", CSV)}, data=form)
    )
    assert response.status_code == 422
    assert [item["pointer"] for item in response.json()["errors"]] == [pointer]
    _wait_until_nothing_is_left(database)


@pytest.mark.parametrize("content_type", ["text/csv", "multipart/form-data; boundary=b"])
def test_a_client_that_vanishes_leaves_nothing(
    service_url: str, api_key: str, database: Database, content_type: str
) -> None:
    address = urlsplit(service_url)
    head = f"POST /v1/datasets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_key}\r\n"
    head += f"Content-Type: {content_type}\r\nContent-Length: 2900000\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        if "multipart" in content_type:
            connection.sendall(b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n')
        connection.sendall(b"u1,i1,1\n" * 200_000)
        wait_until(lambda: _count(database, BlobChunk) > 0)
    _wait_until_nothing_is_left(database)


def test_a_commit_that_fails_is_no_201(client: httpx.Client, database: Database) -> None:
    with database.unit_of_work() as session:
        session.execute(
            text(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'at commit'; END $$"
            )
        )
        session.execute(
            text(
                "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON datasets DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        )
    try:
        response = client.post("/v1/datasets", content=CSV)
    finally:
        with database.unit_of_work() as session:
            session.execute(text("DROP FUNCTION refuse CASCADE"))
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert _count(database, Dataset) == 0


def test_show_report_and_retry_after(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        waiting = make_dataset(session, blobs).id
        ready = make_ready_dataset(session, blobs).id
    assert client.get(f"/v1/datasets/{waiting}").headers["retry-after"] == "1"
    shown = client.get(f"/v1/datasets/{ready}")
    assert "retry-after" not in shown.headers
    assert (shown.json()["status"], shown.json()["stats"]["users"]) == ("ready", 6)
    report = client.get(f"/v1/datasets/{ready}/report").json()
    assert (report["object"], report["errors"], report["warnings"]) == ("dataset_report", 0, 0)
    assert report["columns"]["guessed"] is True


def test_content_is_what_was_sent(client: httpx.Client, database: Database, blobs: DatabaseBlobStore) -> None:
    with database.unit_of_work() as session:
        dataset = make_dataset(session, blobs).id
    response = client.get(f"/v1/datasets/{dataset}/content", headers={"Range": "bytes=5-9"})
    assert (response.status_code, response.content) == (206, CSV[5:10])
    assert client.head(f"/v1/datasets/{dataset}/content").headers["content-length"] == str(len(CSV))


def test_list_is_stable_while_rows_are_inserted(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore
) -> None:
    with database.unit_of_work() as session:
        made = [make_dataset(session, blobs, name=f"{n}").id for n in range(5)]
        make_dataset(session, blobs, project="other")
    first = client.get("/v1/datasets?limit=2").json()
    assert [item["id"] for item in first["data"]] == [made[4], made[3]]
    assert (first["object"], first["has_more"], first["first_id"]) == ("list", True, made[4])
    with database.unit_of_work() as session:
        make_dataset(session, blobs, name="late")
    second = client.get(f"/v1/datasets?limit=2&after={first['last_id']}").json()
    assert client.delete(f"/v1/datasets/{second['last_id']}").status_code == 200  # nor does a deleted cursor
    third = client.get(f"/v1/datasets?limit=2&after={second['last_id']}").json()
    assert [item["id"] for item in second["data"] + third["data"]] == [made[2], made[1], made[0]]
    assert third["has_more"] is False


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=nonsense", "after=job_1"])
def test_bad_pages(client: httpx.Client, query: str) -> None:
    response = client.get(f"/v1/datasets?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "?" + query.partition("=")[0]


def test_unknown_ids_and_other_projects_are_not_there(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, stranger_headers: dict[str, str]
) -> None:
    with database.unit_of_work() as session:
        dataset = make_dataset(session, blobs).id
    for headers, wanted in (({}, new_id("ds")), (stranger_headers, dataset)):
        for method, suffix in (("GET", ""), ("GET", "/report"), ("GET", "/content"), ("DELETE", "")):
            response = client.request(method, f"/v1/datasets/{wanted}{suffix}", headers=headers)
            assert (response.status_code, response.json()["code"]) == (404, "dataset_not_found")
            (item,) = response.json()["errors"]
            assert (item["pointer"], item["hint"][:16]) == ("path:dataset_id", "GET /v1/datasets")
    assert client.get("/v1/datasets", headers=stranger_headers).json()["data"] == []


def test_delete_frees_the_bytes(client: httpx.Client, database: Database, blobs: DatabaseBlobStore) -> None:
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs, canonical=b"x" * 1000).id
    response = client.delete(f"/v1/datasets/{dataset}")
    assert response.json() == {
        "id": dataset,
        "object": "dataset",
        "deleted": True,
        "freed_bytes": len(CSV) + 1000,
    }
    assert client.get(f"/v1/datasets/{dataset}").status_code == 404
    _wait_until_nothing_is_left(database)


def _job(dataset: Dataset, status: str) -> Job:
    running = status in ("running", "cancelling")
    return Job(
        project_id=dataset.project_id,
        labels={},
        dataset_id=dataset.id,
        dataset_facts={},
        spec={},
        status=status,
        max_attempts=3,
        lease_until=func.now() if running else None,
        ended_at=func.now() if status == "cancelled" else None,
    )


@pytest.mark.parametrize("status", ["queued", "running", "cancelling"])
def test_a_data_set_in_use_stays(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, status: str
) -> None:
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs)
        job, ended = _job(dataset, status), _job(dataset, "cancelled")
        session.add_all([job, ended])
    response = client.delete(f"/v1/datasets/{dataset.id}")
    assert (response.status_code, response.json()["code"]) == (409, "dataset_in_use")
    assert response.json()["used_by"] == [job.id]
    with database.unit_of_work() as session:
        session.delete(session.get_one(Job, job.id))
    assert client.delete(f"/v1/datasets/{dataset.id}").status_code == 200
    with database.unit_of_work() as session:
        assert session.get_one(Job, ended.id).dataset_id is None

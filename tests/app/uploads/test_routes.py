"""Uploads in parts over real HTTP, on a real database and broker."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import httpx
import redis
from sqlalchemy import func, update

from app.config import Settings
from app.db.ids import new_id
from app.db.models.blob import Blob, BlobChunk
from app.db.models.dataset import Dataset
from app.db.models.upload import Upload, UploadPart
from app.db.session import Database
from app.jobs.reaper import look
from app.storage.database import DatabaseBlobStore
from tests.app.uploads.parts import (
    DATA,
    MIB,
    PARTS,
    SHA256,
    complete,
    count,
    digest_header,
    fill,
    open_upload,
    put_part,
)


def test_parts_in_any_order_become_a_data_set(
    client: httpx.Client, database: Database, broker_url: str
) -> None:
    opened = client.post(
        "/v1/uploads",
        json={
            "filename": "a/log.csv",
            "name": "mine",
            "user_column": "user_id",
            "bytes": len(DATA),
            "part_bytes": 5,
        },
    ).json()
    assert opened["id"].startswith("up_")
    expected = {"object": "upload", "status": "open", "name": "mine", "filename": "a/log.csv"}
    assert {key: opened[key] for key in expected} == expected
    assert (opened["options"], opened["part_bytes"]) == ({"user_column": "user_id"}, MIB)
    assert (opened["missing"], opened["parts"], opened["received_bytes"]) == ([1, 2, 3], [], 0)
    upload = opened["id"]
    stored = put_part(client, upload, 3, headers=digest_header(PARTS[3]))
    assert stored.status_code == 200
    assert stored.json()["sha256"] == hashlib.sha256(PARTS[3]).hexdigest()
    fill(client, upload, 1)
    shown = client.get(f"/v1/uploads/{upload}").json()
    assert [(part["n"], part["bytes"]) for part in shown["parts"]] == [(1, MIB), (3, len(PARTS[3]))]
    assert (shown["missing"], shown["received_bytes"]) == ([2], MIB + len(PARTS[3]))
    early = complete(client, upload)
    assert (early.status_code, early.json()["code"], early.json()["missing"]) == (
        409,
        "upload_incomplete",
        [2],
    )
    fill(client, upload, 2)

    done = complete(client, upload, sha256=SHA256.upper())
    assert done.status_code == 201
    dataset = done.json()
    assert (dataset["status"], dataset["name"], dataset["filename"]) == ("validating", "mine", "log.csv")
    assert (dataset["bytes"], dataset["sha256"]) == (len(DATA), SHA256)
    assert client.get(f"/v1/datasets/{dataset['id']}/content").content == DATA
    part = client.get(
        f"/v1/datasets/{dataset['id']}/content", headers={"Range": f"bytes={MIB - 2}-{MIB + 1}"}
    )
    assert part.content == DATA[MIB - 2 : MIB + 2]
    with database.unit_of_work() as session:
        assert session.get_one(Dataset, dataset["id"]).options == {"user_column": "user_id"}
    message = json.loads(redis.Redis.from_url(broker_url).lindex("light", 0))
    assert dataset["id"] in message["headers"]["argsrepr"]
    assert (count(database, Blob), count(database, BlobChunk), count(database, UploadPart)) == (1, 3, 0)

    again = complete(client, upload)
    assert (again.status_code, again.json()["id"]) == (200, dataset["id"])
    assert complete(client, upload, sha256="0" * 64).json()["code"] == "digest_mismatch"
    shown = client.get(f"/v1/uploads/{upload}").json()
    assert (shown["status"], shown["dataset"], shown["missing"]) == ("completed", dataset["id"], [])
    for refused in (put_part(client, upload, 1), client.delete(f"/v1/uploads/{upload}")):
        assert (refused.status_code, refused.json()["code"]) == (409, "upload_closed")
    assert client.delete(f"/v1/datasets/{dataset['id']}").json()["freed_bytes"] == len(DATA)
    gone = complete(client, upload)
    assert (gone.status_code, gone.json()["code"]) == (409, "upload_closed")
    assert count(database, Dataset) == 0


def test_a_part_again_is_harmless_and_other_bytes_replace_it(
    client: httpx.Client, database: Database
) -> None:
    upload = open_upload(client)
    wrong = bytes(reversed(PARTS[2]))
    for data in (wrong, wrong, PARTS[2], PARTS[2]):
        stored = put_part(client, upload, 2, data)
        assert stored.json()["sha256"] == hashlib.sha256(data).hexdigest()
        assert (count(database, Blob), count(database, BlobChunk), count(database, UploadPart)) == (
            1,
            1,
            1,
        )
    fill(client, upload, 3, 1)
    assert complete(client, upload).status_code == 201


def test_a_length_that_is_not_said_shows_at_the_end(client: httpx.Client) -> None:
    upload = open_upload(client, bytes=None, sha256=None)
    fill(client, upload, 3)
    assert client.get(f"/v1/uploads/{upload}").json()["missing"] == [1, 2]
    assert put_part(client, upload, 2, PARTS[2][:-1]).status_code == 200  # it could be the last one
    fill(client, upload, 1)
    assert complete(client, upload).json()["missing"] == [2]
    fill(client, upload, 2)
    assert complete(client, upload).json()["sha256"] == SHA256


def test_abandoning_frees_the_bytes(client: httpx.Client, database: Database) -> None:
    upload = open_upload(client)
    fill(client, upload, 1, 3)
    response = client.delete(f"/v1/uploads/{upload}")
    freed = MIB + len(PARTS[3])
    assert response.json() == {"id": upload, "object": "upload", "deleted": True, "freed_bytes": freed}
    assert client.get(f"/v1/uploads/{upload}").status_code == 404
    assert (count(database, Blob), count(database, BlobChunk), count(database, Upload)) == (0, 0, 0)


def test_uploads_whose_time_is_over_are_swept(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, settings: Settings
) -> None:
    late, alive, done = open_upload(client), open_upload(client), open_upload(client)
    for upload in (late, alive, done):
        fill(client, upload)
    dataset = complete(client, done).json()["id"]
    look(database, blobs, settings)
    assert count(database, Upload) == 3
    with database.unit_of_work() as session:
        old = func.now() - timedelta(seconds=settings.upload_expiry_seconds + 1)
        session.execute(update(Upload).values(active_at=old))
    assert put_part(client, alive, 1).status_code == 200  # whoever still sends is not too late
    look(database, blobs, settings)
    statuses = [client.get(f"/v1/uploads/{upload}").status_code for upload in (late, alive, done)]
    assert statuses == [404, 200, 404]
    assert client.get(f"/v1/datasets/{dataset}/content").content == DATA
    assert count(database, Blob) == 1 + len(PARTS)


def test_lists_find_what_is_left_over(client: httpx.Client) -> None:
    mine, other = open_upload(client), open_upload(client, sha256="0" * 64)
    fill(client, mine, 2)
    assert [row["id"] for row in client.get("/v1/uploads").json()["data"]] == [other, mine]
    (found,) = client.get("/v1/uploads", params={"status": "open", "sha256": SHA256}).json()["data"]
    assert (found["id"], [part["n"] for part in found["parts"]]) == (mine, [2])
    assert client.get("/v1/uploads?status=completed").json()["data"] == []


def test_another_project_has_no_such_upload(
    client: httpx.Client, database: Database, stranger_headers: dict[str, str]
) -> None:
    upload = open_upload(client)
    fill(client, upload)
    for headers, wanted in (({}, new_id("up")), (stranger_headers, upload)):
        url = f"/v1/uploads/{wanted}"
        for response in (
            client.get(url, headers=headers),
            client.put(f"{url}/parts/1", content=PARTS[1], headers=headers),
            client.post(f"{url}/complete", headers=headers),
            client.delete(url, headers=headers),
        ):
            assert (response.status_code, response.json()["code"]) == (404, "upload_not_found")
    assert client.get("/v1/uploads", headers=stranger_headers).json()["data"] == []
    assert count(database, UploadPart) == 3


def test_without_a_key_no_byte_is_read(
    anonymous: httpx.Client, client: httpx.Client, database: Database
) -> None:
    upload = open_upload(client)
    assert put_part(anonymous, upload, 1).status_code == 401
    assert count(database, Blob) == 0

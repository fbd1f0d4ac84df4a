"""Uploads in parts over real HTTP, on a real database and broker."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import socket
import threading
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from sqlalchemy import func, select, update

from app.config import Settings
from app.db.ids import new_id
from app.db.models.blob import Blob, BlobChunk
from app.db.models.dataset import Dataset
from app.db.models.upload import Upload, UploadPart
from app.db.session import Database
from app.jobs.reaper import look
from app.storage.database import DatabaseBlobStore

MIB = 1024 * 1024
DATA = b"user_id,item_id,timestamp\n" + b"".join(
    b"u%d,i%d,%d\n" % (n % 997, n % 89, n) for n in range(190_000)
)
PARTS = {1: DATA[:MIB], 2: DATA[MIB : 2 * MIB], 3: DATA[2 * MIB :]}
SHA256 = hashlib.sha256(DATA).hexdigest()
assert 2 * MIB < len(DATA) < 3 * MIB


def _digest(data: bytes) -> dict[str, str]:
    return {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"}


def _open(client: httpx.Client, **asked: Any) -> str:
    body = {"filename": "log.csv", "bytes": len(DATA), "sha256": SHA256, "part_bytes": MIB, **asked}
    response = client.post("/v1/uploads", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def _put(
    client: httpx.Client, upload: str, n: int, data: bytes | None = None, **given: Any
) -> httpx.Response:
    return client.put(f"/v1/uploads/{upload}/parts/{n}", content=PARTS[n] if data is None else data, **given)


def _fill(client: httpx.Client, upload: str, *numbers: int) -> None:
    for n in numbers or PARTS:
        assert _put(client, upload, n).status_code == 200


def _complete(client: httpx.Client, upload: str, **body: Any) -> httpx.Response:
    return client.post(f"/v1/uploads/{upload}/complete", json=body or None)


def _count(database: Database, table: type[Any]) -> int:
    with database.unit_of_work() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


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
    stored = _put(client, upload, 3, headers=_digest(PARTS[3]))
    assert stored.status_code == 200
    assert stored.json()["sha256"] == hashlib.sha256(PARTS[3]).hexdigest()
    _fill(client, upload, 1)
    shown = client.get(f"/v1/uploads/{upload}").json()
    assert [(part["n"], part["bytes"]) for part in shown["parts"]] == [(1, MIB), (3, len(PARTS[3]))]
    assert (shown["missing"], shown["received_bytes"]) == ([2], MIB + len(PARTS[3]))
    early = _complete(client, upload)
    assert (early.status_code, early.json()["code"], early.json()["missing"]) == (
        409,
        "upload_incomplete",
        [2],
    )
    _fill(client, upload, 2)

    done = _complete(client, upload, sha256=SHA256.upper())
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
    assert (_count(database, Blob), _count(database, BlobChunk), _count(database, UploadPart)) == (1, 3, 0)

    again = _complete(client, upload)
    assert (again.status_code, again.json()["id"]) == (200, dataset["id"])
    assert _complete(client, upload, sha256="0" * 64).json()["code"] == "digest_mismatch"
    shown = client.get(f"/v1/uploads/{upload}").json()
    assert (shown["status"], shown["dataset"], shown["missing"]) == ("completed", dataset["id"], [])
    for refused in (_put(client, upload, 1), client.delete(f"/v1/uploads/{upload}")):
        assert (refused.status_code, refused.json()["code"]) == (409, "upload_closed")
    assert client.delete(f"/v1/datasets/{dataset['id']}").json()["freed_bytes"] == len(DATA)
    gone = _complete(client, upload)
    assert (gone.status_code, gone.json()["code"]) == (409, "upload_closed")
    assert _count(database, Dataset) == 0


def test_a_part_again_is_harmless_and_other_bytes_replace_it(
    client: httpx.Client, database: Database
) -> None:
    upload = _open(client)
    wrong = bytes(reversed(PARTS[2]))
    for data in (wrong, wrong, PARTS[2], PARTS[2]):
        stored = _put(client, upload, 2, data)
        assert stored.json()["sha256"] == hashlib.sha256(data).hexdigest()
        assert (_count(database, Blob), _count(database, BlobChunk), _count(database, UploadPart)) == (
            1,
            1,
            1,
        )
    _fill(client, upload, 3, 1)
    assert _complete(client, upload).status_code == 201


def test_a_length_that_is_not_said_shows_at_the_end(client: httpx.Client) -> None:
    upload = _open(client, bytes=None, sha256=None)
    _fill(client, upload, 3)
    assert client.get(f"/v1/uploads/{upload}").json()["missing"] == [1, 2]
    assert _put(client, upload, 2, PARTS[2][:-1]).status_code == 200  # it could be the last one
    _fill(client, upload, 1)
    assert _complete(client, upload).json()["missing"] == [2]
    _fill(client, upload, 2)
    assert _complete(client, upload).json()["sha256"] == SHA256


def test_digests_are_checked(client: httpx.Client, database: Database) -> None:
    upload = _open(client)
    wrong = _put(client, upload, 1, headers=_digest(b"other bytes"))
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["retryable"]) == (
        422,
        "digest_mismatch",
        True,
    )
    assert (_count(database, Blob), _count(database, UploadPart)) == (0, 0)
    other = _put(client, upload, 1, headers={"Content-Digest": "md5=:AAAA:"})
    assert (other.status_code, other.headers["want-content-digest"]) == (422, "sha-256=10")
    _fill(client, upload, 1, 2)
    _put(client, upload, 3, bytes(len(PARTS[3])).replace(b"\0", b"x"))
    whole = _complete(client, upload)
    assert (whole.status_code, whole.json()["code"]) == (422, "digest_mismatch")
    _fill(client, upload, 3)
    assert _complete(client, upload).status_code == 201


@pytest.mark.parametrize(
    ("n", "data", "status", "code"),
    [
        (0, b"x", 422, "invalid_request"),
        (4, b"x", 422, "no_such_part"),
        (2**40, b"x", 422, "invalid_request"),
        (1, b"", 422, "empty_part"),
        (1, b"x", 422, "wrong_part_size"),
        (1, DATA[: MIB + 1], 413, "part_too_large"),
        (3, PARTS[3] + b"x", 413, "part_too_large"),
        (1, b"\0" * MIB, 422, "binary_file"),
        (1, gzip.compress(b"x" * 100)[:-8] + b"\0" * (MIB - 30), 422, "broken_gzip"),
    ],
    ids=["zero", "past the end", "huge", "empty", "short", "long", "last too long", "binary", "broken"],
)
@pytest.mark.parametrize("way", ["declared", "chunked"])
def test_parts_that_are_refused(
    client: httpx.Client, database: Database, *, n: int, data: bytes, status: int, code: str, way: str
) -> None:
    upload = _open(client)
    response = client.put(
        f"/v1/uploads/{upload}/parts/{n}", content=data if way == "declared" else iter([data])
    )
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["errors"]
    assert (_count(database, Blob), _count(database, UploadPart)) == (0, 0)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"bytes": 0}, 422, "/bytes"),
        ({"bytes": 3 * MIB + 1}, 413, "/"),
        ({"sha256": "abc"}, 422, "/sha256"),
        ({"format": "xml"}, 422, "/format"),
        ({"colour": "red"}, 422, "/colour"),
    ],
)
def test_uploads_that_cannot_be_opened(client: httpx.Client, body: Any, status: int, pointer: str) -> None:
    response = client.post("/v1/uploads", json=body)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (status, pointer)


def test_what_one_request_would_refuse_the_end_refuses(client: httpx.Client) -> None:
    bomb = gzip.compress(b" " * (5 * MIB))
    upload = _open(client, bytes=len(bomb), sha256=None)
    assert _put(client, upload, 1, bomb).json()["code"] == "decompressed_too_large"
    cut = gzip.compress(DATA)[:-9]
    upload = _open(client, bytes=len(cut), sha256=None)
    assert _put(client, upload, 1, cut).status_code == 200
    response = _complete(client, upload)
    assert (response.status_code, response.json()["code"]) == (422, "broken_gzip")
    assert client.get(f"/v1/uploads/{upload}").json()["status"] == "open"


def test_abandoning_frees_the_bytes(client: httpx.Client, database: Database) -> None:
    upload = _open(client)
    _fill(client, upload, 1, 3)
    response = client.delete(f"/v1/uploads/{upload}")
    freed = MIB + len(PARTS[3])
    assert response.json() == {"id": upload, "object": "upload", "deleted": True, "freed_bytes": freed}
    assert client.get(f"/v1/uploads/{upload}").status_code == 404
    assert (_count(database, Blob), _count(database, BlobChunk), _count(database, Upload)) == (0, 0, 0)


def test_uploads_whose_time_is_over_are_swept(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore, settings: Settings
) -> None:
    late, alive, done = _open(client), _open(client), _open(client)
    for upload in (late, alive, done):
        _fill(client, upload)
    dataset = _complete(client, done).json()["id"]
    look(database, blobs, settings)
    assert _count(database, Upload) == 3
    with database.unit_of_work() as session:
        old = func.now() - timedelta(seconds=settings.upload_expiry_seconds + 1)
        session.execute(update(Upload).values(active_at=old))
    assert _put(client, alive, 1).status_code == 200  # whoever still sends is not too late
    look(database, blobs, settings)
    statuses = [client.get(f"/v1/uploads/{upload}").status_code for upload in (late, alive, done)]
    assert statuses == [404, 200, 404]
    assert client.get(f"/v1/datasets/{dataset}/content").content == DATA
    assert _count(database, Blob) == 1 + len(PARTS)


def test_lists_find_what_is_left_over(client: httpx.Client) -> None:
    mine, other = _open(client), _open(client, sha256="0" * 64)
    _fill(client, mine, 2)
    assert [row["id"] for row in client.get("/v1/uploads").json()["data"]] == [other, mine]
    (found,) = client.get("/v1/uploads", params={"status": "open", "sha256": SHA256}).json()["data"]
    assert (found["id"], [part["n"] for part in found["parts"]]) == (mine, [2])
    assert client.get("/v1/uploads?status=completed").json()["data"] == []


def test_another_project_has_no_such_upload(
    client: httpx.Client, database: Database, stranger_headers: dict[str, str]
) -> None:
    upload = _open(client)
    _fill(client, upload)
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
    assert _count(database, UploadPart) == 3


def test_without_a_key_no_byte_is_read(
    anonymous: httpx.Client, client: httpx.Client, database: Database
) -> None:
    upload = _open(client)
    assert _put(anonymous, upload, 1).status_code == 401
    assert _count(database, Blob) == 0


def _begin_part(service_url: str, api_key: str, upload: str, n: int, data: bytes) -> socket.socket:
    """A PUT of which these bytes have been sent, of one MiB."""
    address = urlsplit(service_url)
    head = f"PUT /v1/uploads/{upload}/parts/{n} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_key}\r\n"
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.sendall(f"{head}Content-Length: {MIB}\r\n\r\n".encode() + data)
    return connection


def test_a_sender_that_vanishes_leaves_nothing(
    client: httpx.Client, service_url: str, api_key: str, database: Database
) -> None:
    upload = _open(client)
    with _begin_part(service_url, api_key, upload, 1, PARTS[1][:500_000]):
        _wait_for(lambda: _count(database, Blob) == 1)
    _wait_for(lambda: _count(database, Blob) == 0)
    assert client.get(f"/v1/uploads/{upload}").json()["missing"] == [1, 2, 3]


def test_a_part_still_on_its_way_when_the_upload_is_completed_comes_too_late(
    client: httpx.Client, service_url: str, api_key: str, database: Database
) -> None:
    upload = _open(client)
    _fill(client, upload)
    with _begin_part(service_url, api_key, upload, 1, b"y" * (MIB - 1)) as late:
        _wait_for(lambda: _count(database, Blob) == 4)
        dataset = _complete(client, upload).json()["id"]
        late.sendall(b"y")
        assert late.recv(200).startswith(b"HTTP/1.1 409")
    assert client.get(f"/v1/datasets/{dataset}/content").content == DATA
    _wait_for(lambda: _count(database, Blob) == 1)


def test_while_it_is_being_completed_everything_else_is_409(client: httpx.Client, database: Database) -> None:
    upload = _open(client)
    _fill(client, upload, 1, 2)
    with database.unit_of_work() as session:  # what completing does while it reads
        session.execute(select(Upload).where(Upload.id == upload).with_for_update())
        for response in (_put(client, upload, 3), _complete(client, upload)):
            assert (response.status_code, response.json()["code"]) == (409, "upload_busy")
            assert (response.json()["retryable"], response.headers["retry-after"]) == (True, "1")
        assert client.get(f"/v1/uploads/{upload}").status_code == 200
    assert _put(client, upload, 3).status_code == 200


def test_one_part_sent_twice_at_once_and_two_completions_at_once(
    client: httpx.Client, database: Database
) -> None:
    upload = _open(client)
    answers: list[httpx.Response] = []
    _at_once(*(lambda n=n: answers.append(_put(client, upload, n)) for n in (1, 1, 2, 2, 3, 3)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert (_count(database, Blob), _count(database, UploadPart)) == (3, 3)
    answers.clear()
    _at_once(*[lambda: answers.append(_complete(client, upload))] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert _count(database, Dataset) == 1


def _at_once(*calls: Any) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()

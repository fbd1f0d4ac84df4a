"""What happens to an upload at the same moment, or is broken off in the middle."""

from __future__ import annotations

import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select

from app.db.models.blob import Blob
from app.db.models.dataset import Dataset
from app.db.models.upload import Upload, UploadPart
from app.db.session import Database
from tests.app.uploads.parts import (
    DATA,
    MIB,
    PARTS,
    complete,
    count,
    fill,
    open_upload,
    put_part,
)
from tests.waiting import wait_until


def _begin_part(service_url: str, api_key: str, upload: str, n: int, data: bytes) -> socket.socket:
    """A PUT of which these bytes have been sent, of one MiB."""
    address = urlsplit(service_url)
    head = f"PUT /v1/uploads/{upload}/parts/{n} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_key}\r\n"
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    connection.sendall(f"{head}Content-Length: {MIB}\r\n\r\n".encode() + data)
    return connection


def test_a_sender_that_vanishes_leaves_nothing(
    client: httpx.Client, service_url: str, api_key: str, database: Database
) -> None:
    upload = open_upload(client)
    with _begin_part(service_url, api_key, upload, 1, PARTS[1][:500_000]):
        wait_until(lambda: count(database, Blob) == 1)
    wait_until(lambda: count(database, Blob) == 0)
    assert client.get(f"/v1/uploads/{upload}").json()["missing"] == [1, 2, 3]


def test_a_part_still_on_its_way_when_the_upload_is_completed_comes_too_late(
    client: httpx.Client, service_url: str, api_key: str, database: Database
) -> None:
    upload = open_upload(client)
    fill(client, upload)
    with _begin_part(service_url, api_key, upload, 1, b"y" * (MIB - 1)) as late:
        wait_until(lambda: count(database, Blob) == 4)
        dataset = complete(client, upload).json()["id"]
        late.sendall(b"y")
        assert late.recv(200).startswith(b"HTTP/1.1 409")
    assert client.get(f"/v1/datasets/{dataset}/content").content == DATA
    wait_until(lambda: count(database, Blob) == 1)


def test_while_it_is_being_completed_everything_else_is_409(client: httpx.Client, database: Database) -> None:
    upload = open_upload(client)
    fill(client, upload, 1, 2)
    with database.unit_of_work() as session:  # what completing does while it reads
        session.execute(select(Upload).where(Upload.id == upload).with_for_update())
        for response in (put_part(client, upload, 3), complete(client, upload)):
            assert (response.status_code, response.json()["code"]) == (409, "upload_busy")
            assert (response.json()["retryable"], response.headers["retry-after"]) == (True, "1")
        assert client.get(f"/v1/uploads/{upload}").status_code == 200
    assert put_part(client, upload, 3).status_code == 200


def test_one_part_sent_twice_at_once_and_two_completions_at_once(
    client: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.uploads.queries._WAIT", "60s")  # none of them is to be told that it is busy
    upload = open_upload(client)
    answers: list[httpx.Response] = []
    _at_once(*(lambda n=n: answers.append(put_part(client, upload, n)) for n in (1, 1, 2, 2, 3, 3)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert (count(database, Blob), count(database, UploadPart)) == (3, 3)
    answers.clear()
    _at_once(*[lambda: answers.append(complete(client, upload))] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert count(database, Dataset) == 1


def _at_once(*calls: Any) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()

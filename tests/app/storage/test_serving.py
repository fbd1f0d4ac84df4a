"""A blob over HTTP, as RFC 9110 wants it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy import text

from app.db.session import Database
from app.problems import add_problem_handlers
from app.storage.blobs import CHUNK_BYTES, BlobInfo
from app.storage.database import DatabaseBlobStore
from app.storage.serving import _RANGE, serve_blob
from tests.serving import served

DATA = hashlib.shake_128(b"serving").digest(2 * CHUNK_BYTES + 100)
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
SIZE = len(DATA)


@pytest.fixture
def blob(database: Database, blobs: DatabaseBlobStore) -> BlobInfo:
    with database.unit_of_work() as session:
        return blobs.put(session, DATA, "text/csv")


@pytest.fixture
def http(blobs: DatabaseBlobStore, blob: BlobInfo) -> Iterator[httpx.Client]:
    application = FastAPI()
    add_problem_handlers(application)

    @application.get("/blob")
    @application.head("/blob", include_in_schema=False)
    def content(request: Request) -> Response:
        return serve_blob(request, blobs, blob.id, filename="täst log.csv")

    with served(application) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def test_the_whole(http: httpx.Client) -> None:
    response = http.get("/blob")
    assert response.status_code == 200
    assert response.content == DATA
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["etag"] == ETAG
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''t%C3%A4st%20log.csv"
    assert response.headers["content-type"].startswith("text/csv")


def test_head(http: httpx.Client) -> None:
    response = http.head("/blob", headers={"Range": "bytes=0-9"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["etag"] == ETAG


def test_a_long_line_of_nothing_is_read_once(http: httpx.Client) -> None:
    """Were it taken apart in every way, this would take until the test's time is over."""
    asked = f"bytes={' ' * 60_000}x"
    assert _RANGE.fullmatch(f"bytes={' ' * 3_000_000}x") is None
    assert http.get("/blob", headers={"Range": asked}).status_code == 200
    assert http.get("/blob", headers={"Range": "bytes = 1 - 2"}).content == DATA[1:3]


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        (f"bytes={CHUNK_BYTES - 1}-{CHUNK_BYTES}", CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        ("bytes=100-", 100, SIZE),
        ("bytes=-5", SIZE - 5, SIZE),
        (f"bytes=-{SIZE + 10}", 0, SIZE),
        (f"bytes=0-{SIZE + 10}", 0, SIZE),
    ],
)
def test_ranges(http: httpx.Client, asked: str, start: int, stop: int) -> None:
    response = http.get("/blob", headers={"Range": asked})
    assert response.status_code == 206
    assert response.content == DATA[start:stop]
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert response.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "items=0-1", "bytes=a-b", "bytes=-", "bytes=0-1,5-6", "", f"bytes={'9' * 5000}-"]
)
def test_ranges_that_are_ignored(http: httpx.Client, asked: str) -> None:
    response = http.get("/blob", headers={"Range": asked})
    assert (response.status_code, len(response.content)) == (200, SIZE)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_ranges_beyond_the_end(http: httpx.Client, asked: str) -> None:
    response = http.get("/blob", headers={"Range": asked})
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{SIZE}"
    assert response.json()["code"] == "range_not_satisfiable"


def test_if_range(http: httpx.Client) -> None:
    assert http.get("/blob", headers={"Range": "bytes=0-4", "If-Range": ETAG}).status_code == 206
    for other in ('"other"', f"W/{ETAG}", "Sun, 23 Nov 2025 10:00:00 GMT"):
        assert http.get("/blob", headers={"Range": "bytes=0-4", "If-Range": other}).status_code == 200


@pytest.mark.parametrize("tags", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', "*"])
def test_not_modified(http: httpx.Client, tags: str) -> None:
    response = http.get("/blob", headers={"If-None-Match": tags})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == ETAG
    assert http.head("/blob", headers={"If-None-Match": tags}).status_code == 304


def test_modified(http: httpx.Client) -> None:
    assert http.get("/blob", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(("n", "status"), [(0, 500), (1, 200)])
def test_damage_is_an_error_or_a_cut_never_wrong_bytes(
    http: httpx.Client, database: Database, n: int, status: int
) -> None:
    with database.unit_of_work() as session:
        session.execute(text("UPDATE blob_chunks SET data = set_byte(data, 0, 255) WHERE n = :n"), {"n": n})
        session.execute(text("UPDATE blob_chunks SET data = set_byte(data, 1, 254) WHERE n = :n"), {"n": n})
    if status == 500:
        response = http.get("/blob")
        assert (response.status_code, response.json()["code"]) == (500, "blob_damaged")
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            http.get("/blob")

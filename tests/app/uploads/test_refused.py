"""Parts, uploads and ends of uploads that are refused, over real HTTP."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest

from app.db.models.blob import Blob
from app.db.models.upload import UploadPart
from app.db.session import Database
from tests.app.uploads.parts import (
    DATA,
    MIB,
    PARTS,
    complete,
    count,
    digest_header,
    fill,
    open_upload,
    put_part,
)


def test_digests_are_checked(client: httpx.Client, database: Database) -> None:
    upload = open_upload(client)
    wrong = put_part(client, upload, 1, headers=digest_header(b"other bytes"))
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["retryable"]) == (
        422,
        "digest_mismatch",
        True,
    )
    assert (count(database, Blob), count(database, UploadPart)) == (0, 0)
    other = put_part(client, upload, 1, headers={"Content-Digest": "md5=:AAAA:"})
    assert (other.status_code, other.headers["want-content-digest"]) == (422, "sha-256=10")
    fill(client, upload, 1, 2)
    put_part(client, upload, 3, bytes(len(PARTS[3])).replace(b"\0", b"x"))
    whole = complete(client, upload)
    assert (whole.status_code, whole.json()["code"]) == (422, "digest_mismatch")
    fill(client, upload, 3)
    assert complete(client, upload).status_code == 201


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
    upload = open_upload(client)
    response = client.put(
        f"/v1/uploads/{upload}/parts/{n}", content=data if way == "declared" else iter([data])
    )
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["errors"]
    assert (count(database, Blob), count(database, UploadPart)) == (0, 0)


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
    upload = open_upload(client, bytes=len(bomb), sha256=None)
    assert put_part(client, upload, 1, bomb).json()["code"] == "decompressed_too_large"
    cut = gzip.compress(DATA)[:-9]
    upload = open_upload(client, bytes=len(cut), sha256=None)
    assert put_part(client, upload, 1, cut).status_code == 200
    response = complete(client, upload)
    assert (response.status_code, response.json()["code"]) == (422, "broken_gzip")
    assert client.get(f"/v1/uploads/{upload}").json()["status"] == "open"

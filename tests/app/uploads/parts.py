"""A log in three parts, and the requests that send it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
from sqlalchemy import func, select

from app.db.session import Database

MIB = 1024 * 1024
DATA = b"user_id,item_id,timestamp\n" + b"".join(
    b"u%d,i%d,%d\n" % (n % 997, n % 89, n) for n in range(190_000)
)
PARTS = {1: DATA[:MIB], 2: DATA[MIB : 2 * MIB], 3: DATA[2 * MIB :]}
SHA256 = hashlib.sha256(DATA).hexdigest()
assert 2 * MIB < len(DATA) < 3 * MIB


def digest_header(data: bytes) -> dict[str, str]:
    return {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"}


def open_upload(client: httpx.Client, **asked: Any) -> str:
    body = {"filename": "log.csv", "bytes": len(DATA), "sha256": SHA256, "part_bytes": MIB, **asked}
    response = client.post("/v1/uploads", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def put_part(
    client: httpx.Client, upload: str, n: int, data: bytes | None = None, **given: Any
) -> httpx.Response:
    return client.put(f"/v1/uploads/{upload}/parts/{n}", content=PARTS[n] if data is None else data, **given)


def fill(client: httpx.Client, upload: str, *numbers: int) -> None:
    for n in numbers or PARTS:
        assert put_part(client, upload, n).status_code == 200


def complete(client: httpx.Client, upload: str, **body: Any) -> httpx.Response:
    return client.post(f"/v1/uploads/{upload}/complete", json=body or None)


def count(database: Database, table: type[Any]) -> int:
    with database.unit_of_work() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()

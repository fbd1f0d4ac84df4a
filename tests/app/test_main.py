"""The application as a whole: limits, bursts, browsers."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx

from app.config import Settings
from app.db.session import Database
from app.main import create_app
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, make_dataset
from tests.serving import served


def test_a_burst_does_not_lock_up_on_few_connections(
    settings: Settings, database: Database, blobs: DatabaseBlobStore, api_key: str
) -> None:
    with database.unit_of_work() as session:
        dataset = make_dataset(session, blobs).id
    with served(create_app(settings.model_copy(update={"database_pool_size": 1}))) as url:
        headers = {"Authorization": f"Bearer {api_key}"}
        with httpx.Client(headers=headers, timeout=20) as client, ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(lambda _: client.get(f"{url}/v1/datasets/{dataset}/content"), range(60)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers} == {CSV}


def test_a_json_body_over_the_limit(settings: Settings, api_key: str) -> None:
    with served(create_app(settings.model_copy(update={"max_json_bytes": 1024}))) as url:
        headers = {"Authorization": f"Bearer {api_key}"}
        body = b'{"dataset": "' + b"d" * 2000 + b'"}'
        typed = {**headers, "Content-Type": "application/json"}
        for content in (body, iter([body[:900], body[900:]])):
            response = httpx.post(f"{url}/v1/jobs", content=content, headers=typed, timeout=30)
            assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
        accepted = httpx.post(f"{url}/v1/datasets", content=CSV * 10, headers=headers, timeout=30)
        assert accepted.status_code == 201


def test_a_client_that_falls_silent_is_let_go(settings: Settings, api_key: str) -> None:
    with served(create_app(settings.model_copy(update={"upload_idle_seconds": 0.2}))) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            head = f"POST /v1/datasets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_key}\r\n"
            connection.sendall(f"{head}Connection: close\r\nContent-Length: 100\r\n\r\nu,i\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"upload_interrupted" in answer


def test_browsers_are_let_in_from_named_origins_only(settings: Settings) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    application = create_app(settings.model_copy(update={"cors_origins": ("https://a.example",)}))
    with served(application) as url:
        allowed = httpx.options(f"{url}/v1/datasets", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        refused = httpx.get(f"{url}/v1/datasets", headers={"Origin": "https://a.example"}, timeout=30)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
    with served(create_app(settings)) as url:
        assert "access-control-allow-origin" not in httpx.options(f"{url}/v1/datasets", headers=asked).headers

"""The application as a whole: limits, bursts, browsers."""

from __future__ import annotations

import json
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.body_limit import BodyLimitMiddleware
from app.config import Settings
from app.db.models.project import Project
from app.db.session import Database
from app.main import create_app
from app.storage.database import DatabaseBlobStore
from tests.factories import CSV, make_dataset, make_ready_dataset
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


def test_a_burst_of_writes_does_not_lock_up_on_few_threads(
    settings: Settings, database: Database, blobs: DatabaseBlobStore, api_key: str
) -> None:
    # All want the same rows: the project's figures of the day, the project itself (it has limits), a name.
    with database.unit_of_work() as session:
        dataset = make_ready_dataset(session, blobs)
        session.get_one(Project, dataset.project_id).limits = {"stored_bytes": 10**9, "jobs_a_day": 1000}
        job = {"dataset": dataset.id, "epochs": 3}
    with served(create_app(settings.model_copy(update={"database_pool_size": 1}))) as url:
        headers = {"Authorization": f"Bearer {api_key}"}
        with (
            httpx.Client(base_url=url, headers=headers, timeout=60) as client,
            ThreadPoolExecutor(12) as pool,
        ):

            def submit(n: int) -> httpx.Response:
                return client.post("/v1/jobs", json=job, headers={"Idempotency-Key": f"job-{n}"})

            def upload(n: int) -> httpx.Response:
                return client.post("/v1/datasets", content=CSV, headers={"Idempotency-Key": f"file-{n}"})

            def show(_: int) -> httpx.Response:
                return client.get("/v1/jobs")

            sent = [pool.submit(kind, n) for n in range(12) for kind in (submit, upload, show)]
            answers = [one.result() for one in sent]
    statuses = Counter((answer.request.method, answer.status_code) for answer in answers)
    assert statuses == {("POST", 201): 24, ("GET", 200): 12}


def test_a_json_body_over_the_limit(settings: Settings, api_key: str) -> None:
    with served(create_app(settings.model_copy(update={"max_json_bytes": 1024}))) as url:
        headers = {"Authorization": f"Bearer {api_key}"}
        body = b'{"dataset": "' + b"d" * 2000 + b'"}'
        typed = {**headers, "Content-Type": "application/json"}
        for path in ("/v1/jobs", "/v1/jobs/job_x/cancel"):
            for content in (body, iter([body[:900], body[900:]])):
                response = httpx.post(f"{url}{path}", content=content, headers=typed, timeout=30)
                assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
        accepted = httpx.post(f"{url}/v1/datasets", content=CSV * 10, headers=headers, timeout=30)
        assert accepted.status_code == 201


def test_what_nobody_reads_is_not_looked_at(settings: Settings, api_key: str) -> None:
    with served(create_app(settings.model_copy(update={"max_json_bytes": 1024}))) as url:
        headers = {"Authorization": f"Bearer {api_key}", "Content-Encoding": "br"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            for method, path, status in (
                ("GET", "/v1/jobs", 200),
                ("GET", "/v1/datasets", 200),
                ("DELETE", "/v1/jobs/job_x", 404),
                ("HEAD", "/v1/datasets/ds_x/content", 404),
            ):
                assert client.request(method, path, content=b"x" * 2000).status_code == status, (method, path)
            for method, path in (("PATCH", "/v1/jobs/job_x"), ("PUT", "/v1/models/a/aliases/b")):
                assert client.request(method, path, content=b"x").status_code == 415, (method, path)


def test_a_client_that_falls_silent_is_let_go(settings: Settings, api_key: str) -> None:
    with served(create_app(settings.model_copy(update={"upload_idle_seconds": 0.2}))) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            head = f"POST /v1/datasets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_key}\r\n"
            connection.sendall(f"{head}Connection: close\r\nContent-Length: 100\r\n\r\nu,i\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"upload_interrupted" in answer


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/job_x/cancel"])
def test_a_json_body_that_trickles_is_not_waited_for(settings: Settings, api_key: str, path: str) -> None:
    with served(create_app(settings.model_copy(update={"json_body_seconds": 0.2}))) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=90) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_key}\r\n"
            typed = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
            connection.sendall(f'{head}{typed}{{"dataset"'.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))  # to its end: the server closes
    lines, _, body = answer.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/problem+json" in lines
    problem = json.loads(body)
    assert (problem["code"], problem["retryable"]) == ("body_too_slow", True)


def test_nobody_is_hurried_once_the_body_is_there() -> None:
    """What is received after the body is the end of the connection: of a stream of events, an hour later."""
    messages: list[Message] = [{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}]
    received: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        received.extend([await receive(), await receive()])

    async def receive() -> Message:
        if len(messages) == 1:
            await anyio.sleep(0.3)
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    limited = BodyLimitMiddleware(application, max_bytes=10, seconds=0.05, streamed=())
    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "headers": []}
    anyio.run(limited, scope, receive, send)
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]


def test_browsers_are_let_in_from_named_origins_only(settings: Settings) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    application = create_app(settings.model_copy(update={"cors_origins": ("https://a.example",)}))
    with served(application) as url:
        allowed = httpx.options(f"{url}/v1/datasets", headers=asked, timeout=30)
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        refused = httpx.get(f"{url}/v1/datasets", headers={"Origin": "https://a.example"}, timeout=30)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.example"
        other = httpx.options(
            f"{url}/v1/datasets", headers={**asked, "Origin": "https://b.example"}, timeout=30
        )
        assert (other.status_code, other.json()["code"]) == (400, "cors_refused")
        assert other.json()["request_id"] == other.headers["x-request-id"]
        assert "access-control-allow-origin" not in other.headers
        assert "Location" in refused.headers["access-control-expose-headers"]
    with served(create_app(settings)) as url:
        closed = httpx.options(f"{url}/v1/datasets", headers=asked, timeout=30)
        assert "access-control-allow-origin" not in closed.headers

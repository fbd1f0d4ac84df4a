"""No key, no entry: before the body is read, on every `/v1` path there is or is not."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app.accounts.service import revoke_key
from app.config import Settings
from app.db.models.api_key import ApiKey
from app.db.session import Database
from app.main import create_app
from tests.serving import served


def test_every_route_refuses_a_caller_without_key(anonymous: httpx.Client, application: FastAPI) -> None:
    paths = application.openapi()["paths"]
    checked = 0
    for path, operations in paths.items():
        if not path.startswith("/v1/"):
            continue
        for method in operations:
            response = anonymous.request(method, path.replace("{", "").replace("}", ""))
            assert response.status_code == 401, (method, path)
            assert response.json()["code"] == "unauthorized"
            checked += 1
    assert checked >= 6


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing/here"])
def test_paths_that_do_not_exist_need_a_key_too(anonymous: httpx.Client, path: str) -> None:
    assert anonymous.get(path).status_code == 401


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Basic sr_x", "sr_x", "Bearer sr_wrong", "Bearer " + "x" * 3000]
)
def test_refusals_name_the_scheme(anonymous: httpx.Client, value: str) -> None:
    response = anonymous.get("/v1/datasets", headers={"Authorization": value})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == response.json()["request_id"]


def test_a_key_opens_and_a_revoked_key_does_not(client: httpx.Client, database: Database) -> None:
    assert client.get("/v1/datasets").status_code == 200
    with database.unit_of_work() as session:
        revoke_key(session, session.query(ApiKey).one().id)
    assert client.get("/v1/datasets").status_code == 401


def test_the_answer_comes_before_the_body(service_url: str) -> None:
    """Headers that promise a body, and no body: a service that reads first would wait for it."""
    address = urlsplit(service_url)
    for content_type in ("application/json", "text/csv", "multipart/form-data; boundary=x"):
        path = "/v1/jobs" if content_type == "application/json" else "/v1/datasets"
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            headers = f"Host: x\r\nContent-Type: {content_type}\r\nContent-Length: 99"
            connection.sendall(f"POST {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_public_pages_need_no_key(anonymous: httpx.Client) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        assert anonymous.get(path).status_code == 200, path


def test_keys_can_be_switched_off(settings: Settings) -> None:
    application = create_app(settings.model_copy(update={"require_keys": False}))
    with served(application) as url:
        assert httpx.get(f"{url}/v1/datasets", timeout=30).json()["data"] == []

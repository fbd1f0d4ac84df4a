"""API keys over HTTP, the SDK and the command: shown once, narrow, with an end, revoked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, text, update
from typer.testing import CliRunner

from app.accounts.scopes import Scope, allowed, needed
from app.accounts.service import create_key
from app.cli import main
from app.db.models.api_key import ApiKey
from app.db.session import Database
from app.sdk.client import SteadyRank
from app.sdk.errors import ForbiddenError, NotFoundError, UnauthorizedError
from tests.factories import CSV
from tests.serving import NO_CERTIFICATES

As = Callable[..., httpx.Client]


@pytest.fixture
def as_key(service_url: str, database: Database) -> Iterator[As]:
    """Clients with a fresh key of the default project with these scopes."""
    opened: list[httpx.Client] = []

    def make(*scopes: str) -> httpx.Client:
        with database.unit_of_work() as session:
            secret = create_key(session, name="narrow", scopes=scopes)[1]
        headers = {"Authorization": f"Bearer {secret}"}
        opened.append(httpx.Client(base_url=service_url, headers=headers, timeout=30, verify=NO_CERTIFICATES))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


def with_secret(client: httpx.Client, secret: str) -> int:
    return client.get("/v1/datasets", headers={"Authorization": f"Bearer {secret}"}).status_code


def test_a_key_is_made_shown_once_and_revoked(client: httpx.Client, database: Database) -> None:
    made = client.post("/v1/api_keys", json={"name": "nightly"})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = made.json()
    assert (key["object"], key["name"], key["scopes"], key["expires_at"]) == (
        "api_key",
        "nightly",
        ["submit"],
        None,
    )
    assert key["secret"].startswith(key["hint"])
    path = made.headers["location"]
    assert path == f"/v1/api_keys/{key['id']}"
    assert with_secret(client, key["secret"]) == 200
    shown = client.get(path).json()
    assert shown["last_used_at"] is not None
    assert {name: shown[name] for name in shown if name != "last_used_at"} == {
        name: key[name] for name in key if name not in {"secret", "last_used_at"}
    }
    listed = client.get("/v1/api_keys?limit=1").json()
    assert ([row["id"] for row in listed["data"]], listed["has_more"]) == ([key["id"]], True)
    with database.unit_of_work() as session:
        stored = session.execute(text("SELECT string_agg(k::text, '') FROM api_keys k")).scalar_one()
    assert key["secret"] not in stored + json.dumps(listed)
    revoked = client.delete(path).json()
    assert revoked["revoked_at"] is not None
    assert client.delete(path).json() == revoked
    assert with_secret(client, key["secret"]) == 401


def test_a_repeated_request_makes_one_key_and_does_not_keep_its_secret(
    client: httpx.Client, database: Database
) -> None:
    headers = {"Idempotency-Key": "k"}
    first, again = (client.post("/v1/api_keys", json={"name": "x"}, headers=headers).json() for _ in range(2))
    assert again == {**first, "secret": None}
    with database.unit_of_work() as session:
        kept = session.execute(text("SELECT encode(body, 'escape') FROM kept_answers")).scalar_one()
    assert first["id"] in kept
    assert first["secret"] not in kept


def test_a_key_has_an_end(client: httpx.Client, database: Database) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    key = client.post("/v1/api_keys", json={"name": "short", "expires_at": end.isoformat()}).json()
    assert datetime.fromisoformat(key["expires_at"]) == end
    assert with_secret(client, key["secret"]) == 200
    with database.unit_of_work() as session:
        session.execute(update(ApiKey).where(ApiKey.id == key["id"]).values(expires_at=func.now()))
    refused = client.get("/v1/datasets", headers={"Authorization": f"Bearer {key['secret']}"})
    assert (refused.status_code, "expired" in refused.json()["detail"]) == (401, True)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["root"]}, "/scopes/0"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "x", "expires_at": "2120-01-01T00:00:00"}, "/expires_at"),
        ({"name": "x", "project": "other"}, "/project"),
    ],
)
def test_what_is_not_a_key_is_refused(client: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    refused = client.post("/v1/api_keys", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_scopes_open_what_they_say_and_no_more(as_key: As) -> None:
    read, submit, admin = as_key("read"), as_key("submit"), as_key("admin")
    for client, uploads, keys in ((read, 403, 403), (submit, 201, 403), (admin, 201, 200)):
        assert client.get("/v1/datasets").status_code == 200
        assert client.post("/v1/datasets?filename=a.csv", content=CSV).status_code == uploads
        assert client.get("/v1/api_keys").status_code == keys
    refused = read.post("/v1/jobs", json={"dataset": "ds_x"})
    assert (refused.json()["code"], refused.json()["needed_scope"]) == ("insufficient_scope", "submit")
    assert "the scope `submit`" in refused.json()["detail"]
    assert 'scope="submit"' in refused.headers["www-authenticate"]
    assert read.post("/v1/models/mdl_x/recommend", json={"sequences": [["1"]]}).status_code == 404
    assert read.delete("/v1/jobs/job_x").status_code == 403
    assert submit.post("/v1/api_keys", json={"name": "more", "scopes": ["admin"]}).status_code == 403


def test_every_route_needs_a_scope_and_a_read_key_changes_nothing(as_key: As, application: FastAPI) -> None:
    read = as_key("read")
    checked = 0
    for path, operations in application.openapi()["paths"].items():
        for method in operations:
            if path.startswith("/v1/") and method not in {"get", "head"} and not path.endswith("/recommend"):
                response = read.request(method, path.replace("{", "").replace("}", ""))
                assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope"), path
                checked += 1
    assert checked >= 8


@pytest.mark.parametrize("ending", ["%0A", "%00", "%0D%0A", "%7F"])
def test_no_route_is_found_by_a_path_that_the_key_check_does_not_know(
    as_key: As, anonymous: httpx.Client, application: FastAPI, ending: str
) -> None:
    """`$` in a route's pattern also matches before a last newline."""
    read = as_key("read")
    for path, operations in application.openapi()["paths"].items():
        for method in operations:
            for client in (read, anonymous):
                response = client.request(method, path.replace("{", "").replace("}", "") + ending)
                assert (response.status_code, method == "head" or response.json()["code"]) == (
                    404,
                    "not_found",
                )


def test_scopes_are_those_of_the_route_whatever_the_path_was(
    as_key: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.request_targets._CONTROL", re.compile("(?!)"))  # the first of two locks is open
    submit = as_key("submit")
    for method, path in (("POST", "api_keys"), ("POST", "webhook_endpoints"), ("GET", "projects")):
        assert submit.request(method, f"/v1/{path}").json()["code"] == "insufficient_scope"
        response = submit.request(method, f"/v1/{path}%0A", json={"name": "x", "scopes": ["admin"]})
        assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope"), path


def test_nobody_revokes_a_key_that_may_do_more(as_key: As, database: Database) -> None:
    with database.unit_of_work() as session:
        operators = create_key(session, name="operator", scopes=["operator"])[0].id
        submits = create_key(session, name="ci", scopes=["submit"])[0].id
    admin = as_key("admin")
    refused = admin.delete(f"/v1/api_keys/{operators}")
    assert (refused.status_code, refused.json()["needed_scope"]) == (403, "operator")
    assert admin.delete(f"/v1/api_keys/{submits}").status_code == 200
    assert as_key("operator").delete(f"/v1/api_keys/{operators}").status_code == 200


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (["read"], {Scope.READ}),
        (["submit"], {Scope.READ, Scope.SUBMIT}),
        (["read", "admin"], {Scope.READ, Scope.SUBMIT, Scope.ADMIN}),
        (["operator"], set(Scope)),
        ([], set()),
    ],
)
def test_a_scope_has_those_before_it(scopes: list[str], may: set[Scope]) -> None:
    assert {wanted for wanted in Scope if allowed(scopes, wanted)} == may


def test_what_a_path_needs() -> None:
    assert needed("GET", "/v1/api_keys") is Scope.ADMIN
    assert needed("GET", "/v1/api_keysx") is Scope.READ
    assert needed("PATCH", "/v1/jobs/job_1") is Scope.SUBMIT
    assert needed("GET", "/v1") is Scope.READ
    assert needed("POST", "/v1/models/films@best/recommend") is Scope.READ
    for method in ("PUT", "DELETE"):  # an alias may be called so
        assert needed(method, "/v1/models/films/aliases/recommend") is Scope.SUBMIT


def test_another_projects_keys_are_not_there(client: httpx.Client, stranger_headers: dict[str, str]) -> None:
    key = client.post("/v1/api_keys", json={"name": "x"}).json()["id"]
    for method in ("GET", "DELETE"):
        response = client.request(method, f"/v1/api_keys/{key}", headers=stranger_headers)
        assert (response.status_code, response.json()["code"]) == (404, "api_key_not_found")
    assert client.get(f"/v1/api_keys/{key}").json()["revoked_at"] is None
    theirs = client.get("/v1/api_keys", headers=stranger_headers).json()["data"]
    assert key not in [row["id"] for row in theirs]


def test_the_sdk_makes_lists_and_revokes(service_url: str, api_key: str) -> None:
    with SteadyRank(service_url, api_key) as service:
        key = service.api_keys.create(
            "mine", scopes=["read"], expires_at=datetime.now(UTC) + timedelta(days=2)
        )
        assert key.secret
        assert key.secret not in repr(key)
        assert service.api_keys.get(key).secret is None
        with SteadyRank(service_url, key.secret) as narrow:
            assert list(narrow.jobs.list()) == []
            with pytest.raises(ForbiddenError):
                narrow.jobs.create("ds_x")
            assert service.api_keys.revoke(key).revoked_at is not None
            with pytest.raises(UnauthorizedError):
                narrow.health() and list(narrow.jobs.list())
        assert [found.name for found in service.api_keys.list()] == ["mine", "test"]
        with pytest.raises(NotFoundError):
            service.api_keys.get("key_x")


def test_the_command_asks_the_service(
    service_url: str, api_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEADYRANK_URL", service_url)
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main.app, ["keys", *arguments, "--remote"])
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    secret = run("create", "--name", "ci", "--scope", "read", "--days", "3")
    newest = json.loads(run("list", "--json"))[0]
    assert (newest["name"], newest["scopes"], secret.startswith(newest["hint"])) == ("ci", ["read"], True)
    assert "revoked" in run("revoke", newest["id"])
    bearer = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{service_url}/v1/jobs", headers=bearer, timeout=30).status_code == 401

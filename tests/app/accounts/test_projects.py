"""Projects: made with a key, limited, changed, and deleted when they are empty."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx
import pytest
from sqlalchemy import update

from app.accounts.service import create_key
from app.db.models.blob import Blob
from app.db.models.project import Project
from app.db.models.upload import Upload, UploadPart
from app.db.session import Database
from app.sdk.client import SteadyRank
from app.sdk.errors import ForbiddenError, InUseError
from tests.app.uploads.parts import complete, count, fill, open_upload
from tests.factories import CSV
from tests.problems import problem
from tests.waiting import wait_for_a_waiting_request


@pytest.fixture
def operator(service_url: str, database: Database) -> Iterator[httpx.Client]:
    """A client that may make projects."""
    with database.unit_of_work() as session:
        secret = create_key(session, name="operator", scopes=["operator"])[1]
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=service_url, headers=headers, timeout=30) as client:
        yield client


def test_nobody_deletes_the_project_of_the_key_that_asks(service_url: str, database: Database) -> None:
    with database.unit_of_work() as session:
        key, secret = create_key(session, name="operator", scopes=["operator"], project="search")
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=service_url, headers=headers, timeout=30) as client:
        problem(client.delete(f"/v1/projects/{key.project_id}"), 409, "project_in_use")
        assert client.get(f"/v1/projects/{key.project_id}").status_code == 200


def test_a_project_from_its_first_key_to_its_end(operator: httpx.Client, service_url: str) -> None:
    asked = {"name": "search", "limits": {"rows": 10}, "key": {"scopes": ["submit"]}}
    made = operator.post("/v1/projects", json=asked, headers={"Idempotency-Key": "one"})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    project = made.json()
    assert (project["limits"]["rows"], project["own_limits"]["stored_bytes"]) == (10, None)
    again = operator.post("/v1/projects", json=asked, headers={"Idempotency-Key": "one"}).json()
    assert (again["id"], again["secret"]) == (project["id"], None)
    assert operator.post("/v1/projects", json=asked).json()["code"] == "project_exists"

    own = {"Authorization": f"Bearer {project['secret']}"}
    with httpx.Client(base_url=service_url, headers=own, timeout=30) as member:
        usage = member.get("/v1/usage").json()
        assert (usage["project"], usage["quotas"]["rows"]["remaining"]) == (project["id"], 10)
        assert member.get("/v1/projects").json()["needed_scope"] == "operator"
        dataset = member.post("/v1/datasets?filename=a.csv", content=CSV).json()["id"]
        path = f"/v1/projects/{project['id']}"
        refused = operator.delete(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "project_not_empty")
        assert (refused.json()["holds"], refused.json()["used_by"]) == ({"datasets": 1}, [dataset])
        assert member.delete(f"/v1/datasets/{dataset}").json()["freed_bytes"] == len(CSV)
        assert operator.delete(path).json()["deleted_keys"] == 1
        assert member.get("/v1/usage").status_code == 401
    assert operator.get(path).json()["code"] == "project_not_found"


def test_open_uploads_are_in_the_way_and_complete_ones_are_not(
    operator: httpx.Client, service_url: str, database: Database
) -> None:
    project = operator.post("/v1/projects", json={"name": "search"}).json()
    path = f"/v1/projects/{project['id']}"
    own = {"Authorization": f"Bearer {project['secret']}"}
    with httpx.Client(base_url=service_url, headers=own, timeout=30) as member:
        done, begun = open_upload(member), open_upload(member)
        fill(member, done)
        fill(member, begun, 1)
        dataset = complete(member, done).json()["id"]
        held = operator.delete(path).json()
        assert (held["holds"], held["used_by"]) == ({"datasets": 1, "uploads": 1}, [dataset, begun])
        assert member.delete(f"/v1/datasets/{dataset}").status_code == 200
        held = operator.delete(path).json()
        assert (held["holds"], held["used_by"]) == ({"uploads": 1}, [begun])
        assert member.delete(f"/v1/uploads/{begun}").status_code == 200
        assert member.get(f"/v1/uploads/{done}").json()["status"] == "completed"
    assert operator.delete(path).status_code == 200
    assert [count(database, table) for table in (Upload, UploadPart, Blob)] == [0, 0, 0]


def test_a_name_that_another_takes_at_the_same_moment(operator: httpx.Client, database: Database) -> None:
    first, second = (operator.post("/v1/projects", json={"name": name}).json()["id"] for name in "ab")
    with ThreadPoolExecutor(1) as other:
        with database.unit_of_work() as session:
            session.execute(update(Project).where(Project.id == first).values(name="c"))
            asked = {"name": "c", "limits": {"rows": 5}}
            answer = other.submit(operator.patch, f"/v1/projects/{second}", json=asked)
            wait_for_a_waiting_request(database)
        problem(answer.result(), 409, "project_exists")
    unchanged = operator.get(f"/v1/projects/{second}").json()
    assert (unchanged["name"], unchanged["own_limits"]["rows"]) == ("b", None)


def test_what_is_given_changes_and_null_goes_back_to_the_settings(operator: httpx.Client) -> None:
    project = operator.post("/v1/projects", json={"name": "a", "limits": {"rows": 5}}).json()
    path = f"/v1/projects/{project['id']}"
    changed = operator.patch(path, json={"name": "b", "limits": {"rows": None, "jobs_at_once": 2}}).json()
    assert (changed["name"], changed["own_limits"]["rows"], changed["limits"]["rows"]) == ("b", None, 0)
    assert changed["limits"]["jobs_at_once"] == 2
    assert [row["name"] for row in operator.get("/v1/projects").json()["data"]] == ["b", "default"]
    (default,) = (row for row in operator.get("/v1/projects").json()["data"] if row["name"] == "default")
    for response in (
        operator.delete(f"/v1/projects/{default['id']}"),
        operator.patch(f"/v1/projects/{default['id']}", json={"name": "c"}),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "project_is_default")
    assert operator.patch(path, json={"name": "default"}).json()["code"] == "project_exists"
    assert operator.patch(path, json={"limits": {"rows": -1}}).status_code == 422
    refused = operator.post("/v1/projects", json={"name": "c", "key": {"expires_at": 4102444800}})
    assert refused.json()["errors"][0]["pointer"] == "/key/expires_at"


def test_an_admin_makes_no_operator(client: httpx.Client, operator: httpx.Client) -> None:
    asked = {"name": "more", "scopes": ["operator"]}
    refused = client.post("/v1/api_keys", json=asked)
    assert (refused.status_code, refused.json()["needed_scope"]) == (403, "operator")
    assert operator.post("/v1/api_keys", json=asked).status_code == 201
    assert (
        operator.post("/v1/projects", json={"name": "x", "key": {"scopes": ["operator"]}}).status_code == 422
    )


def test_the_sdk_and_the_command(operator: httpx.Client, service_url: str, monkeypatch, cli) -> None:
    secret = operator.headers["authorization"].removeprefix("Bearer ")
    with SteadyRank(service_url, secret) as service:
        project = service.projects.create("search", limits={"jobs_a_day": 3}, key_scopes=["submit"])
        assert project.secret
        assert project.secret not in repr(project)
        assert service.projects.get(project).limits["jobs_a_day"] == 3
        assert service.projects.change(project, limits={"jobs_a_day": 4}).limits["jobs_a_day"] == 4
        assert [found.name for found in service.projects.list()] == ["search", "default"]
        with SteadyRank(service_url, project.secret) as member:
            usage = member.usage()
            assert (usage.project_name, usage.quotas["jobs_a_day"].remaining) == ("search", 4)
            assert usage.stored_bytes_by_kind["datasets"] == 0
            with pytest.raises(ForbiddenError):
                list(member.projects.list())
            dataset = member.datasets.upload(CSV, filename="a.csv", wait=False)
            with pytest.raises(InUseError):
                service.projects.delete(project)
            member.datasets.delete(dataset)
        service.projects.delete(project)

    monkeypatch.setenv("STEADYRANK_URL", service_url)
    monkeypatch.setenv("STEADYRANK_API_KEY", secret)
    key = ("--key-name", "reader", "--key-scope", "read", "--key-days", "9")
    made = cli.json("projects", "create", "films", "--limit", "rows=7", *key)
    assert (made["api_key"]["name"], made["api_key"]["scopes"]) == ("reader", ["read"])
    made_at, ends_at = (
        datetime.fromisoformat(made["api_key"][name]) for name in ("created_at", "expires_at")
    )
    assert (ends_at - made_at).total_seconds() == pytest.approx(9 * 86_400, abs=3600)
    assert made["own_limits"]["rows"] == 7
    assert cli("projects", "change", made["id"], "--limit", "rows=9").exit_code == 0
    assert "films" in cli("projects", "list").stdout
    assert "jobs at once" in cli("usage").stdout
    assert cli("projects", "delete", made["id"]).exit_code == 0
    assert cli("projects", "change", made["id"], "--limit", "nothing").exit_code == 2

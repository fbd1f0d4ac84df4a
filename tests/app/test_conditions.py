"""Every answer that the OpenAPI page says may be a 304 is one for whoever has it, and the rest are whole."""

from __future__ import annotations

import re

import httpx
from starlette.requests import Request
from starlette.responses import Response

from app.conditions import conditional, etag_of
from app.db.session import Database
from app.storage.database import DatabaseBlobStore
from tests.app.stock import stock_up

POLLED = {
    *("get_dataset", "get_job", "get_evaluation", "get_model_recommendations"),
    *("list_job_events", "list_job_metrics", "list_job_logs"),
}
"""What clients ask for again and again while something is under way."""


def test_what_was_not_changed_is_not_sent_again(
    client: httpx.Client, database: Database, blobs: DatabaseBlobStore
) -> None:
    stock = stock_up(database, blobs, client)
    ids = {name: found[0] for name, found in stock.items()}
    ids |= {"job_id": stock["job_id"][-1], "name": "pareto"}  # a job that succeeded, and its figure
    asked = {"model": ids["model_id"], "dataset": ids["dataset_id"]}
    ids["evaluation_id"] = client.post("/v1/evaluations", json=asked).raise_for_status().json()["id"]
    tried = set()
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        operation = methods.get("get", {})
        if "304" not in operation.get("responses", {}):
            continue
        at = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)
        first = client.get(at)
        if operation["operationId"] == "get_evaluation_report":
            assert first.status_code == 409  # nothing has measured it; see evaluations/test_routes.py
            continue
        assert first.status_code == 200, first.text
        etag = first.headers["etag"]
        again = client.get(at, headers={"If-None-Match": etag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), path
        assert "content-type" not in again.headers
        assert client.get(at, headers={"If-None-Match": '"x"'}).content == first.content, path
        tried.add(operation["operationId"])
    assert tried >= POLLED


def test_an_etag_is_that_of_the_answer() -> None:
    def asked(body: str, condition: str) -> Response:
        scope = {"type": "http", "headers": [(b"if-none-match", condition.encode())]}
        given = Response(body, media_type="text/plain", headers={"Vary": "Accept"})
        return conditional(Request(scope), given)

    known = etag_of(b"some")
    other, same = asked("another", known), asked("some", f'"x", W/{known}')
    assert (other.status_code, other.body, other.headers["etag"]) == (200, b"another", etag_of(b"another"))
    assert (same.status_code, same.body) == (304, b"")
    assert dict(same.headers) == {"vary": "Accept", "etag": known, "cache-control": "private, no-cache"}

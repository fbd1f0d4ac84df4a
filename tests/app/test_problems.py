"""Every error is a problem: ours, the framework's, and the one that nobody expected."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.deps import SessionDep
from app.errors import SteadyRankError
from app.log_lines import JsonFormatter, TextFormatter, working_at
from app.main import create_app
from app.problems import Problem, problem_response
from tests.serving import served


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(ge=1, le=10)
    nested: dict[str, list[int]] = {}


@pytest.fixture(scope="module")
def odd(shared_settings: Settings) -> Iterator[httpx.Client]:
    """An application with some routes that go wrong."""
    application = create_app(shared_settings)

    @application.post("/odd/body")
    def body(given: Body) -> Body:
        return given

    @application.get("/odd/crash")
    def crash() -> None:
        raise ZeroDivisionError("the password is hunter2")

    @application.get("/odd/session-crash")
    def session_crash(session: SessionDep) -> None:
        raise ZeroDivisionError("the password is hunter2")

    @application.get("/odd/database/{state}")
    def database(state: str) -> None:
        raise OperationalError("INSERT", {}, psycopg.errors.lookup(state)("the password is hunter2"))

    with served(application) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def _problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:steadyrank:problem:{code}"
    assert body["request_id"] == response.headers["x-request-id"]
    Draft202012Validator(Problem.model_json_schema()).validate(body)
    return body


def test_not_found_and_method_not_allowed(odd: httpx.Client) -> None:
    assert _problem(odd.get("/nowhere"), 404, "not_found")["instance"] == "/nowhere"
    response = odd.put("/healthz")
    _problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/datasets", "GET, POST"),
        ("/v1/jobs/job_x", "DELETE, GET, PATCH"),
        ("/v1/datasets/ds_x/content", "GET, HEAD"),
        ("/v1/models/films/aliases/production", "DELETE, GET, PUT"),
        ("/v1/uploads/up_x/complete", "POST"),
    ],
)
def test_allow_names_every_method_of_the_path(client: httpx.Client, path: str, methods: str) -> None:
    response = client.request("TRACE", path)
    _problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == methods


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"epochs": 11}, "/epochs", "out_of_range"),
        ({"epochs": "x"}, "/epochs", "wrong_type"),
        ({}, "/epochs", "missing"),
        ({"epochs": 1, "epoch": 2}, "/epoch", "unknown_field"),
        ({"epochs": 1, "nested": {"a/b": [1, "x"]}}, "/nested/a~1b/1", "wrong_type"),
        ([1], "", "wrong_type"),
    ],
)
def test_validation_points_at_the_field(odd: httpx.Client, body: object, pointer: str, code: str) -> None:
    problem = _problem(odd.post("/odd/body", json=body), 422, "invalid_request")
    items = problem["errors"]
    assert isinstance(items, list)
    assert [(item["pointer"], item["code"]) for item in items] == [(pointer, code)]


@pytest.mark.parametrize(
    ("state", "said"),
    [("40P01", "Send it again"), ("53100", "no space left"), ("57P01", "cannot be reached")],
)
def test_what_is_wrong_with_the_database_is_told(odd: httpx.Client, state: str, said: str) -> None:
    problem = _problem(odd.get(f"/odd/database/{state}"), 503, "unavailable")
    assert said in str(problem["detail"])
    assert "hunter2" not in str(problem)


def test_what_was_got_and_what_to_do(odd: httpx.Client) -> None:
    items = odd.post("/odd/body", json={"epochs": 11}).json()["errors"]
    assert items[0]["got"] == 11
    assert items[0]["hint"] == "It must be at most 10."
    as_form = odd.post("/odd/body", content=b'{"epochs": 1}', headers={"Content-Type": "text/plain"})
    assert "Content-Type: application/json" in as_form.json()["errors"][0]["hint"]
    huge = odd.post("/odd/body", json={"epochs": "9" * 5000}).json()["errors"]
    assert len(huge[0]["got"]) < 300


@pytest.mark.parametrize(
    "content", [b"{,", b'{"epochs": "\xff"}', b"[" * 100_000, b'{"epochs": ' + b"9" * 5000 + b"}"]
)
def test_broken_json(odd: httpx.Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    problem = _problem(odd.post("/odd/body", content=content, headers=headers), 422, "invalid_request")
    assert isinstance(problem["errors"], list)
    assert problem["errors"][0]["code"] == "invalid_json"


@pytest.mark.parametrize("path", ["/odd/crash", "/odd/session-crash"])
def test_an_unexpected_error_leaks_nothing(
    odd: httpx.Client, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = odd.get(path)
    problem = _problem(response, 500, "internal")
    assert "hunter2" not in response.text
    assert "ZeroDivision" not in response.text
    logged = [record for record in caplog.records if record.exc_info and record.name == "app.error"]
    assert len(logged) == 1
    assert problem["request_id"]


def test_our_own_500_tells_its_code_and_no_detail() -> None:
    class DiskError(SteadyRankError):
        code = "disk"

    body = json.loads(bytes(problem_response({"path": "/x"}, DiskError("/secret/path is full")).body))
    assert body["code"] == "disk"
    assert "/secret" not in json.dumps(body)


def test_request_ids(odd: httpx.Client) -> None:
    assert odd.get("/healthz", headers={"X-Request-Id": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    for insane in ("", "a b", "x" * 129, "{}"):
        made = odd.get("/healthz", headers={"X-Request-Id": insane}).headers["x-request-id"]
        assert made.startswith("req_")
    assert odd.get("/healthz").headers["x-request-id"] != odd.get("/healthz").headers["x-request-id"]


def test_log_lines_are_json_with_the_request_id(odd: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[dict[str, object]] = []
    logged = threading.Event()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))
            logged.set()

    handler = Collect()
    logger = logging.getLogger("app.access")
    logger.addHandler(handler)
    caplog.set_level(logging.INFO)
    try:
        odd.get("/healthz?token=sr_abcdefghijklmnopqrstuvwxyz", headers={"X-Request-Id": "line-1"})
        assert logged.wait(10)  # the line comes after the response
        logged.clear()
        odd.get("/nowhere%0A12:00:00 ERROR app.errors: forged%1b[31m")
        assert logged.wait(10)
    finally:
        logger.removeHandler(handler)
    assert lines[0]["request_id"] == "line-1"
    assert (lines[0]["method"], lines[0]["path"], lines[0]["status"]) == ("GET", "/healthz", 200)
    assert lines[1]["path"] == "/nowhere%0A12:00:00%20ERROR%20app.errors:%20forged%1B%5B31m"
    assert "sr_abcdefgh" not in json.dumps(lines)


def test_log_lines_of_a_job_name_it() -> None:
    with working_at(job_id="job_1", attempt=2):
        text = TextFormatter().format(logging.makeLogRecord({"msg": "hello", "exc_text": "Traceback"}))
        line = json.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "hello"})))
    assert (line["job_id"], line["attempt"], "request_id" in line) == ("job_1", 2, False)
    assert text.endswith(": hello job_id=job_1 attempt=2\nTraceback")
    assert TextFormatter().format(logging.makeLogRecord({"msg": "hello"})).endswith(": hello")


def test_secrets_are_removed_from_log_lines() -> None:
    record = logging.makeLogRecord(
        {
            "msg": "key sr_AbCdEfGhIjKlMnOpQrStUvWxYz012345 at postgresql://sr:hunter2@db/x",
            "levelname": "INFO",
        }
    )
    line = JsonFormatter().format(record)
    assert "hunter2" not in line
    assert "IjKlMnOp" not in line
    assert "postgresql://sr:***@db/x" in line

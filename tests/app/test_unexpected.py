"""What nobody expected is answered where browsers can read it, and logged once, under the request's id."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from starlette.responses import StreamingResponse

from app.config import Settings
from app.log_lines import JsonFormatter
from app.main import create_app
from tests.serving import served

ORIGIN = "https://a.example"


@pytest.fixture
def logged() -> Iterator[list[dict[str, str]]]:
    """Lines of errors, as the log has them."""
    lines: list[dict[str, str]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    handler = Collect()
    logger = logging.getLogger("app.error")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture(params=[(), (ORIGIN,)], ids=["no_origins", "one_origin"])
def broken(request: pytest.FixtureRequest, settings: Settings) -> Iterator[httpx.Client]:
    """An application with routes that fail before and after their response has begun."""
    application = create_app(settings.model_copy(update={"cors_origins": request.param}))

    @application.get("/broken")
    def broken_route() -> None:
        raise RuntimeError("nobody expected it")

    @application.get("/breaking")
    def breaking_route() -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            yield b"the beginning"
            raise RuntimeError("nobody expected it")

        return StreamingResponse(pieces())

    headers = {"Origin": ORIGIN, "X-Request-Id": "the-one"}
    with served(application) as url, httpx.Client(base_url=url, timeout=30, headers=headers) as client:
        yield client


def test_before_the_response_it_is_a_problem_that_browsers_can_read(
    broken: httpx.Client, logged: list[dict[str, str]], request: pytest.FixtureRequest
) -> None:
    answer = broken.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "the-one"
    assert [(line["request_id"], "nobody expected it" in line["traceback"]) for line in logged] == [
        ("the-one", True)
    ]
    allowed = "one_origin" in request.node.name
    assert answer.headers.get("access-control-allow-origin") == (ORIGIN if allowed else None)
    assert ("Location" in answer.headers.get("access-control-expose-headers", "")) is allowed


def test_in_the_middle_the_connection_is_cut(broken: httpx.Client, logged: list[dict[str, str]]) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        broken.get("/breaking")
    assert [line["request_id"] for line in logged] == ["the-one"]

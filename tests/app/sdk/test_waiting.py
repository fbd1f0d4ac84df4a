"""All waiting ends in time, and outlives a service that is away for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.sdk.client import SteadyRank
from app.sdk.errors import NotFoundError, ServiceUnreachableError, WaitTimeoutError
from app.sdk.objects.models import RecommendationBatch

THING = {"id": "x_1", "model": "mdl_1"}
BATCH = RecommendationBatch.from_json({**THING, "status": "queued"})
WAITS: dict[str, Callable[..., Any]] = {
    "job": lambda c, **more: c.jobs.wait("x_1", **more),
    "evaluation": lambda c, **more: c.evaluations.wait("x_1", **more),
    "batch": lambda c, **more: c.models.wait_for_batch(BATCH, **more),
    "data set": lambda c, **more: c.datasets.wait("x_1", **more),
}


@pytest.fixture(params=WAITS)
def wait(request: pytest.FixtureRequest, timed: SteadyRank) -> Callable[..., Any]:
    return lambda **more: WAITS[request.param](timed, **more)


def status(kind: str) -> httpx.Response:
    return httpx.Response(200, json={**THING, "status": kind})


def test_a_timeout_holds_though_the_service_is_dead(script, wait):
    script.answers = [httpx.ConnectError("refused")] * 30
    with pytest.raises(WaitTimeoutError, match=r"x_1 is still not heard of after 5 s: .*refused"):
        wait(timeout=5.0)
    assert sum(script.slept) + len(script.requests) <= 6


def test_a_request_is_not_given_longer_than_there_is_time(script, wait):
    script.answers = [status("validating"), *[httpx.ReadTimeout("slow")] * 30]
    with pytest.raises(WaitTimeoutError):
        wait(timeout=5.0)
    given = [request.extensions["timeout"]["read"] for request in script.requests]
    assert given == sorted(given, reverse=True)
    assert max(given) <= 5.0


def test_a_restart_is_put_up_with(script, wait):
    script.answers = [status("validating"), *[httpx.Response(503)] * 9, status("succeeded")]
    assert wait().status == "succeeded"


def test_too_long_an_outage_is_not(script, wait):
    script.answers = [status("validating"), *[httpx.ConnectError("refused")] * 30]
    with pytest.raises(ServiceUnreachableError):
        wait(outage=10.0)


def test_a_refusal_is_no_outage(script, wait):
    script.answers = [httpx.Response(404, json={"code": "gone", "detail": "no"})]
    with pytest.raises(NotFoundError):
        wait()


def test_what_the_caller_does_at_a_look_is_no_outage(script, timed):
    script.answers = [status("running"), *[httpx.ConnectError("refused")] * 4, status("succeeded")]
    assert timed.jobs.wait("x_1", lambda found: script.slept.append(1000.0), outage=60.0).is_terminal

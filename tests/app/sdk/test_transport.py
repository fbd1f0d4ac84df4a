from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from app.sdk.client import SteadyRank
from app.sdk.errors import (
    ConflictError,
    DatasetNotReadyError,
    ForbiddenError,
    InUseError,
    JobStateError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    ProbablyDeletedError,
    ProblemError,
    QuotaExceededError,
    QuotaUsedUpError,
    RangeNotSatisfiableError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    ServiceUnavailableError,
    ServiceUnreachableError,
    SteadyRankError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    UploadStateError,
    ValidationFailedError,
)

JOB = {"id": "job_1", "status": "queued"}


def test_the_key_is_sent_and_never_shown(script, client):
    script.answers = [httpx.Response(200, json=JOB)]
    client.jobs.get("job_1")
    assert script.requests[0].headers["Authorization"] == "Bearer sr_secret"
    assert "sr_secret" not in repr(client) + repr(client._transport) + repr(client._transport._client.headers)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_get_is_retried_with_growing_waits(script, client, status):
    script.answers = [httpx.Response(status)] * 3 + [httpx.Response(200, json=JOB)]
    assert client.jobs.get("job_1").id == "job_1"
    assert len(script.requests) == 4
    for wait, full in zip(script.slept, (0.5, 1.0, 2.0), strict=True):
        assert full / 2 <= wait <= full


def test_retries_end_with_the_last_error(script, client):
    script.answers = [httpx.Response(503)] * 4
    with pytest.raises(ServiceUnavailableError):
        client.jobs.get("job_1")
    assert len(script.requests) == 4


def test_a_body_that_came_too_slowly_is_sent_again_and_then_told(script, client):
    script.answers = [httpx.Response(408)] * 4
    with pytest.raises(RequestTimeoutError) as caught:
        client.jobs.create("ds_1")
    assert caught.value.retryable
    assert len({request.headers["Idempotency-Key"] for request in script.requests}) == 1
    assert len(script.requests) == 4


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_other_errors_are_not_retried(script, client, status):
    script.answers = [httpx.Response(status)]
    with pytest.raises(ProblemError):
        client.jobs.get("job_1")
    assert script.slept == []


def test_retry_after_is_obeyed_as_seconds_and_as_a_date(script, client):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    script.answers = [
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(503, headers={"Retry-After": soon}),
        httpx.Response(503, headers={"Retry-After": "86400"}),
        httpx.Response(200, json=JOB),
    ]
    client.jobs.get("job_1")
    assert script.slept[0] == 7.0
    assert 25 < script.slept[1] <= 30
    assert script.slept[2] <= 2.0, "a day's wait is not obeyed: the caller would hang"


def test_a_lost_connection_of_a_get_is_retried(script, client):
    script.answers = [httpx.ReadError("cut"), httpx.ConnectError("refused"), httpx.Response(200, json=JOB)]
    assert client.jobs.get("job_1").id == "job_1"


def test_creating_is_sent_again_under_the_same_key(script, client):
    in_progress = {"code": "idempotency_in_progress", "status": 409}
    script.answers = [
        httpx.ConnectError("refused"),
        httpx.ReadError("cut"),
        httpx.Response(409, json=in_progress, headers={"Retry-After": "1"}),
        httpx.Response(201, json=JOB),
        httpx.Response(201, json=JOB),
    ]
    assert client.jobs.create("ds_1", epochs=2).id == "job_1"
    assert script.bodies == [b'{"dataset":"ds_1","epochs":2}'] * 4
    assert script.slept[-1] == 1.0
    (key,) = {request.headers["Idempotency-Key"] for request in script.requests}
    client.jobs.create("ds_1", epochs=2)
    assert script.requests[-1].headers["Idempotency-Key"] != key


def test_a_key_of_the_callers_own_is_sent_at_every_try(script, client):
    made = httpx.Response(201, json={"id": "any_1", "status": "queued"})
    script.answers = [httpx.ReadError("cut"), made, made, made]
    client.jobs.create("ds_1", idempotency_key="nightly", epochs=2)
    client.evaluations.create("mdl_1", "ds_1", idempotency_key="nightly")
    client.models.recommend_batch("mdl_1", "ds_1", idempotency_key="nightly")
    assert [request.headers["Idempotency-Key"] for request in script.requests] == ["nightly"] * 4
    assert script.bodies[:2] == [b'{"dataset":"ds_1","epochs":2}'] * 2


def test_a_batch_of_a_file_is_one_with_its_upload(script, client, tmp_path):
    log = tmp_path / "log.csv"
    log.write_bytes(b"user,item\n1,2\n")
    dataset = {"id": "ds_1", "status": "ready"}
    script.answers = [
        httpx.Response(201, json=dataset),
        httpx.Response(200, json=dataset),
        httpx.Response(201, json={"id": "rec_1", "status": "queued"}),
    ]
    client.models.recommend_batch("mdl_1", log, idempotency_key="nightly")
    sent = [request for request in script.requests if request.method == "POST"]
    assert [(request.url.path, request.headers["Idempotency-Key"]) for request in sent] == [
        ("/v1/datasets", "nightly"),
        ("/v1/models/mdl_1/recommendations", "nightly"),
    ]


@pytest.mark.parametrize("key", ["", "a b", "a\n", "é", "k" * 256])
def test_what_cannot_be_a_key_is_not_sent(script, client, key):
    with pytest.raises(SteadyRankError, match="is no idempotency key"):
        client.jobs.create("ds_1", idempotency_key=key)
    assert script.requests == []


def test_asking_without_effect_needs_no_key(script, client):
    script.answers = [httpx.Response(200, json={"valid": True}), httpx.Response(200, json=JOB)]
    client.jobs.validate("ds_1")
    client.jobs.get("job_1")
    assert ["Idempotency-Key" in request.headers for request in script.requests] == [False, False]


def test_an_upload_of_a_path_is_sent_whole_again(script, client, tmp_path):
    log = tmp_path / "log.csv"
    log.write_bytes(b"user,item\n1,2\n")
    script.answers = [httpx.Response(503), httpx.Response(201, json={"id": "ds_1", "status": "ready"})]
    client.datasets.upload(log, wait=False)
    assert script.bodies == [b"user,item\n1,2\n"] * 2
    assert script.requests[0].url.params["filename"] == "log.csv"
    assert script.requests[0].headers["Content-Length"] == "14"


def test_an_upload_that_cannot_be_read_again_is_not_retried(script, client):
    script.answers = [httpx.Response(503)]
    with pytest.raises(ServiceUnavailableError):
        client.datasets.upload(iter([b"user,item\n", b"1,2\n"]), filename="log.csv", wait=False)
    assert script.bodies == [b"user,item\n1,2\n"]
    assert script.requests[0].headers["Transfer-Encoding"] == "chunked"


@pytest.mark.parametrize(
    ("status", "code", "more", "expected"),
    [
        (401, "unauthorized", {}, UnauthorizedError),
        (403, "insufficient_scope", {"needed_scope": "admin"}, ForbiddenError),
        (403, "quota_exceeded", {"quota": "rows", "used": 1, "wanted": 2, "limit": 2}, QuotaExceededError),
        (404, "job_not_found", {}, NotFoundError),
        (405, "method_not_allowed", {}, MethodNotAllowedError),
        (409, "gate_refused", {"checks": [{"missing_by": 0.1}]}, ConflictError),
        (409, "upload_incomplete", {"missing": [2]}, UploadStateError),
        (409, "dataset_in_use", {"used_by": ["job_7"]}, InUseError),
        (409, "dataset_not_ready", {}, DatasetNotReadyError),
        (409, "dataset_rejected", {}, DatasetNotReadyError),
        (409, "job_in_use", {"job_status": "running", "used_by": ["w"]}, JobStateError),
        (413, "payload_too_large", {}, PayloadTooLargeError),
        (415, "unsupported_content_encoding", {}, UnsupportedMediaTypeError),
        (416, "range_not_satisfiable", {}, RangeNotSatisfiableError),
        (422, "invalid_request", {}, ValidationFailedError),
        (500, "internal", {}, ServerError),
        (418, "teapot", {}, ProblemError),
    ],
)
def test_problems_become_their_exception(script, client, *, status, code, more, expected):
    problem = {
        "title": "No",
        "status": status,
        "code": code,
        "detail": "It is not so.",
        "request_id": "req_9",
        "retryable": False,
        **more,
        "errors": [
            {"pointer": "/epochs", "code": "less_than", "message": "too many", "got": 9, "hint": "fewer"}
        ],
    }
    script.answers = [
        httpx.Response(status, json=problem, headers={"Content-Type": "application/problem+json"})
    ]
    with pytest.raises(ProblemError) as caught:
        client.jobs.create("ds_1")
    error = caught.value
    assert type(error) is expected
    assert (error.status, error.code, error.request_id) == (status, code, "req_9")
    assert (error.errors[0].pointer, error.errors[0].got, error.errors[0].hint) == ("/epochs", 9, "fewer")
    assert error.used_by == tuple(more.pop("used_by", ()))
    assert error.extra == more
    assert str(error) == f"{status} {code}: It is not so. (request req_9)"


def test_a_quota_that_is_used_up_says_which(script, client):
    problem = {"code": "quota_used_up", "quota": "jobs_a_day", "used": 3, "limit": 3}
    script.answers = [httpx.Response(429, json=problem, headers={"Retry-After": "3600"})]
    with pytest.raises(QuotaUsedUpError) as caught:
        client.jobs.create("ds_1")
    assert caught.value.extra == {"quota": "jobs_a_day", "used": 3, "limit": 3}


def test_a_rate_limit_that_stays_says_when_to_come_back(script, client):
    script.answers = [httpx.Response(429, headers={"Retry-After": "5"})] * 4
    with pytest.raises(RateLimitedError) as caught:
        client.jobs.get("job_1")
    assert caught.value.retry_after == 5.0


def test_an_error_that_is_not_ours_is_still_a_problem(script, client):
    script.answers = [httpx.Response(400, text="<html>proxy</html>", headers={"X-Request-Id": "req_3"})]
    with pytest.raises(ProblemError) as caught:
        client.jobs.get("job_1")
    assert (caught.value.code, caught.value.request_id) == ("http_400", "req_3")


def test_an_answer_that_is_not_ours_is_not_taken_for_one(script, client):
    script.answers = [httpx.Response(200, text="<html>hello</html>")]
    with pytest.raises(ServiceUnreachableError, match="not with SteadyRank's JSON"):
        client.jobs.get("job_1")


def test_a_redirect_does_not_carry_the_key_elsewhere(script, client):
    script.answers = [httpx.Response(307, headers={"Location": "http://elsewhere.test/"})]
    with pytest.raises(ProblemError):
        client.jobs.get("job_1")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "ask", [lambda c: c.jobs.get("job_1"), lambda c: list(c.jobs.stream("job_1", outage=-1))]
)
def test_an_answer_that_cannot_be_decoded_is_an_error_of_ours(script, client, ask):
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/event-stream"}

    def damaged(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"no gzip"))

    script.answers = [damaged]
    with pytest.raises(ServiceUnreachableError):
        ask(client)


GONE = httpx.Response(404, json={"code": "job_not_found", "detail": "No job job_1."})
LOST = [httpx.ReadError("cut"), httpx.Response(502), httpx.Response(503), httpx.Response(504)]


@pytest.mark.parametrize("lost", LOST, ids=str)
def test_a_delete_whose_answer_was_lost_was_probably_done(script, client, lost):
    script.answers = [lost, httpx.Response(429), GONE]
    with pytest.raises(ProbablyDeletedError, match="earlier try whose answer was lost") as said:
        client.jobs.delete("job_1")
    assert said.value.code == "job_not_found"


@pytest.mark.parametrize("before", [[], [httpx.ConnectError("refused")], [httpx.Response(429)]])
def test_a_delete_that_did_nothing_before_found_nothing(script, client, before):
    script.answers = [*before, GONE]
    with pytest.raises(NotFoundError) as said:
        client.jobs.delete("job_1")
    assert type(said.value) is NotFoundError


def test_only_a_delete_is_taken_for_done(script, client):
    script.answers = [httpx.ReadError("cut"), GONE]
    with pytest.raises(NotFoundError) as said:
        client.jobs.cancel("job_1")
    assert type(said.value) is NotFoundError


def test_what_holds_no_bytes_is_deleted_though_the_answer_was_lost(script, client):
    script.answers = [httpx.ReadError("cut"), GONE] * 2
    deleted = {"deleted": True, "freed_bytes": 0}
    assert client.webhook_endpoints.delete("whk_1") == {
        "id": "whk_1",
        "object": "webhook_endpoint",
        **deleted,
    }
    named = {"object": "model.alias", "name": "films", "alias": "best"}
    assert client.models.delete_alias("films", "best") == {**named, **deleted}


def test_lists_walk_all_pages_lazily(script, client):
    def page(ids: list[str], more: bool) -> httpx.Response:
        rows = [{"id": identity, "status": "queued"} for identity in ids]
        return httpx.Response(200, json={"data": rows, "last_id": ids[-1], "has_more": more})

    script.answers = [page(["job_3", "job_2"], True), page(["job_1"], False)]
    walk = client.jobs.list(page_size=2)
    assert next(walk).id == "job_3"
    assert len(script.requests) == 1
    assert [job.id for job in walk] == ["job_2", "job_1"]
    assert dict(script.requests[1].url.params) == {"limit": "2", "after": "job_2"}


def test_a_port_that_nobody_listens_on_is_a_clear_error(unused_port):
    with (
        SteadyRank(f"http://127.0.0.1:{unused_port}", max_retries=0) as client,
        pytest.raises(ServiceUnreachableError, match="cannot be reached") as caught,
    ):
        client.health()
    assert "steadyrank up" in caught.value.hint


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_what_is_back_only_tomorrow_is_not_waited_for(script, client):
    script.answers = [httpx.Response(429, headers={"Retry-After": "40000"})]
    with pytest.raises(RateLimitedError) as raised:
        client.jobs.create("ds_1")
    assert (raised.value.retry_after, script.slept) == (40000, [])


def test_a_quota_that_is_used_up_is_told_at_once(script, client):
    used_up = {"code": "quota_used_up", "detail": "The project may use 1 jobs at once.", "status": 429}
    script.answers = [httpx.Response(429, json=used_up, headers={"Retry-After": "30"})]
    with pytest.raises(QuotaUsedUpError) as told:
        client.jobs.create("ds_1")
    assert (told.value.retry_after, script.slept) == (30.0, [])

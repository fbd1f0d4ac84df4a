"""Requests that nobody makes by mistake: each gets a problem, soon, and a short one."""

from __future__ import annotations

import gzip
import json
import sys

import httpx
import pytest

from tests.factories import CSV


def test_countless_faults_are_counted_and_the_first_shown(client: httpx.Client) -> None:
    body = json.dumps({"dataset": "ds_x", "arms": ["a"] * 100_000}).encode()
    answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    assert len(problem["errors"]) == 100
    assert "100001 faults, of which the first 100 are shown" in problem["detail"]
    assert len(answer.content) < len(body) / 10


@pytest.mark.parametrize("letter", ["a", "\U0001f3ac"])
def test_a_file_name_is_no_longer_than_a_name(client: httpx.Client, letter: str) -> None:
    refused = client.post("/v1/datasets", params={"filename": f"{letter * 256}"}, content=CSV)
    (item,) = refused.json()["errors"]
    assert (refused.status_code, item["pointer"]) == (422, "?filename")
    folders = f"{'folder/' * 100}{letter * 250}.csv"
    taken = client.post("/v1/datasets", params={"filename": folders}, content=CSV)
    assert (taken.status_code, taken.json()["name"]) == (201, f"{letter * 250}.csv")


def test_a_query_parameter_is_given_once(client: httpx.Client) -> None:
    answer = client.get("/v1/jobs?dataset=ds_a&limit=1&dataset=ds_b&label=a&label=b")
    (item,) = answer.json()["errors"]
    assert (answer.status_code, item["pointer"], item["code"]) == (422, "?dataset", "repeated")
    assert client.get("/v1/jobs?label=a&label=b").status_code == 200
    uploaded = client.post("/v1/datasets?filename=a.csv&filename=b.csv", content=b"user_id,item_id\n1,2\n")
    assert uploaded.json()["errors"][0]["pointer"] == "?filename"


def test_a_query_of_countless_names_is_told_of_the_first_or_refused(client: httpx.Client) -> None:
    many = client.get("/v1/jobs", params=dict.fromkeys(map(str, range(1000)), "1"))
    assert (many.status_code, len(many.json()["errors"])) == (422, 100)
    endless = client.get(f"/v1/jobs?{'a=1&' * 5000}")
    assert (endless.status_code, endless.json()["code"]) == (414, "query_too_long")


@pytest.mark.parametrize(
    ("method", "path", "pointer", "meant"),
    [
        ("GET", "/v1/jobs?state=failed", "?state", "'status'"),
        ("GET", "/v1/jobs?limit=1&unknown=1&unknown=2", "?unknown", "It takes status"),
        ("POST", "/v1/jobs?validate-only=true", "?validate-only", "'validate_only'"),
        ("DELETE", "/v1/jobs/job_x?model=true", "?model", "'models'"),
        ("HEAD", "/v1/datasets/ds_x/content?filename=a&filename=b", "?filename", ""),
        ("GET", "/v1/capabilities?limit=1", "?limit", "no query"),
        ("POST", "/v1/datasets?filenam=a.csv", "?filenam", "'filename'"),
    ],
)
def test_an_unknown_query_parameter_is_refused(
    client: httpx.Client, method: str, path: str, pointer: str, meant: str
) -> None:
    answer = client.request(method, path, json={"dataset": "ds_x"} if method == "POST" else None)
    assert answer.status_code == 422
    if method != "HEAD":
        (item,) = answer.json()["errors"]
        assert (item["pointer"], item["code"]) == (pointer, "unknown_field")
        assert meant in item["hint"]


def test_a_post_without_a_body_knows_no_fields(client: httpx.Client) -> None:
    path = "/v1/jobs/job_x/cancel"
    answer = client.post(path, json={"reason": "late"})
    (item,) = answer.json()["errors"]
    assert (answer.status_code, item["pointer"], item["code"]) == (422, "/reason", "unknown_field")
    for nothing in (b"", b"{}", b"null", b"\xff"):
        assert client.post(path, content=nothing).status_code == 404


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_json_at_the_edge_of_what_can_be_read(client: httpx.Client, opened: str, closed: str) -> None:
    """To write takes a little more stack than to read: what could just be read is told all the same."""

    def refused(depth: int) -> str:
        body = '{"dataset":' + opened * depth + "1" + closed * depth + "}"
        answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (depth, answer.text)
        return str(answer.json()["errors"][0]["code"])

    read, unread = 1, sys.getrecursionlimit()
    while unread - read > 1:
        middle = (read + unread) // 2
        read, unread = (read, middle) if refused(middle) == "invalid_json" else (middle, unread)
    assert {refused(read - less) for less in range(12)} == {"wrong_type"}


@pytest.mark.parametrize(
    ("path", "coding", "status"),
    [
        ("/v1/jobs", "gzip", 415),
        ("/v1/jobs", "identity", 422),
        ("/v1/jobs/job_x/cancel", "gzip", 415),
        ("/v1/jobs/job_x/cancel", "identity", 404),
        ("/v1/datasets?filename=a.csv", "br", 415),
        ("/v1/datasets?filename=a.csv", "gzip, br", 415),
        ("/v1/datasets?filename=a.csv", "GZIP", 201),
    ],
)
def test_codings_of_a_body(client: httpx.Client, path: str, coding: str, status: int) -> None:
    body = CSV if "datasets" in path else b"{}"
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = client.post(path, content=gzip.compress(body) if status == 201 else body, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 415:
        assert answer.json()["errors"][0]["pointer"] == "header:content-encoding"
        assert ("gzip" in answer.headers["accept-encoding"]) is ("datasets" in path)


def test_two_idempotency_keys_are_none(client: httpx.Client) -> None:
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = client.post("/v1/uploads", json={"filename": "a.csv"}, headers=twice)
    assert answer.json()["errors"][0]["pointer"] == "header:idempotency-key"
    assert client.get("/v1/uploads").json()["data"] == []

"""The load generator of the API's benchmark, against a served application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Response

from benchmarks.api import in_turns, median_of, rows_of
from benchmarks.load import as_fast_as_possible, at_a_rate, download, request_bytes
from tests.serving import served

KEY = "sr_key"


@pytest.fixture
def url() -> Iterator[str]:
    application = FastAPI()

    @application.get("/small")
    async def small() -> dict[str, str]:
        return {"a": "b"}

    @application.get("/slow")
    async def slow() -> dict[str, str]:
        await asyncio.sleep(0.4)
        return {}

    @application.get("/large")
    async def large() -> Response:
        return Response(bytes(3_000_000))

    with served(application) as url:
        yield url


def test_latencies_are_those_of_every_request(url: str) -> None:
    latencies = at_a_rate(f"{url}/small", KEY, 200.0, 0.2)["latencies"]
    assert len(latencies) == 40
    assert min(latencies) > 0
    assert as_fast_as_possible(f"{url}/small", KEY, 2, 0.2)["per_second"] > 0


def test_answers_are_counted_over_the_time_that_the_last_one_took(url: str) -> None:
    assert as_fast_as_possible(f"{url}/slow", KEY, 2, 0.01)["per_second"] < 2 / 0.4


def test_a_download_is_counted_to_its_last_byte(url: str) -> None:
    found = download(f"{url}/large", KEY)
    assert found["bytes"] == 3_000_000
    assert found["seconds"] > 0


def test_what_is_no_answer_is_an_error(url: str) -> None:
    with pytest.raises(RuntimeError, match="404"):
        download(f"{url}/nothing", KEY)


def test_a_request_asks_for_path_and_query() -> None:
    sent = request_bytes("http://127.0.0.1:8000/v1/jobs?limit=20", KEY)
    assert sent.startswith(b"GET /v1/jobs?limit=20 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert b"Authorization: Bearer sr_key\r\n" in sent


def test_addresses_take_turns_and_ratios_are_of_medians(url: str) -> None:
    place = (f"{url}/small", KEY)
    found = in_turns(at_a_rate, {"job": place, "empty": place}, 100.0, 0.1, rounds=2)
    assert [len(rounds) for rounds in found.values()] == [2, 2]
    figures = {
        "latency_milliseconds": {"job": 3 * median_of(found["empty"]), "empty": median_of(found["empty"])},
        "answers_per_second": {"job": 50.0, "empty": 100.0},
        "lists_per_second": {"few": 50.0, "many": 40.0},
        "many": 100_000,
        "megabytes_per_second": {"blob": 100.0, "file": 150.0},
        "first_step_seconds": 3.0,
        "import_torch_seconds": 2.0,
        "resident_megabytes": {"at start": 120.0},
    }
    assert [row[3] for row in rows_of(figures)] == ["3.00", "0.50", "1.25", "1.50", "0.67", ""]

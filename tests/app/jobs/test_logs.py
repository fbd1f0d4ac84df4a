"""Kept lines of training processes, through HTTP, the SDK and the command."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.db.session import Database
from app.jobs.claims import Claim, release
from app.jobs.logs import KEPT_LINES, Line, append
from app.sdk.client import SteadyRank
from app.sdk.errors import NotFoundError

AT = datetime(2025, 11, 23, 13, 51, tzinfo=UTC)


def lines(first: int, last: int) -> Sequence[Line]:
    return [Line(number, AT, "info", f"line {number}") for number in range(first, last + 1)]


def write(database: Database, claimed: Claim, written: Sequence[Line]) -> None:
    with database.unit_of_work() as session:
        append(session, claimed, written)


def two_attempts(bench: Any, database: Database) -> str:
    """A job with a finished attempt of three lines and a running one of two."""
    job_id: str = bench.submit()
    first = bench.take(job_id)
    with database.unit_of_work() as session:
        release(session, first, message="The worker shut down.")
    second = bench.take(job_id)
    write(database, first, lines(1, 3))  # its last words, written when another one has the job
    write(database, second, [Line(1, AT, "error", "it fell"), Line(2, AT, None, "printed")])
    return job_id


def test_lines_are_paged_over_attempts(client: httpx.Client, bench: Any, database: Database) -> None:
    path = f"/v1/jobs/{two_attempts(bench, database)}/logs"

    def ids(**query: Any) -> list[str]:
        return [line["id"] for line in client.get(path, params=query).json()["data"]]

    assert ids() == ["1-1", "1-2", "1-3", "2-1", "2-2"]
    page = client.get(path, params={"limit": 2, "after": "1-2"}).json()
    assert ([line["id"] for line in page["data"]], page["has_more"]) == (["1-3", "2-1"], True)
    assert (page["last_id"], page["dropped"]) == ("2-1", 0)
    assert page["data"][1] == {
        "id": "2-1",
        "object": "log_line",
        "attempt": 2,
        "number": 1,
        "at": "2025-11-23T13:51:00Z",
        "level": "error",
        "text": "it fell",
    }
    assert ids(attempt=1) == ["1-1", "1-2", "1-3"]
    assert ids(tail=3) == ["1-3", "2-1", "2-2"]
    text = client.get(path, params={"tail": 2}, headers={"Accept": "text/plain"})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text == (
        "2025-11-23T13:51:00Z [2] ERROR   it fell\n2025-11-23T13:51:00Z [2] -       printed\n"
    )
    for query in ({"after": "x"}, {"after": "1-1", "tail": 2}, {"tail": 0}, {"attempt": 0}):
        assert client.get(path, params=query).status_code == 422, query


def test_the_oldest_lines_go_and_this_is_said(client: httpx.Client, bench: Any, database: Database) -> None:
    claimed = bench.take(bench.submit())
    write(database, claimed, lines(1, KEPT_LINES))
    write(database, claimed, lines(KEPT_LINES - 5, KEPT_LINES + 7))  # some for the second time
    path = f"/v1/jobs/{claimed.job_id}/logs"
    page = client.get(path, params={"limit": 1}).json()
    assert (page["data"][0]["number"], page["dropped"]) == (8, 7)
    text = client.get(path, headers={"Accept": "text/plain"}).text.splitlines()
    assert len(text) == KEPT_LINES + 1
    assert text[0] == "… 7 older lines were dropped"


def test_a_strangers_and_a_deleted_jobs_lines_are_nobodys(
    client: httpx.Client, bench: Any, database: Database, stranger_headers: dict[str, str]
) -> None:
    job_id = two_attempts(bench, database)
    assert client.get(f"/v1/jobs/{job_id}/logs", headers=stranger_headers).status_code == 404
    write(database, Claim("job_gone", 1), lines(1, 2))
    assert client.get("/v1/jobs/job_gone/logs").status_code == 404


def test_the_sdk_follows_until_the_job_has_ended(
    service_url: str, api_key: str, bench: Any, database: Database, client: httpx.Client
) -> None:
    job_id = two_attempts(bench, database)
    pauses: list[float] = []

    def go_on(pause: float) -> None:
        """What happens between two looks of who follows; there is nothing to hear in the later ones."""
        pauses.append(pause)
        assert len(pauses) < 100
        if len(pauses) > 1:
            time.sleep(0.05)
            return
        write(database, Claim(job_id, 2), lines(3, 4))
        with database.unit_of_work() as session:
            release(session, Claim(job_id, 2), message="The worker shut down.")
        client.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
        write(database, Claim(job_id, 2), lines(5, 5))

    with SteadyRank(service_url, api_key, sleep=go_on) as service:
        assert [line.id for line in service.jobs.logs(job_id, attempt=2)] == ["2-1", "2-2"]
        followed = [line.id for line in service.jobs.logs(job_id, tail=1, follow=True)]
        assert followed == ["2-2", "2-3", "2-4", "2-5"]
        with pytest.raises(NotFoundError):
            list(service.jobs.logs("job_x", follow=True))


def test_the_command_prints_them(bench: Any, database: Database, service_url: str, api_key: str) -> None:
    job_id = two_attempts(bench, database)
    environment = {"STEADYRANK_URL": service_url, "STEADYRANK_API_KEY": api_key, "TZ": "UTC"}
    said = CliRunner().invoke(app, ["jobs", "logs", job_id, "--tail", "2"], env=environment)
    assert said.exit_code == 0, said.output
    first, second = said.output.splitlines()
    assert first.endswith("[2] ERROR it fell")
    assert second.endswith("[2] printed")
    as_json = CliRunner().invoke(app, ["jobs", "logs", job_id, "--json", "--attempt", "1"], env=environment)
    assert as_json.output.count('"object": "log_line"') == 3

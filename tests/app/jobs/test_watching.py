"""ETags, long polls and event streams over real HTTP."""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.db.models.job import Job
from app.jobs import watching
from app.jobs.claims import hold
from app.jobs.life import Status, lock, move, record
from app.main import create_app
from tests.serving import served
from tests.waiting import wait_until

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)


def frames(text: str) -> list[dict[str, str]]:
    return [
        dict(line.split(": ", 1) for line in frame.splitlines())
        for frame in text.split("\n\n")
        if frame.startswith("id:")
    ]


def test_a_job_that_has_not_changed_is_304(client: httpx.Client, bench: Any) -> None:
    path = f"/v1/jobs/{bench.submit()}"
    first = client.get(path)
    etag = first.headers["etag"]
    unchanged = client.get(path, headers={"If-None-Match": f'"x", W/{etag}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    assert unchanged.headers["retry-after"]
    bench.take(first.json()["id"])
    changed = client.get(path, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()["status"]) == (200, "running")
    assert changed.headers["etag"] != etag


def test_events_that_are_the_same_are_304(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit()
    path = f"/v1/jobs/{job_id}/events"
    first = client.get(path)
    known = {"If-None-Match": first.headers["etag"]}
    assert client.get(path, headers=known).status_code == 304
    assert client.get(f"{path}?after=1", headers=known).status_code == 200
    bench.take(job_id)
    changed = client.get(path, headers=known)
    assert (changed.status_code, len(changed.json()["data"])) == (200, len(first.json()["data"]) + 1)


@pytest.mark.parametrize("asked", ["?wait=20", "Prefer: respond-async, wait=20"])
def test_a_long_poll_is_answered_when_the_job_has_news(
    client: httpx.Client, bench: Any, waiters: list[str], asked: str
) -> None:
    job_id = bench.submit()
    query, _, prefer = asked.partition("Prefer: ")
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(
            client.get, f"/v1/jobs/{job_id}{query}", headers={"Prefer": prefer} if prefer else {}
        )
        wait_until(lambda: waiters)
        assert not waiting.done()
        bench.take(job_id)
        answer = waiting.result(18)
    assert answer.json()["status"] == "running"
    assert time.monotonic() - began < 18
    assert answer.headers.get("preference-applied") == ("wait=20" if prefer else None)


def test_a_long_poll_ends_when_its_time_is_over_or_the_job_is(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit()
    began = time.monotonic()
    assert client.get(f"/v1/jobs/{job_id}?wait=1").json()["status"] == "queued"
    assert time.monotonic() - began >= 1
    etag = client.get(f"/v1/jobs/{job_id}").headers["etag"]
    assert client.get(f"/v1/jobs/{job_id}?wait=1", headers={"If-None-Match": etag}).status_code == 304
    client.post(f"/v1/jobs/{job_id}/cancel")
    began = time.monotonic()
    ended = client.get(f"/v1/jobs/{job_id}?wait=30")
    assert ended.json()["status"] == "cancelled"
    assert client.get(f"/v1/jobs/{job_id}?wait=30", headers={"If-None-Match": etag}).status_code == 200
    assert time.monotonic() - began < 25
    for wrong in ("-1", "61", "x"):
        assert client.get(f"/v1/jobs/{job_id}?wait={wrong}").status_code == 422


def test_progress_is_news_only_to_who_knows_the_job(
    client: httpx.Client, bench: Any, waiters: list[str]
) -> None:
    job_id = bench.submit()
    claimed = bench.take(job_id)
    etag = client.get(f"/v1/jobs/{job_id}").headers["etag"]

    def poll(seconds: int, headers: dict[str, str]) -> tuple[int, float]:
        began = time.monotonic()
        status = client.get(f"/v1/jobs/{job_id}?wait={seconds}", headers=headers).status_code
        return status, time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        knowing, plain = pool.submit(poll, 20, {"If-None-Match": etag}), pool.submit(poll, 1, {})
        wait_until(lambda: len(waiters) == 2)
        with bench.database.unit_of_work() as session:
            hold(session, claimed).progress = {"fraction": 0.5}
        assert knowing.result()[0] == 200
        assert knowing.result()[1] < 18
        assert plain.result()[1] >= 1


def test_many_waiters_hold_neither_threads_nor_connections(
    client: httpx.Client, bench: Any, waiters: list[str]
) -> None:
    """Far more waiters than the service has threads, and it answers others meanwhile."""
    job_id = bench.submit()

    def wait(_: int) -> str:
        return str(client.get(f"/v1/jobs/{job_id}?wait=60", timeout=100).json()["status"])

    with ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(wait, number) for number in range(60)]
        wait_until(lambda: len(waiters) == 60)
        assert client.get("/v1/jobs", timeout=20).status_code == 200
        assert not any(future.done() for future in waiting)
        client.post(f"/v1/jobs/{job_id}/cancel")
        assert {future.result(60) for future in waiting} == {"cancelled"}


def test_the_stream_shows_the_rows_of_the_list_and_ends_with_the_job(
    client: httpx.Client, bench: Any
) -> None:
    job_id = bench.submit()
    claimed = bench.take(job_id)
    path = f"/v1/jobs/{job_id}/events"
    sent: list[str] = []
    with client.stream("GET", path, headers=STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        sent += itertools.takewhile(lambda line: line != "id: 2", lines)
        with bench.database.unit_of_work() as session:
            record(session, hold(session, claimed), "training.note", "in the\nmiddle")
        with bench.database.unit_of_work() as session:
            move(session, hold(session, claimed), Status.CANCELLED, message="over")
        sent += ["id: 2", *lines]
    told = frames("\n".join(sent) + "\n")
    rows = client.get(path).json()["data"]
    assert [json.loads(frame["data"]) for frame in told] == rows
    assert [(frame["id"], frame["event"]) for frame in told] == [
        ("1", "job.status"),
        ("2", "job.status"),
        ("3", "training.note"),
        ("4", "job.status"),
    ]
    assert sent[0].startswith("retry: ")


def test_a_stream_goes_on_after_the_last_event_seen_and_then_has_nothing_to_tell(
    client: httpx.Client, bench: Any
) -> None:
    job_id = bench.submit()
    bench.take(job_id)
    claimed_away = client.post(f"/v1/jobs/{job_id}/cancel").json()
    assert claimed_away["status"] == "cancelling"
    path = f"/v1/jobs/{job_id}/events"
    second = client.get(path).json()["data"][1]["id"]
    with bench.database.unit_of_work() as session:
        move(session, lock(session, job_id), Status.CANCELLED, message="over")
    for last in ("2", second):
        rest = client.get(path, headers={**STREAM, "Last-Event-ID": last})
        assert [frame["id"] for frame in frames(rest.text)] == ["3", "4"]
    over = client.get(path, headers={**STREAM, "Last-Event-ID": "4"})
    assert (over.status_code, over.content) == (204, b"")
    wrong = client.get(path, headers={**STREAM, "Last-Event-ID": "x"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "header:last-event-id")


def test_a_quiet_stream_shows_that_it_lives_and_a_deleted_job_ends_it(
    client: httpx.Client, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "HEARTBEAT_SECONDS", 0.1)
    job_id = bench.submit()
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM) as response:
        lines = response.iter_lines()
        assert any(line.startswith(":") for line in lines)
        with bench.database.unit_of_work() as session:
            session.delete(session.get_one(Job, job_id))
        list(lines)


def test_a_service_that_stops_does_not_wait_for_its_followers(
    settings: Settings, api_key: str, bench: Any
) -> None:
    job_id = bench.submit()
    headers = {**STREAM, "Authorization": f"Bearer {api_key}"}
    with ExitStack() as following:
        with served(create_app(settings)) as url:
            path = f"{url}/v1/jobs/{job_id}"
            response = following.enter_context(
                httpx.stream("GET", f"{path}/events", headers=headers, timeout=30)
            )
            lines = response.iter_lines()
            assert next(lines).startswith("retry")
            began = time.monotonic()
        assert time.monotonic() - began < 30
        with pytest.raises(httpx.RemoteProtocolError):  # a cut, not an end
            list(lines)


def test_streams_of_others_are_not_found(
    client: httpx.Client, bench: Any, stranger_headers: dict[str, str]
) -> None:
    job_id = bench.submit()
    for path in (f"/v1/jobs/{job_id}/events", f"/v1/jobs/{job_id}?wait=5"):
        assert client.get(path, headers={**STREAM, **stranger_headers}).status_code == 404


def test_more_events_than_a_batch_come_in_order(client: httpx.Client, bench: Any) -> None:
    job_id = bench.submit()
    claimed = bench.take(job_id)
    with bench.database.unit_of_work() as session:
        job = hold(session, claimed)
        for number in range(250):
            record(session, job, "training.note", str(number))
        move(session, job, Status.CANCELLED, message="over")
    text = client.get(f"/v1/jobs/{job_id}/events", headers=STREAM).text
    assert [int(frame["id"]) for frame in frames(text)] == list(range(1, 254))

"""Following and waiting for jobs by the SDK and the command, over real HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import main
from app.jobs import watching
from app.jobs.claims import hold
from app.jobs.life import Status, move
from app.sdk.client import SteadyRank
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)


def test_the_sdk_follows_across_lost_connections(
    service_url: str, api_key: str, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    claimed = bench.take(job_id)
    cuts: list[str] = []

    class Cut(httpx.SyncByteStream):
        """Breaks off in the middle of the second event."""

        def __init__(self, whole: httpx.SyncByteStream) -> None:
            self.whole = whole

        def __iter__(self) -> Any:
            text = b""
            for piece in self.whole:
                text += piece
                if b"id: 2" in text:
                    yield text[: text.index(b"id: 2") + 20]
                    cuts.append("cut")
                    raise httpx.ReadError("cut")

        def close(self) -> None:
            self.whole.close()

    class Network(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if not cuts:
                response.stream = Cut(response.stream)  # type: ignore[arg-type]
            return response

    def pause(_: float) -> None:
        with bench.database.unit_of_work() as session:
            move(session, hold(session, claimed), Status.CANCELLED, message="over")

    with SteadyRank(service_url, api_key, transport=Network(), sleep=pause) as service:
        events = list(service.jobs.stream(job_id))
        assert list(service.jobs.stream(job_id, after=3)) == []
    assert cuts == ["cut"]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert events[-1].data["to"] == "cancelled"


def test_the_sdk_waits_by_long_polls(service: SteadyRank, bench: Any, waiters: list[str]) -> None:
    job_id = bench.submit()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(service.jobs.wait, job_id, timeout=30, interval=0.01)
        wait_until(lambda: waiters)
        with SteadyRank(service.base_url, service._transport._client.headers["Authorization"][7:]) as other:
            other.jobs.cancel(job_id)
        assert waiting.result(25).status == "cancelled"


@pytest.mark.parametrize("command", ["events"])
def test_the_command_follows(
    service_url: str, api_key: str, bench: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    job_id = bench.submit()
    claimed = bench.take(job_id)
    with bench.database.unit_of_work() as session:
        move(session, hold(session, claimed), Status.CANCELLED, message="It is over.")
    monkeypatch.setenv("STEADYRANK_URL", service_url)
    monkeypatch.setenv("STEADYRANK_API_KEY", api_key)
    followed = CliRunner().invoke(main.app, ["jobs", command, job_id, "-f"])
    assert followed.exit_code == 0, followed.output
    assert len(followed.stdout.splitlines()) == 3
    assert "job.status It is over." in followed.stdout
    listed = CliRunner().invoke(main.app, ["jobs", command, job_id, "--after", "2", "--json"])
    assert [json.loads(line)["sequence"] for line in listed.stdout.splitlines()] == [3]

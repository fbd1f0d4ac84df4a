"""The watch over a child: a database that is away, a child that does not obey, an end told at last."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from tests.outages import away
from tests.waiting import wait_until
from tests.worker.bench import Bench, attempts, found, kinds_of_checkpoints, run
from worker.child_process import ChildProcess
from worker.settling import settle_patiently


def test_a_database_that_is_away_for_a_while_costs_a_running_job_nothing(
    bench: Bench, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    resources = bench.resources()
    job_id = bench.submit(resources, epochs=200, min_epochs=200, warmup_epochs=1, checkpoint_minutes=0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, resources, job_id)
        wait_until(lambda: "warmup" in kinds_of_checkpoints(resources))
        with away(database_url):
            wait_until(lambda: "database unreachable" in caplog.text)
        running.result(150)
    assert attempts(resources) == ["succeeded"]


def test_a_child_that_does_not_obey_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    is_up = tmp_path / "up"
    monkeypatch.setenv("DEAF_CHILD_IS_UP", str(is_up))
    monkeypatch.setattr("worker.runner.ChildProcess", partial(ChildProcess, module="tests.worker.deaf_child"))
    resources = bench.resources(shutdown_grace_seconds=0.2)
    job_id, stopping = bench.submit(resources), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, resources, job_id, stopping)
        wait_until(is_up.exists)
        stopping.set()
        running.result(60)
    assert (found(resources, job_id).status, attempts(resources)) == ("queued", ["released"])


def test_a_fault_of_the_watch_itself_counts_as_a_lost_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Given back uncounted, the job would be taken up, and meet the same fault, for ever."""

    def fail(_: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr("worker.runner._JobWatch._poll", fail)
    resources = bench.resources()
    job_id = bench.submit(resources)
    run(resources, job_id)
    assert (found(resources, job_id).status, attempts(resources)) == ("queued", ["lost"])
    for _ in range(2):
        run(resources, job_id)
    job = found(resources, job_id)
    assert (job.status, (job.error or {}).get("code")) == ("failed", "internal")
    assert "a fault of ours" in caplog.text


def test_how_it_ended_is_told_as_soon_as_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    written: list[int] = []
    monkeypatch.setattr("worker.settling.time", SimpleNamespace(sleep=slept.append))

    def write() -> None:
        if len(slept) < 2:
            raise OperationalError("UPDATE", {}, Exception("the database is away"))
        written.append(1)

    settle_patiently(write, what="job job_1", attempt=1)
    assert (slept, written) == ([0.5, 1.0], [1])
